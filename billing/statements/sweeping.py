"""Draw credit for running periods as usage comes, so that balances lag little.

A statement draws what is left when it is finalised; what a sweep drew before is counted there. A
sweep draws more and never gives back. Before credit expires, what was used in time is drawn of it.
"""

from collections.abc import Collection, Mapping, Sequence
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
from plans.clock import clocks_of
from plans.overrides import TermsBook
from usage.queries import Span, touched_since

PAGE = 500
_INSTANT = timedelta(microseconds=1)


def sweep_credit(*, now: datetime, limit: int = PAGE, after: int = 0) -> int | None:
    """Draw for a page of the customers that have a pool and new usage.

    A test customer stands at its own clock, what happens at that very instant with it. Return the
    id of the last customer that was looked at; None where there are no more.
    """
    periods = _running(at=now, customer_ids=None, after=after, limit=limit, by_clock=True)
    if not periods:
        return None
    swept = _swept([period.customer_id for period in periods])
    spans = [
        Span(p.id, p.customer_id, p.start, p.end, swept.get((p.customer_id, p.start), 0))
        for p in periods
    ]
    touched = touched_since(spans)
    clocks = clocks_of([period.customer_id for period in periods])
    for at, group in _by_time(periods, clocks=clocks, now=now).items():
        draw_usage([period for period in group if period.id in touched], until=at, now=at)
    return periods[-1].customer_id


def _by_time(
    periods: Sequence[Period], *, clocks: Mapping[int, datetime], now: datetime
) -> dict[datetime, list[Period]]:
    found: dict[datetime, list[Period]] = {}
    for period in periods:
        clock = clocks.get(period.customer_id)
        found.setdefault(clock + _INSTANT if clock else now, []).append(period)
    return found


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
        WHERE b.customer_id = c.id AND b.period_end <= n.at), n.at
FROM plans_customer c
CROSS JOIN LATERAL (
    SELECT CASE WHEN %(by_clock)s THEN coalesce(c.clock_at, %(at)s) ELSE %(at)s END AS at) n
JOIN LATERAL (SELECT s.anchor_date FROM plans_subscription s
              WHERE s.customer_id = c.id AND s.starts_at <= n.at
                AND (s.ends_at IS NULL OR s.ends_at > n.at)
              ORDER BY s.starts_at LIMIT 1) AS s ON true
WHERE c.id > %(after)s AND (%(ids)s::bigint[] IS NULL OR c.id = ANY(%(ids)s))
  AND EXISTS (SELECT FROM billing_creditpool p WHERE p.customer_id = c.id)
  AND NOT EXISTS (SELECT FROM billing_statement b WHERE b.customer_id = c.id
                  AND b.status = 'finalised' AND b.period_end > n.at)
ORDER BY c.id LIMIT %(limit)s
"""


def _running(
    *,
    at: datetime,
    customer_ids: Collection[int] | None,
    after: int,
    limit: int,
    by_clock: bool = False,
) -> list[Period]:
    """Return the periods that hold an instant; each customer's id is its reference.

    ``by_clock`` takes the instant at which a test customer's clock stands in its place.
    """
    ids = None if customer_ids is None else list(customer_ids)
    values = {"at": at, "ids": ids, "after": after, "limit": limit, "by_clock": by_clock}
    with connection.cursor() as cursor:
        cursor.execute(_RUNNING, values)
        rows = cursor.fetchall()
    found = []
    for customer_id, key, currency, zone, anchor, billed_until, instant in rows:
        span = rating.billing_period(anchor=anchor, zone=zone, at=instant)
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
