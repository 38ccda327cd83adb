"""The sweep over spend: find the customers whose spend is out of date, and rate them.

Those with usage since come first, then those whose usage lay ahead of the last reading (it is read
up to the sweep's instant, and usage comes while it runs), then those with jobs that were settled,
then those whose period
is over, and at last a few of those who were not looked at for an hour: what grows with time alone,
and changes of terms.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from django.db import DatabaseError, connection

from billing.locks import claim_spend_sweep, release_spend_sweep
from billing.models import Spend, SpendSweep
from billing.spend.rating import UNPRICED, Problem, SpendReport, note_problem, rate_spend
from plans.models import Subscription
from usage.arrivals import customers_with_usage
from usage.horizon import current_horizon

logger = logging.getLogger(__name__)

CHUNK = 500
CUSTOMERS_MAX = 20_000
CALM_MAX = 200
NEW_MAX = 1_000
RATE_AGAIN_AFTER = timedelta(hours=1)
RETRY_AFTER = timedelta(minutes=5)
CLAIM_LASTS = timedelta(seconds=60)
FAILED = "rating_failed"

# Of these codes the row holds what the period came to.
_RATED = ("", UNPRICED)


def sweep_spend(*, now: datetime, seconds_max: float = 20, chunk: int = CHUNK) -> SpendReport:
    """Rate every customer whose spend is out of date, chunk by chunk, or until the time is up.

    What is left is found by the next sweep. Does nothing where another worker sweeps.
    """
    sweep = claim_spend_sweep(now=now, lasts=CLAIM_LASTS)
    if sweep is None:
        return SpendReport()
    reached = sweep.horizon
    try:
        horizon = current_horizon()
        is_first = _make_rows(sweep)
        fresh = [] if is_first else _fresh(sweep)
        due = list(
            dict.fromkeys([*fresh, *_caught_up_with(now), *_settled(horizon), *_calm(now=now)])
        )
        report, is_done = _rate_all(due, now=now, seconds_max=seconds_max, chunk=chunk)
        if is_first or (is_done and len(fresh) < CUSTOMERS_MAX):
            reached = horizon
        return report
    finally:
        release_spend_sweep(horizon=reached, now=now)


def _rate_all(
    due: Sequence[int], *, now: datetime, seconds_max: float, chunk: int
) -> tuple[SpendReport, bool]:
    """Rate chunk by chunk; say whether all were rated before the time was up."""
    report, deadline = SpendReport(), time.monotonic() + seconds_max
    for place in range(0, len(due), chunk):
        if time.monotonic() > deadline:
            return report, False
        report.add(_rate(due[place : place + chunk], now=now))
    return report, True


def _make_rows(sweep: SpendSweep) -> bool:
    """Make the rows of customers with a subscription if this is the first sweep; say whether so."""
    if sweep.horizon:
        return False
    customers = Subscription.objects.values_list("customer_id", flat=True).distinct()
    rows = [Spend(customer_id=one) for one in customers]
    Spend.objects.bulk_create(rows, ignore_conflicts=True, batch_size=5000)
    return True


def _fresh(sweep: SpendSweep) -> list[int]:
    """Return the customers with usage that their rows may not hold."""
    arrivals = customers_with_usage(since=sweep.horizon, limit=CUSTOMERS_MAX)
    rows = Spend.objects.filter(pk__in=[each.customer_id for each in arrivals])
    horizons = dict(rows.values_list("pk", "horizon"))
    return [each.customer_id for each in arrivals if each.xid >= horizons.get(each.customer_id, 0)]


def _caught_up_with(now: datetime) -> list[int]:
    """Return the customers whose usage lay ahead when they were rated, and does no more."""
    rows = Spend.objects.filter(ahead_at__lt=now, problem_code__in=_RATED).order_by("ahead_at")
    return list(rows.values_list("pk", flat=True)[:CUSTOMERS_MAX])


_SETTLED = """
SELECT DISTINCT j.customer_id FROM usage_job j JOIN billing_spend s ON s.customer_id = j.customer_id
WHERE j.settled_at IS NOT NULL AND j.rated_at IS NULL AND j.settled_xid < %s
    AND s.problem_code = ANY (%s)
LIMIT %s
"""


def _settled(horizon: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_SETTLED, [horizon, list(_RATED), CUSTOMERS_MAX])
        return [row[0] for row in cursor.fetchall()]


def _calm(*, now: datetime) -> Iterator[int]:
    """Return few customers each of those that nothing else brings up."""
    rows = Spend.objects.values_list("pk", flat=True)
    parked = rows.exclude(problem_code__in=_RATED).filter(rated_at__lte=now - RETRY_AFTER)
    over = rows.filter(period_end__lte=now, problem_code__in=_RATED)
    yield from rows.filter(rated_at=None)[:NEW_MAX]
    yield from parked.order_by("rated_at")[:CALM_MAX]
    yield from over.order_by("period_end")[:CHUNK]
    yield from rows.filter(rated_at__lte=now - RATE_AGAIN_AFTER).order_by("rated_at")[:CALM_MAX]


def _rate(ids: Sequence[int], *, now: datetime) -> SpendReport:
    """Rate customers together, and halve them where that fails until the bad one stands alone."""
    try:
        return rate_spend(customer_ids=ids, now=now)
    except (DatabaseError, ArithmeticError, LookupError, ValueError) as error:
        if len(ids) == 1:
            logger.exception("spend of customer %s cannot be rated", ids[0])
            return note_problem(ids[0], Problem(FAILED, str(error)), now=now)
    middle = len(ids) // 2
    report = _rate(ids[:middle], now=now)
    report.add(_rate(ids[middle:], now=now))
    return report
