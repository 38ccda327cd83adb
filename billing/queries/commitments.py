"""How a commitment stands: what is used of it, at which pace, and which statements counted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.db import connection

from billing.statements.preview import NoSubscription, preview_statement
from billing.statements.promises import Asked, Promises, Whose
from billing.statements.values import Draft, Measured
from billing.wording import Money, Span
from plans.models import Commitment
from plans.rating import RatingError
from plans.rating.commitments import shortfall
from plans.rating.money import HUNDRED, minus, over, plus, round_money, times

_ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """A stretch of a commitment at an instant.

    ``billed`` is what finalised statements counted, ``running`` what the present period adds so
    far. ``projected`` is what it comes to at its end if usage goes on as it did on average, and
    ``short`` what would be due then; ``short_now`` would be if it ended now.
    """

    span: Span
    months: int
    amount: Money
    billed: Money
    running: Money
    used: Money
    remaining: Money
    used_percent: Decimal
    gone_percent: Decimal
    projected: Money
    short: Money
    short_now: Money
    is_over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedOn:
    """A finalised statement that counted usage for a commitment."""

    id: int
    number: str
    span: Span
    counted: Money


def pace_of(commitment: Commitment, *, now: datetime) -> list[Pace]:
    """Return how each stretch of an approved commitment that has begun stands."""
    customer = commitment.customer
    promises = Promises({Whose(customer.pk, customer.time_zone)})
    asked = Asked(customer.pk, now, now)
    stretches = promises.stretches_of(commitment.pk, asked)
    running = _running(commitment, now=now)
    return [
        _pace(each, commitment, running=running.get(each.start, _ZERO), now=now)
        for each in stretches
        if each.start <= now
    ]


def _pace(stretch: Measured, commitment: Commitment, *, running: Decimal, now: datetime) -> Pace:
    currency, zone = commitment.currency, commitment.customer.time_zone
    used = plus(stretch.counted, running)
    gone = _gone_percent(stretch, now=now)
    projected = used
    if _ZERO < gone < HUNDRED:
        projected = round_money(over(times(used, HUNDRED), gone), currency=currency)

    def money(amount: Decimal) -> Money:
        return Money(amount, currency)

    return Pace(
        span=Span(stretch.start, stretch.end, zone),
        months=stretch.months,
        amount=money(stretch.amount),
        billed=money(stretch.counted),
        running=money(running),
        used=money(used),
        remaining=money(max(minus(stretch.amount, used), _ZERO)),
        used_percent=min(over(times(used, HUNDRED), stretch.amount), HUNDRED),
        gone_percent=gone,
        projected=money(min(projected, stretch.amount)),
        short=money(shortfall(promised=stretch.promised, counted=projected)),
        short_now=money(shortfall(promised=stretch.promised, counted=used)),
        is_over=stretch.end <= now,
    )


def _gone_percent(stretch: Measured, *, now: datetime) -> Decimal:
    whole = Decimal((stretch.end - stretch.start).total_seconds())
    gone = Decimal((min(now, stretch.end) - stretch.start).total_seconds())
    return over(times(gone, HUNDRED), whole)


def _running(commitment: Commitment, *, now: datetime) -> dict[datetime, Decimal]:
    """Return what the running period counts so far by stretch; nothing where it has no price."""
    try:
        _, draft = preview_statement(customer_id=commitment.customer_id, now=now)
    except (NoSubscription, RatingError):
        return {}
    found: dict[datetime, Decimal] = {}
    for stretch, counted in _counted_in(draft, commitment_id=commitment.pk):
        found[stretch] = plus(found.get(stretch, _ZERO), counted)
    return found


def _counted_in(draft: Draft, *, commitment_id: int) -> Iterator[tuple[datetime, Decimal]]:
    for line in draft.lines:
        note = line.explanation.commitment
        if note is not None and note.commitment == commitment_id:
            yield note.stretch, note.counted


def counted_on(commitment: Commitment) -> Sequence[CountedOn]:
    """Return the finalised statements that counted usage for a commitment, newest first."""
    zone, currency = commitment.customer.time_zone, commitment.currency
    with connection.cursor() as cursor:
        cursor.execute(_COUNTED_ON, [commitment.customer_id, commitment.pk])
        return [
            CountedOn(
                id=row[0],
                number=row[1],
                span=Span(row[2], row[3], zone),
                counted=Money(row[4], currency),
            )
            for row in cursor.fetchall()
        ]


_COUNTED_ON: Final = """
SELECT s.id, s.number, s.period_start, s.period_end,
       coalesce(sum((l.explanation -> 'commitment' ->> 'counted')::numeric), 0)
FROM billing_statement s JOIN billing_statementline l ON l.statement_id = s.id
WHERE s.customer_id = %s AND s.status = 'finalised' AND l.explanation ? 'commitment'
  AND (l.explanation -> 'commitment' ->> 'commitment')::bigint = %s
GROUP BY s.id ORDER BY s.period_start DESC LIMIT 120
"""
