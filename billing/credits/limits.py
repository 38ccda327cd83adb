"""What a workspace takes of a pool in a billing period, and the most that it may.

It is asked as a hold is placed, under the pool's lock. What statements draw is not blocked: usage
is usage, and a workspace that used more than its limit still pays by the pool.
"""

from datetime import datetime
from decimal import Decimal

from django.db.models import Case, Sum, When

from billing.models import CreditPool, Hold, PoolLimit
from billing.spend.periods import running_periods
from plans.errors import OperationError
from plans.rating.money import ZERO, minus


class WorkspaceLimitReached(OperationError):
    """The workspace may not hold so much of the pool in this billing period."""

    code = "workspace_limit_reached"
    http_status = 402


def check_limit(
    *, pool_id: int, workspace_id: int, key: str, amount: Decimal, now: datetime
) -> None:
    """Refuse a hold with which a workspace takes more than its limit; the pool is locked.

    Counted are its holds of the period: what stands, and what was used of those that were
    settled. A hold that was placed under the key before passes. Without a subscription there is no
    period, and all its holds are counted. Raises WorkspaceLimitReached.
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
    """Return what a workspace holds and has used by holds in the period that runs."""
    customer_id = CreditPool.objects.values_list("customer_id", flat=True).get(pk=pool_id)
    holds = Hold.objects.filter(pool=pool_id, workspace=workspace_id)
    period = running_periods(customer_ids=[customer_id], now=now).get(customer_id)
    if period is not None:
        holds = holds.filter(held_at__gte=period.start, held_at__lt=period.end)
    counted = Case(
        When(status=Hold.Status.PENDING, then="amount"),
        When(status=Hold.Status.POSTED, then="used"),
    )
    return holds.aggregate(found=Sum(counted))["found"] or ZERO
