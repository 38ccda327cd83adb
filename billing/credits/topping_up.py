"""Buy a pack as soon as a pool is low: decided by values alone, under the customer's lock."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet, Sum

from billing.credits.buying import buy_pack, packs_on_sale
from billing.credits.queries import balance_of
from billing.locks import lock_customers
from billing.models import CreditPool, CreditPurchase, TopUp
from billing.spend.periods import running_periods
from plans import rating
from plans.clock import due
from plans.errors import OperationError
from plans.models import Customer

PAGE: Final = 500
PAUSE: Final = timedelta(hours=1)
FAILURES_MOST: Final = 3


class NoSubscription(OperationError):
    """The customer is on no plan, so that no pack is on sale."""

    code = "no_subscription"


class PackFillsAnotherPool(OperationError):
    """What is bought would lie in another pool than the one that runs low."""

    code = "pack_fills_another_pool"


class Choice(StrEnum):
    """What is done about a pool, and why not more."""

    BUY = "buy"
    ENOUGH = "enough"
    OFF = "off"
    WAITS = "waits"
    UNPAID = "unpaid"
    COOLING = "cooling"
    MOST = "most"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """All that decides over a top-up. ``bought`` counts the packs of it in the billing period."""

    available: Decimal
    threshold: Decimal
    bought: int
    most: int
    last_bought_at: datetime | None
    cooldown: timedelta
    unpaid: bool


def decide(standing: Standing, *, at: datetime) -> Choice:
    """Return whether a pack is to be bought. Pure.

    A pack that waits for its payment is no credit yet, and still the answer to this need: it
    blocks another one.
    """
    if standing.available >= standing.threshold:
        return Choice.ENOUGH
    if standing.unpaid:
        return Choice.UNPAID
    if standing.bought >= standing.most:
        return Choice.MOST
    last = standing.last_bought_at
    if last is not None and at < last + standing.cooldown:
        return Choice.COOLING
    return Choice.BUY


def pools_to_top_up(*, now: datetime, after: int, limit: int = PAGE) -> list[int]:
    """Return the next pools, by id, whose top-up is on and need not wait for its next try."""
    ready = Q(next_try_at=None) | due("next_try_at", now=now, customer="pool__customer")
    rows = TopUp.objects.filter(ready, enabled=True, disabled_at=None, pool_id__gt=after)
    return list(rows.order_by("pool_id").values_list("pool_id", flat=True)[:limit])


def top_up(*, pool_ids: Collection[int], now: datetime) -> int:
    """Buy a pack for each pool that is low; return how many were bought.

    Each is a transaction of its own, at the time of the pool's customer. A refusal is kept with
    its reason and tried again after a pause that doubles; the third in a row disables the top-up.
    """
    pools = CreditPool.objects.filter(pk__in=pool_ids).select_related("customer").order_by("pk")
    return sum(_top_up(pool, at=pool.customer.clock_at or now) is Choice.BUY for pool in pools)


@transaction.atomic
def _top_up(pool: CreditPool, *, at: datetime) -> Choice:
    lock_customers(customer_ids=[pool.customer_id])
    settings = TopUp.objects.filter(pool=pool).first()
    if settings is None or not settings.enabled or settings.disabled_at is not None:
        return Choice.OFF
    if settings.next_try_at is not None and settings.next_try_at > at:
        return Choice.WAITS
    try:
        with transaction.atomic():
            choice = _buy_if_low(pool, settings, at=at)
    except (OperationError, rating.RatingError) as refusal:
        _note_failure(settings, refusal, at=at)
        return Choice.WAITS
    if choice is Choice.BUY and settings.failures:
        clear_failures(settings)
    return choice


def _buy_if_low(pool: CreditPool, settings: TopUp, *, at: datetime) -> Choice:
    available = balance_of(pool_id=pool.pk, at=at).available
    if available >= settings.threshold:
        return Choice.ENOUGH
    bought = _bought(pool)
    choice = decide(
        Standing(
            available=available,
            threshold=settings.threshold,
            bought=_in_period(bought, customer=pool.customer, at=at),
            most=settings.most_per_period,
            last_bought_at=bought.order_by("-pk").values_list("bought_at", flat=True).first(),
            cooldown=timedelta(minutes=settings.cooldown_minutes),
            unpaid=bought.filter(grant__needs_payment=True, grant__paid_at=None).exists(),
        ),
        at=at,
    )
    if choice is Choice.BUY:
        _check_pack(pool, pack_key=settings.pack_key, at=at)
        number = bought.count() + 1
        key = f"top-up:{pool.pk}:{number}"
        buy_pack(customer=pool.customer, pack_key=settings.pack_key, now=at, key=key)
    return choice


def _bought(pool: CreditPool) -> QuerySet[CreditPurchase]:
    return CreditPurchase.objects.filter(
        customer_id=pool.customer_id,
        grant__pool=pool,
        grant__key__startswith=f"pack:top-up:{pool.pk}:",
    )


def _in_period(bought: QuerySet[CreditPurchase], *, customer: Customer, at: datetime) -> int:
    period = running_periods(customer_ids=[customer.pk], now=at).get(customer.pk)
    if period is None:
        raise NoSubscription(
            f"{customer.name} is on no plan now: no pack is on sale. Subscribe it, or turn the"
            " top-up off.",
            field="pack",
        )
    rows = bought.filter(bought_at__gte=period.start, bought_at__lt=period.end)
    return rows.aggregate(found=Sum("quantity"))["found"] or 0


def _check_pack(pool: CreditPool, *, pack_key: str, at: datetime) -> None:
    """Refuse a pack whose credit would lie elsewhere: the pool would stay low and buy again."""
    on_sale = packs_on_sale(customer=pool.customer, at=at)
    found = next((one.pack for one in on_sale if one.pack.key == pack_key), None)
    if found is None:
        return
    filled = CreditPool.objects.filter(customer=pool.customer_id, unit=found.unit.code)
    if filled.order_by("pk").values_list("pk", flat=True).first() != pool.pk:
        raise PackFillsAnotherPool(
            f"The pack “{pack_key}” is of {found.unit.code} and would not lie in {pool.name}:"
            " name a pack that fills this pool, or top up the customer's first pool of that unit.",
            field="pack",
        )


def _note_failure(
    settings: TopUp, refusal: OperationError | rating.RatingError, *, at: datetime
) -> None:
    failures = settings.failures + 1
    settings.failures = failures
    settings.failure_code = getattr(refusal, "code", "") or "not_priced"
    settings.failure = str(refusal)
    settings.failed_at = at
    settings.next_try_at = at + PAUSE * 2 ** (failures - 1)
    settings.disabled_at = at if failures >= FAILURES_MOST else None
    settings.save()


def clear_failures(settings: TopUp) -> None:
    """Forget what failed and try again at once; the customer is locked."""
    settings.failures = 0
    settings.failure_code = settings.failure = ""
    settings.failed_at = settings.next_try_at = settings.disabled_at = None
    settings.save()
