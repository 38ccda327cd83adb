"""What a workspace takes of a pool in a billing period, and the most that it may.

It is asked as a hold is placed, under the pool's lock. What sweeps and statements draw is counted,
and not blocked: usage is usage, and a workspace that used more than its limit still pays by the
pool.
"""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal

from django.db.models import Case, F, QuerySet, Sum, When

from billing.models import CreditDraw, CreditPool, CreditSweep, Hold, PoolLimit
from billing.spend.periods import running_periods
from billing.statements.facts import Period
from plans.errors import OperationError
from plans.models import Price
from plans.rating.money import EXACT, ZERO, minus, plus, times, total
from usage.models import Job
from usage.queries import Reading, Window, read_usage

# What the key of a job's hold begins with.
JOB_KEY = "job:"
_DECIMALS = 12


class WorkspaceLimitReached(OperationError):
    """The workspace may not hold so much of the pool in this billing period."""

    code = "workspace_limit_reached"
    http_status = 402


def check_limit(
    *, pool_id: int, workspace_id: int, key: str, amount: Decimal, now: datetime
) -> None:
    """Refuse a hold with which a workspace takes more than its limit; the pool is locked.

    A hold that was placed under the key before passes. Raises WorkspaceLimitReached.
    """
    limit = PoolLimit.objects.filter(pool=pool_id, workspace=workspace_id).first()
    if limit is None or Hold.objects.filter(pool=pool_id, key=key).exists():
        return
    taken = taken_by(pool_id=pool_id, workspace_id=workspace_id, now=now)
    if taken + amount > limit.amount:
        left = max(ZERO, minus(limit.amount, taken))
        raise WorkspaceLimitReached(
            f"{amount.normalize():f} were asked for; the workspace has taken"
            f" {taken.normalize():f} of its limit of {limit.amount.normalize():f} in this period,"
            f" {left.normalize():f} are left: ask for less, or raise its limit in the pool.",
            field="amount",
        )


def taken_by(*, pool_id: int, workspace_id: int, now: datetime) -> Decimal:
    """Return what a workspace holds and has used of a pool in the period that runs.

    That is its holds: what stands, and what was used of those that were settled; and its share of
    what was drawn for usage, for each price by its share of the meter. The hold of a job whose
    usage was drawn already is left out: it counts once. Without a subscription there is no period:
    all its holds are counted, and nothing is drawn.
    """
    customer_id = CreditPool.objects.values_list("customer_id", flat=True).get(pk=pool_id)
    period = running_periods(customer_ids=[customer_id], now=now).get(customer_id)
    holds = Hold.objects.filter(pool=pool_id, workspace=workspace_id)
    if period is None:
        return _held(holds)
    holds = holds.filter(held_at__gte=period.start, held_at__lt=period.end)
    held = _held(holds.exclude(key__in=_drawn_jobs(holds, period=period)))
    return plus(held, _drawn(pool_id=pool_id, workspace_id=workspace_id, period=period, now=now))


def _held(holds: QuerySet[Hold]) -> Decimal:
    counted = Case(
        When(status=Hold.Status.PENDING, then="amount"),
        When(status=Hold.Status.POSTED, then="used"),
    )
    found: Decimal | None = holds.aggregate(found=Sum(counted))["found"]
    return found or ZERO


def _drawn_jobs(holds: QuerySet[Hold], *, period: Period) -> list[str]:
    """Return the keys of holds whose jobs' usage the last sweep of the period knew."""
    swept = CreditSweep.objects.filter(
        customer_id=period.customer_id, period_start=period.start
    ).first()
    if swept is None:
        return []
    keys = holds.filter(status=Hold.Status.PENDING, key__startswith=JOB_KEY)
    ids = {key.removeprefix(JOB_KEY) for key in keys.values_list("key", flat=True)}
    jobs = Job.objects.filter(public_id__in=ids, settled_xid__lt=swept.horizon)
    return [f"{JOB_KEY}{found}" for found in jobs.values_list("public_id", flat=True)]


def _drawn(*, pool_id: int, workspace_id: int, period: Period, now: datetime) -> Decimal:
    draws = CreditDraw.objects.filter(
        customer_id=period.customer_id,
        period_start__gte=period.start,
        period_start__lt=period.end,
        hold__pool=pool_id,
    )
    left = draws.values_list("price_key").annotate(left=Sum(F("amount") - F("returned")))
    amounts = dict(left.filter(left__gt=0))
    if not amounts:
        return ZERO
    meters = _meters(period.customer_id, amounts)
    window = Window(0, period.customer_id, period.start, min(period.end, now))
    readings = read_usage([window]).readings.get(0, {})
    return total(
        _part(amount, readings[meters[key]], workspace_id=workspace_id)
        for key, amount in amounts.items()
        if meters.get(key) in readings
    )


def _meters(customer_id: int, price_keys: Collection[str]) -> dict[str, int]:
    """Return what the latest versions of the customer's plans measure for prices, by key."""
    prices = Price.objects.filter(
        key__in=price_keys, meter__isnull=False, version__plan__subscriptions__customer=customer_id
    )
    return dict(prices.order_by("version_id").values_list("key", "meter_id"))


def _part(amount: Decimal, reading: Reading, *, workspace_id: int) -> Decimal:
    """Return a workspace's part of what was drawn for a meter, by its share of the quantity."""
    whole = total(quantity for _, quantity in reading.workspaces)
    own = dict(reading.workspaces).get(workspace_id, ZERO)
    return round(EXACT.divide(times(amount, own), whole), _DECIMALS) if whole else ZERO
