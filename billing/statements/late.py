"""Usage that came after its statement was finalised: find it, and read the old periods again."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from django.db import connection

from billing.statements.reading import Priced, UsageReader
from billing.statements.values import Billed, LatePeriod, Segment, facts_from
from plans.overrides import TermsBook, agreed_prices
from plans.terms import terms_of
from usage.queries import Span, touched_since


class _Finalised(NamedTuple):
    """A finalised statement into whose period usage came late."""

    id: int
    customer_id: int
    number: str
    start: datetime
    zone: str
    segments: tuple[Segment, ...]


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
    statements = _touched_statements(touched)
    if not statements:
        return NOTHING_LATE
    segments = _read_again(statements)
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
    segments_of_all = [each for statement in statements for each in statement.segments]
    return Late(by_customer, *named_in(segments_of_all))


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
               FROM billing_statement WHERE customer_id = ANY(%s) AND status = 'finalised'
               GROUP BY customer_id""",
            [list(customer_ids)],
        )
        return [Span(*row) for row in cursor.fetchall()]


def _touched_statements(customer_ids: Collection[int]) -> list[_Finalised]:
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
    return [
        _Finalised(row[0], row[1], row[4], row[2], facts.zone, facts.segments)
        for row in rows
        if row[0] in touched
        for facts in [facts_from(row[5])]
    ]


def _read_again(statements: Sequence[_Finalised]) -> dict[int, list[Segment]]:
    """Return the statements' segments with the usage as it is known now."""
    flat = [(statement, segment) for statement in statements for segment in statement.segments]
    versions, agreed = named_in(segment for _, segment in flat)
    book = TermsBook(terms_of(versions), agreed_prices(agreed))
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
               WHERE s.status = 'finalised'
                 AND (l.origin_id = ANY(%s) OR (l.origin_id IS NULL AND l.statement_id = ANY(%s)))
               GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5""",
            [list(statement_ids), list(statement_ids)],
        )
        found: dict[int, list[Billed]] = {}
        for statement_id, *row in cursor.fetchall():
            found.setdefault(statement_id, []).append(Billed(*row))
    return found
