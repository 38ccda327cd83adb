"""Draw credit for running periods as usage comes, so that balances lag little.

A statement draws what is left when it is finalised; what a sweep drew before is counted there. A
sweep draws more and never gives back. Before credit expires, what was used in time is drawn of it.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from django.db import connection, transaction

from billing.credits.drawing import CreditMoved
from billing.models import CreditSweep
from billing.statements.build import uses_so_far
from billing.statements.drawing import Drawing, draw_uses
from billing.statements.facts import Loaded, Period, load_facts
from billing.statements.packs import with_packs
from plans import rating
from plans.overrides import TermsBook
from usage.queries import Span, touched_since

PAGE = 500
_INSTANT = timedelta(microseconds=1)


def sweep_credit(*, now: datetime, limit: int = PAGE, after: int = 0) -> int | None:
    """Draw for a page of the customers that have a pool and new usage.

    Return the id of the last customer that was looked at; None where there are no more.
    """
    periods = _running(at=now, customer_ids=None, after=after, limit=limit)
    if not periods:
        return None
    swept = _swept([period.customer_id for period in periods])
    spans = [
        Span(p.id, p.customer_id, p.start, p.end, swept.get((p.customer_id, p.start), 0))
        for p in periods
    ]
    touched = touched_since(spans)
    draw_usage([period for period in periods if period.id in touched], until=now, now=now)
    return periods[-1].customer_id


def draw_before(*, customer_ids: Collection[int], until: datetime, now: datetime) -> int:
    """Draw what customers used before an instant at which credit of theirs expires."""
    at = until - _INSTANT
    periods = _running(at=at, customer_ids=customer_ids, after=0, limit=len(set(customer_ids)))
    return draw_usage(periods, until=until, now=now)


def draw_usage(periods: Sequence[Period], *, until: datetime, now: datetime) -> int:
    """Draw what each period's usage before ``until`` comes to and was not drawn for; count draws.

    One that cannot be priced is left to its statement, which shows the reason. One whose credit
    moved meanwhile is left to the next sweep.
    """
    if not periods:
        return 0
    loaded = with_packs(
        load_facts(periods, usage_until=until), periods=periods, now=now, until=until
    )
    book = TermsBook(loaded.terms, loaded.agreed)
    drawn = 0
    for period in periods:
        with suppress(rating.RatingError, CreditMoved):
            drawn += _draw_period(period, loaded=loaded, book=book, until=until, now=now)
    return drawn


def draw_running(*, customer_id: int, now: datetime) -> None:
    """Draw what a customer's running period comes to. Raises RatingError, CreditMoved."""
    periods = _running(at=now, customer_ids=[customer_id], after=0, limit=1)
    loaded = with_packs(load_facts(periods, usage_until=now), periods=periods, now=now, until=now)
    for error in loaded.errors.values():
        raise error
    book = TermsBook(loaded.terms, loaded.agreed)
    for period in periods:
        _draw_period(period, loaded=loaded, book=book, until=now, now=now)


def _draw_period(
    period: Period, *, loaded: Loaded, book: TermsBook, until: datetime, now: datetime
) -> bool:
    facts = loaded.facts.get(period.id)
    if facts is None:
        return False
    uses = uses_so_far(facts, terms=book.terms, agreed=book.agreed)
    with transaction.atomic():
        if uses:
            draw_uses([Drawing(period, facts, tuple(uses), until=until)], now=now)
        _note_sweep(period, horizon=loaded.horizon, now=now)
    return bool(uses)


# A customer's billing period at an instant, unless a statement of it is finalised already.
_RUNNING = """
SELECT c.id, c.key, c.currency, c.time_zone, s.anchor_date,
       (SELECT max(b.period_end) FROM billing_statement b
        WHERE b.customer_id = c.id AND b.period_end <= %(at)s)
FROM plans_customer c
JOIN LATERAL (SELECT s.anchor_date FROM plans_subscription s
              WHERE s.customer_id = c.id AND s.starts_at <= %(at)s
                AND (s.ends_at IS NULL OR s.ends_at > %(at)s)
              ORDER BY s.starts_at LIMIT 1) AS s ON true
WHERE c.id > %(after)s AND (%(ids)s::bigint[] IS NULL OR c.id = ANY(%(ids)s))
  AND EXISTS (SELECT FROM billing_creditpool p WHERE p.customer_id = c.id)
  AND NOT EXISTS (SELECT FROM billing_statement b WHERE b.customer_id = c.id
                  AND b.status = 'finalised' AND b.period_end > %(at)s)
ORDER BY c.id LIMIT %(limit)s
"""


def _running(
    *, at: datetime, customer_ids: Collection[int] | None, after: int, limit: int
) -> list[Period]:
    """Return the periods that hold an instant; each customer's id is its reference."""
    ids = None if customer_ids is None else list(customer_ids)
    with connection.cursor() as cursor:
        cursor.execute(_RUNNING, {"at": at, "ids": ids, "after": after, "limit": limit})
        rows = cursor.fetchall()
    found = []
    for customer_id, key, currency, zone, anchor, billed_until in rows:
        span = rating.billing_period(anchor=anchor, zone=zone, at=at)
        start = max(span.start, billed_until) if billed_until else span.start
        found.append(Period(customer_id, customer_id, key, currency, zone, start, span.end))
    return found


def _swept(customer_ids: Collection[int]) -> dict[tuple[int, datetime], int]:
    rows = CreditSweep.objects.filter(customer_id__in=customer_ids)
    return {(row.customer_id, row.period_start): row.horizon for row in rows}


def _note_sweep(period: Period, *, horizon: int, now: datetime) -> None:
    CreditSweep.objects.update_or_create(
        customer_id=period.customer_id,
        defaults={"period_start": period.start, "horizon": horizon, "swept_at": now},
    )
