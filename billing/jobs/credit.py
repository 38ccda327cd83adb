"""Credit that jobs pin: from admission until their usage is rated and drawn."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from billing.credits.holding import place_hold, void_hold
from billing.models import CreditPool, Hold
from plans.rating.money import ZERO, plus

# A hold of a job ends with its usage. This is for those whose job is gone.
HOLD_LASTS = timedelta(days=366)

_FREE = """
SELECT p.id, p.unit_id, coalesce((
    SELECT sum(u.free) FROM billing_usable_grants(p.id, %(at)s, '', %(job_class)s) u), 0)
FROM billing_creditpool p WHERE p.customer_id = %(customer)s AND p.unit_id = ANY(%(units)s)
ORDER BY p.id
"""


def free_credit(
    customer_id: int, units: Iterable[str], job_class: str, *, now: datetime
) -> dict[str, Decimal]:
    """Return what a customer's pools have free for jobs of a class, by unit; no units, no query."""
    found: dict[str, Decimal] = {}
    for _, unit, free in _pools(customer_id, list(units), job_class, now=now):
        found[unit] = plus(found.get(unit, ZERO), free)
    return found


def hold_credit(
    *,
    customer_id: int,
    amounts: Mapping[str, Decimal],
    key: str,
    job_class: str,
    workspace_id: int | None,
    now: datetime,
) -> None:
    """Pin so much of each unit under a key, pool by pool, as far as the pools have it.

    Raises WorkspaceLimitReached.
    """
    left = dict(amounts)
    for pool_id, unit, free in _pools(customer_id, list(amounts), job_class, now=now):
        part = min(free, left[unit])
        if part > 0:
            place_hold(
                pool_id=pool_id,
                key=key,
                amount=part,
                now=now,
                expires_at=now + HOLD_LASTS,
                job_class=job_class,
                workspace_id=workspace_id,
            )
            left[unit] -= part


def release_credit(*, customer_id: int, public_ids: Iterable[str], now: datetime) -> int:
    """End the holds of jobs at nothing: their usage was drawn, or they used none."""
    keys = [f"job:{public_id}" for public_id in public_ids]
    standing = Hold.objects.filter(
        pool__in=CreditPool.objects.filter(customer_id=customer_id),
        key__in=keys,
        status=Hold.Status.PENDING,
    )
    ids = list(standing.order_by("pk").values_list("pk", flat=True))
    for hold_id in ids:
        void_hold(hold_id=hold_id, now=now)
    return len(ids)


def _pools(
    customer_id: int, units: list[str], job_class: str, *, now: datetime
) -> list[tuple[int, str, Decimal]]:
    if not units:
        return []
    values: dict[str, Any] = {
        "customer": customer_id,
        "units": units,
        "at": now,
        "job_class": job_class,
    }
    with connection.cursor() as cursor:
        cursor.execute(_FREE, values)
        return list(cursor.fetchall())
