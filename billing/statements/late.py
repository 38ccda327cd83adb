"""Usage that came after its statement was finalised: find it, and read the old periods again."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import dropwhile, groupby
from typing import Final, NamedTuple

from django.db import connection

from billing.statements.reading import Priced, UsageReader
from billing.statements.values import Billed, LatePeriod, Segment, facts_from
from plans.arrays import array
from plans.models.meters import Aggregation
from plans.overrides import TermsBook, agreed_prices
from plans.terms import terms_of
from usage.queries import Span, touched_since


class _Finalised(NamedTuple):
    """A finalised statement that late usage may change: of its own period, or of one before it."""

    id: int
    customer_id: int
    number: str
    start: datetime
    zone: str
    segments: tuple[Segment, ...]
    is_touched: bool


class Late(NamedTuple):
    """The late periods by customer, and the plan versions and agreed prices they need."""

    by_customer: dict[int, list[tuple[datetime, LatePeriod]]]
    versions: set[int]
    agreed: set[int]

    def of(self, customer_id: int, *, before: datetime) -> tuple[LatePeriod, ...]:
        """Return the customer's late periods that lie before the instant, oldest first."""
        found = self.by_customer.get(customer_id, ())
        return tuple(late for start, late in found if start < before)


NOTHING_LATE: Final = Late({}, set(), set())


def load_late(customer_ids: Collection[int]) -> Late:
    """Return the finalised periods of the customers that got usage since, read again.

    Each later statement has looked at all earlier ones, so what a customer's last finalised
    statement was read at bounds what can be new.
    """
    touched = customers_with_late_usage(customer_ids)
    if not touched:
        return NOTHING_LATE
    found = _touched_statements(touched)
    if not found:
        return NOTHING_LATE
    versions, agreed = named_in(each for statement in found for each in statement.segments)
    book = TermsBook(terms_of(versions), agreed_prices(agreed))
    statements = [one for one in found if one.is_touched or _carries_levels(one, book=book)]
    segments = _read_again(statements, book=book)
    billed = _billed([statement.id for statement in statements])
    by_customer: dict[int, list[tuple[datetime, LatePeriod]]] = {}
    for statement in statements:
        late = LatePeriod(
            origin=statement.id,
            number=statement.number,
            segments=tuple(segments[statement.id]),
            billed=tuple(billed.get(statement.id, ())),
        )
        by_customer.setdefault(statement.customer_id, []).append((statement.start, late))
    return Late(by_customer, versions, agreed)


def named_in(segments: Iterable[Segment]) -> tuple[set[int], set[int]]:
    """Return the plan versions and the agreed prices that segments were priced by, as ids."""
    versions, agreed = set[int](), set[int]()
    for segment in segments:
        versions.add(segment.version)
        agreed.update(segment.agreed)
    return versions, agreed


def customers_with_late_usage(customer_ids: Collection[int]) -> set[int]:
    """Return the customers that got usage in finalised periods since the last was read."""
    return touched_since(_whole_spans(customer_ids))


def _whole_spans(customer_ids: Collection[int]) -> list[Span]:
    """Return for each customer the time its finalised statements cover, by customer id."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT customer_id, customer_id, min(period_start), max(period_end),
                      (array_agg(horizon ORDER BY sequence DESC))[1]
               FROM billing_statement
               WHERE customer_id = ANY(%s::bigint[]) AND status = 'finalised'
               GROUP BY customer_id""",
            [array(customer_ids)],
        )
        return [Span(*row) for row in cursor.fetchall()]


def _touched_statements(customer_ids: Collection[int]) -> list[_Finalised]:
    """Return the statements into whose periods usage came late, and those that follow them."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT id, customer_id, period_start, period_end, number, facts,
                      first_value(horizon) OVER (PARTITION BY customer_id ORDER BY sequence DESC)
               FROM billing_statement WHERE customer_id = ANY(%s) AND status = 'finalised'
               ORDER BY customer_id, sequence""",
            [list(customer_ids)],
        )
        rows = cursor.fetchall()
    touched = touched_since([Span(row[0], row[1], row[2], row[3], row[6]) for row in rows])
    found: list[_Finalised] = []
    for _, of_customer in groupby(rows, key=lambda row: row[1]):
        for row in dropwhile(lambda row: row[0] not in touched, of_customer):
            facts = facts_from(row[5])
            found.append(
                _Finalised(
                    id=row[0],
                    customer_id=row[1],
                    number=row[4],
                    start=row[2],
                    zone=facts.zone,
                    segments=facts.segments,
                    is_touched=row[0] in touched,
                )
            )
    return found


def _carries_levels(statement: _Finalised, *, book: TermsBook) -> bool:
    """Say whether a level that was reported late for an earlier period lasts into this one."""
    return any(
        meter.aggregation == Aggregation.TIME_WEIGHTED
        for segment in statement.segments
        for meter in book.of(segment.version, segment.agreed).meters.values()
    )


def _read_again(statements: Sequence[_Finalised], *, book: TermsBook) -> dict[int, list[Segment]]:
    """Return the statements' segments with the usage as it is known now."""
    flat = [(statement, segment) for statement in statements for segment in statement.segments]
    usage = UsageReader(
        [
            Priced(
                statement.customer_id,
                statement.zone,
                segment,
                book.of(segment.version, segment.agreed),
            )
            for statement, segment in flat
        ]
    )
    found: dict[int, list[Segment]] = {}
    for place, (statement, _) in enumerate(flat):
        found.setdefault(statement.id, []).append(usage.segment(place))
    return found


def _billed(statement_ids: Sequence[int]) -> Mapping[int, list[Billed]]:
    """Return what was billed for the statements' periods, with the corrections made since."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT coalesce(l.origin_id, l.statement_id), l.version_id, l.price_key, l.line_key,
                      l.period_start, trim_scale(sum(l.usage_quantity)),
                      trim_scale(sum(l.quantity)), trim_scale(sum(l.amount))
               FROM billing_statementline l JOIN billing_statement s ON s.id = l.statement_id
               WHERE s.status = 'finalised' AND l.kind IN ('charge', 'adjustment')
                 AND (l.origin_id = ANY(%s) OR (l.origin_id IS NULL AND l.statement_id = ANY(%s)))
               GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5""",
            [list(statement_ids), list(statement_ids)],
        )
        found: dict[int, list[Billed]] = {}
        for statement_id, *row in cursor.fetchall():
            found.setdefault(statement_id, []).append(Billed(*row))
    return found
