"""Prove finalised statements: build them again from their frozen facts and compare to the cent."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple

import msgspec
from django.db import connection

from billing.statements.build import build
from billing.statements.late import named_in
from billing.statements.operations import Content, content_hash, sha256
from billing.statements.values import Draft, Facts, Line, canonical, facts_from
from plans import rating
from plans.overrides import TermsBook, agreed_prices
from plans.terms import terms_of

PAGE = 500


class Difference(NamedTuple):
    """Something about a finalised statement that its frozen facts do not bear out."""

    number: str
    what: str


class _Stored(NamedTuple):
    id: int
    customer_id: int
    customer: str
    sequence: int
    number: str
    currency: str
    start: Any
    end: Any
    total: Decimal
    adjustments_total: Decimal
    facts: str
    lines_hash: str
    previous_hash: str
    content_hash: str


def verify_statements(*, customer_ids: Sequence[int] | None = None) -> Iterator[Difference | int]:
    """Yield each difference, and after each page the number of statements that were compared.

    Walks every finalised statement (or those of some customers) in the order of their chains.
    """
    after: tuple[int, int] = (0, 0)
    chain: tuple[int, int, str] | None = None
    while page := _page(after, customer_ids=customer_ids):
        lines = _lines([row.id for row in page])
        yield from _compare_page(page, lines=lines)
        for row in page:
            yield from _chain_differences(row, before=chain)
            chain = (row.customer_id, row.sequence, row.content_hash)
        after = (page[-1].customer_id, page[-1].sequence)
        yield len(page)


def _page(after: tuple[int, int], *, customer_ids: Sequence[int] | None) -> list[_Stored]:
    wanted = None if customer_ids is None else list(customer_ids)
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT s.id, s.customer_id, c.key, s.sequence, s.number, s.currency,
                      s.period_start, s.period_end, s.total, s.adjustments_total, s.facts,
                      s.lines_hash, s.previous_hash, s.content_hash
               FROM billing_statement s JOIN plans_customer c ON c.id = s.customer_id
               WHERE s.status = 'finalised' AND (s.customer_id, s.sequence) > (%s, %s)
                 AND (%s::bigint[] IS NULL OR s.customer_id = ANY(%s))
               ORDER BY s.customer_id, s.sequence LIMIT %s""",
            [*after, wanted, wanted, PAGE],
        )
        return [_Stored(*row) for row in cursor.fetchall()]


_LINES = """
SELECT l.statement_id, l.kind, l.origin_id, l.version_id, m.key, l.price_key, l.line_key,
       l.description, l.period_start, l.period_end, l.unit, l.usage_quantity, l.quantity, l.amount
FROM billing_statementline l LEFT JOIN plans_meter m ON m.id = l.meter_id
WHERE l.statement_id = ANY(%s) ORDER BY l.statement_id, l.position
"""


def _lines(statement_ids: Sequence[int]) -> dict[int, list[tuple[Any, ...]]]:
    with connection.cursor() as cursor:
        cursor.execute(_LINES, [list(statement_ids)])
        return {
            statement_id: [row[1:] for row in rows]
            for statement_id, rows in groupby(cursor.fetchall(), key=lambda row: row[0])
        }


def _compare_page(
    page: Sequence[_Stored], *, lines: Mapping[int, list[tuple[Any, ...]]]
) -> Iterator[Difference]:
    read: list[tuple[_Stored, Facts]] = []
    for row in page:
        try:
            read.append((row, facts_from(row.facts)))
        except msgspec.DecodeError as error:
            yield Difference(row.number, f"its facts cannot be read: {error}")
    versions, agreed = named_in(
        segment
        for _, facts in read
        for segment in (*facts.segments, *(s for late in facts.late for s in late.segments))
    )
    book = TermsBook(terms_of(versions), agreed_prices(agreed))
    for row, facts in read:
        yield from _compare(row, facts, stored_lines=lines.get(row.id, []), book=book)


def _compare(
    row: _Stored,
    facts: Facts,
    *,
    stored_lines: Sequence[tuple[Any, ...]],
    book: TermsBook,
) -> Iterator[Difference]:
    for segment in facts.segments:
        terms = book.of(segment.version, segment.agreed)
        if terms.digest != segment.digest:
            plan = f"{terms.plan_key} version {terms.number}"
            what = f"the terms of {plan} are not those it was billed on"
            yield Difference(row.number, what)
    try:
        draft = build(facts, terms=book.terms, agreed=book.agreed)
    except rating.RatingError as error:
        yield Difference(row.number, f"it cannot be built again: {error}")
        return
    yield from _content_differences(row, draft)
    yield from _line_differences(row, draft.lines, stored_lines)


def _content_differences(row: _Stored, draft: Draft) -> Iterator[Difference]:
    if draft.total != row.total:
        yield Difference(row.number, f"its total is {row.total}, built again it is {draft.total}")
    if draft.adjustments_total != row.adjustments_total:
        yield Difference(row.number, "its adjustments add up to another amount")
    if sha256(canonical(draft.lines)) != row.lines_hash:
        yield Difference(row.number, "its lines are not those that were hashed")
    content = Content(
        number=row.number,
        customer=row.customer,
        currency=row.currency,
        start=row.start,
        end=row.end,
        total=row.total,
        facts_hash=sha256(row.facts),
        lines_hash=row.lines_hash,
        previous_hash=row.previous_hash,
    )
    if content_hash(content) != row.content_hash:
        yield Difference(row.number, "its content does not fit its hash")


def _line_differences(
    row: _Stored, lines: Sequence[Line], stored: Sequence[tuple[Any, ...]]
) -> Iterator[Difference]:
    if len(lines) != len(stored):
        yield Difference(row.number, f"it has {len(stored)} lines, built again {len(lines)}")
        return
    for position, (line, kept) in enumerate(zip(lines, stored, strict=True), start=1):
        if _comparable(line) != kept:
            yield Difference(row.number, f"line {position} ({line.description}) was changed")


def _comparable(line: Line) -> tuple[Any, ...]:
    return (
        line.kind,
        line.origin,
        line.version,
        line.meter,
        line.price_key,
        line.line_key,
        line.description,
        line.start,
        line.end,
        line.unit,
        line.usage_quantity,
        line.quantity,
        line.amount,
    )


def _chain_differences(
    row: _Stored, *, before: tuple[int, int, str] | None
) -> Iterator[Difference]:
    """Compare with the customer's statement before it, which the walk has just passed."""
    follows = before is not None and before[0] == row.customer_id
    expected = (before[1] + 1, before[2]) if follows and before is not None else (1, "")
    if (row.sequence, row.previous_hash) != expected:
        yield Difference(row.number, "it does not follow the customer's statement before it")
