"""Find the pools that are low, and store one message for each until they are not any more."""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.db import transaction

from billing.credits.queries import balance_of
from billing.locks import lock_customers
from billing.models import CreditPool, EventType, LowBalance, LowBalanceAlert
from billing.webhooks.emitting import NewEvent, emit

PAGE: Final = 500


def pools_to_watch(*, after: int, limit: int = PAGE) -> list[int]:
    """Return the next pools, by id, whose balance somebody wants to know of."""
    rows = LowBalance.objects.filter(pool_id__gt=after).order_by("pool_id")
    return list(rows.values_list("pool_id", flat=True)[:limit])


def notice_low_balances(*, pool_ids: Collection[int], now: datetime) -> int:
    """Store an alert and its webhook for each pool that is low and has none; return how many.

    Where a pool is back at its threshold its alert is rearmed, so that another may follow. Safe to
    call twice or at once: each pool is looked at under its customer's lock.
    """
    pools = CreditPool.objects.filter(pk__in=pool_ids).select_related("customer").order_by("pk")
    return sum(_notice(pool, at=pool.customer.clock_at or now) for pool in pools)


@transaction.atomic
def _notice(pool: CreditPool, *, at: datetime) -> bool:
    lock_customers(customer_ids=[pool.customer_id])
    watch = LowBalance.objects.filter(pool=pool).first()
    if watch is None:
        return False
    standing = LowBalanceAlert.objects.filter(pool=pool, rearmed_at=None)
    available = balance_of(pool_id=pool.pk, at=at).available
    if available >= watch.threshold:
        standing.update(rearmed_at=at)
        return False
    if standing.exists():
        return False
    alert = LowBalanceAlert.objects.create(
        pool=pool,
        threshold=watch.threshold,
        available=available,
        email=watch.email or pool.customer.email,
        created_at=at,
    )
    emit([_event_of(alert)])
    return True


def _event_of(alert: LowBalanceAlert) -> NewEvent:
    pool = alert.pool
    return NewEvent(
        key=f"{EventType.CREDIT_LOW_BALANCE}:{alert.pk}",
        type=EventType.CREDIT_LOW_BALANCE,
        customer_id=pool.customer_id,
        happened_at=alert.created_at,
        data={
            "customer": pool.customer.key,
            "pool": pool.key,
            "unit": pool.unit_id,
            "available": _plain(alert.available),
            "threshold": _plain(alert.threshold),
        },
    )


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
