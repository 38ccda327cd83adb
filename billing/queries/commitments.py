"""How a commitment stands: what is used of it, at which pace, and which statements counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from django.db import connection

from billing.statements.preview import NoSubscription, preview_statement
from billing.statements.promises import Asked, Promises, Whose
from billing.statements.values import Measured
from billing.wording import Money, Span, day, days_between
from plans.commitments import commitment_value
from plans.models import Commitment, Customer
from plans.rating import RatingError
from plans.rating.commitments import instalment_stretches, shortfall
from plans.rating.money import HUNDRED, minus, over, plus, round_money, times

COMMITMENTS_MOST: Final = 50
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


class Bar(NamedTuple):
    """How much is used and how much time is gone, in percent for a drawing and in words."""

    used: str
    gone: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A commitment as its customer reads it: its terms, its stretches so far, its schedule."""

    name: str
    is_postpaid: bool
    kind: str
    amount: Money
    term: str
    ended: str
    paces: Sequence[tuple[Pace, Bar]]
    schedule: Sequence[tuple[str, Money]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedOn:
    """A finalised statement that counted usage for a commitment."""

    id: int
    number: str
    span: Span
    counted: Money


def pace_of(commitment: Commitment, *, now: datetime) -> list[Pace]:
    """Return how each stretch of an approved commitment that has begun stands."""
    return _paces([commitment], customer=commitment.customer, now=now)[0]


def commitments_page(*, customer: Customer, now: datetime) -> list[Standing]:
    """Return a customer's approved commitments, latest first, in a fixed number of queries."""
    rows = Commitment.objects.filter(customer=customer, approved_at__isnull=False)
    found = rows.prefetch_related("instalments").order_by("-start_date", "pk")
    shown = list(found[:COMMITMENTS_MOST])
    paces = _paces(shown, customer=customer, now=now) if shown else []
    return [_standing(row, each) for row, each in zip(shown, paces, strict=True)]


def _standing(row: Commitment, paces: Sequence[Pace]) -> Standing:
    terms = commitment_value(row)
    return Standing(
        name=row.name,
        is_postpaid=row.kind == Commitment.Kind.POSTPAID,
        kind=row.get_kind_display(),
        amount=Money(terms.amount, row.currency),
        term=days_between(terms.start, terms.until),
        ended=day(row.ended_on) if row.ended_on else "",
        paces=[(each, bar_of(each)) for each in paces],
        schedule=[
            (days_between(each.start, each.end), Money(each.amount, row.currency))
            for each in instalment_stretches(terms)
        ],
    )


def bar_of(pace: Pace) -> Bar:
    """Return how far a stretch is, for a drawing."""
    words = f"{pace.used_percent:.0f}% is used, {pace.gone_percent:.0f}% of the time is gone"
    return Bar(used=f"{pace.used_percent:.2f}", gone=f"{pace.gone_percent:.2f}", words=words)


def _paces(
    commitments: Sequence[Commitment], *, customer: Customer, now: datetime
) -> list[list[Pace]]:
    """Return the stretches of one customer's commitments: one read and one preview for all."""
    promises = Promises({Whose(customer.pk, customer.time_zone)})
    asked = Asked(customer.pk, now, now)
    running = _running(customer.pk, now=now)
    return [
        [
            _pace(each, row, running=running.get((row.pk, each.start), _ZERO), customer=customer,
                  now=now)
            for each in promises.stretches_of(row.pk, asked)
            if each.start <= now
        ]
        for row in commitments
    ]  # fmt: skip


def _pace(
    stretch: Measured, commitment: Commitment, *, running: Decimal, customer: Customer,
    now: datetime,
) -> Pace:  # fmt: skip
    currency, zone = commitment.currency, customer.time_zone
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


def _running(customer_id: int, *, now: datetime) -> dict[tuple[int, datetime], Decimal]:
    """Return what the running period counts so far, by commitment and stretch.

    Nothing where it has no price.
    """
    try:
        _, draft = preview_statement(customer_id=customer_id, now=now)
    except (NoSubscription, RatingError):
        return {}
    found: dict[tuple[int, datetime], Decimal] = {}
    for line in draft.lines:
        note = line.explanation.commitment
        if note is not None:
            key = (note.commitment, note.stretch)
            found[key] = plus(found.get(key, _ZERO), note.counted)
    return found


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
