"""Sell packs of credit: by hand, by top-up, and as usage beyond an allowance needs them."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Q, Sum

from billing.credits.granting import grant_credit
from billing.credits.pools import pool_for_packs, pool_in_unit
from billing.locks import lock_customers
from billing.models import CreditGrant, CreditPool, CreditPurchase
from billing.statements.facts import Period, slices_of
from plans import rating
from plans.errors import OperationError
from plans.models import Customer
from plans.rating.packs import packs_needed
from plans.rating.periods import local_midnight, months_after
from plans.terms import VersionTerms, terms_of

PACKS_MOST = 10_000


class PackNotOnSale(OperationError):
    """No plan that the customer is on sells the pack at that time."""

    code = "pack_not_on_sale"


class PackInvalid(OperationError):
    """The number of packs is none that can be bought."""

    code = "pack_invalid"


class PurchaseKeyTaken(OperationError):
    """Something else was bought under the key."""

    code = "purchase_key_taken"


class AlreadyPaid(OperationError):
    """The grant is paid, or needs no payment."""

    code = "already_paid"


class OnSale(NamedTuple):
    """A pack as a version in force sells it."""

    version: VersionTerms
    pack: rating.CreditPack


class _Order(NamedTuple):
    """What is bought, however it came about; ``credits`` and ``amount`` are for all packs of it."""

    pool: CreditPool
    version_id: int
    pack_key: str
    price_key: str
    name: str
    quantity: int
    credits: Decimal
    amount: Decimal
    expires_at: datetime | None
    priority: int
    needs_payment: bool


def packs_on_sale(*, customer: Customer, at: datetime) -> list[OnSale]:
    """Return the packs that the customer may buy at an instant, in the order of the terms."""
    span = Period(
        0, customer.pk, customer.key, customer.currency, customer.time_zone,
        at, at + timedelta(microseconds=1),
    )  # fmt: skip
    slices, _ = slices_of([span])
    terms = terms_of({one.version for one in slices})
    return [OnSale(known, pack) for known in terms.values() for pack in known.terms.packs]


def amount_of(pack: rating.CreditPack, *, quantity: int, currency: str) -> Decimal:
    """Return what so many packs cost, rounded once."""
    return rating.round_money(pack.amount * quantity, currency=currency)


@transaction.atomic
def buy_pack(
    *,
    customer: Customer,
    pack_key: str,
    quantity: int = 1,
    now: datetime,
    key: str,
    by_id: int | None = None,
) -> CreditPurchase:
    """Sell packs to a customer at the terms in force, once for the key.

    They stand on the statement of the period. Raises PackNotOnSale, PackInvalid, and
    PurchaseKeyTaken where something else was bought under the key.
    """
    if not 0 < quantity <= PACKS_MOST:
        raise PackInvalid(f"Buy between 1 and {PACKS_MOST:,} packs.", field="quantity")
    lock_customers(customer_ids=[customer.pk])
    before = CreditPurchase.objects.filter(customer=customer, grant__key=f"pack:{key}").first()
    if before is not None:
        return _same(before, pack_key=pack_key, quantity=quantity)
    on_sale = packs_on_sale(customer=customer, at=now)
    found = next((one for one in on_sale if one.pack.key == pack_key), None)
    if found is None:
        raise PackNotOnSale(
            f"No plan of {customer.name} sells the pack “{pack_key}” now: choose one of"
            f" {', '.join(one.pack.key for one in on_sale) or 'another plan'}.",
            field="pack",
        )
    return _buy(_order(customer, found, quantity, now=now), key=f"pack:{key}", now=now, by_id=by_id)


def _order(customer: Customer, found: OnSale, quantity: int, *, now: datetime) -> _Order:
    pack = found.pack
    return _Order(
        pool=pool_in_unit(customer=customer, unit=pack.unit),
        version_id=found.version.version_id,
        pack_key=pack.key,
        price_key="",
        name=pack.name,
        quantity=quantity,
        credits=pack.credits * quantity,
        amount=amount_of(pack, quantity=quantity, currency=customer.currency),
        expires_at=_expiry(customer, pack.expires_months, bought_at=now),
        priority=pack.priority,
        needs_payment=pack.needs_payment,
    )


def _same(before: CreditPurchase, *, pack_key: str, quantity: int) -> CreditPurchase:
    if (before.pack_key, before.quantity) != (pack_key, quantity):
        raise PurchaseKeyTaken(
            f"{before.quantity} of “{before.pack_key}” were bought under that key: give this"
            " purchase a key of its own.",
            field="key",
        )
    return before


def _buy(order: _Order, *, key: str, now: datetime, by_id: int | None) -> CreditPurchase:
    """Grant what is bought and note the purchase. The customer is locked."""
    grant = grant_credit(
        pool=order.pool,
        key=key,
        source=CreditGrant.Source.BOUGHT,
        amount=order.credits,
        effective_at=now,
        expires_at=order.expires_at,
        priority=order.priority,
        cost=order.amount,
        needs_payment=order.needs_payment,
        note=f"{order.quantity} of {order.name}",
        by_id=by_id,
        now=now,
    )
    return CreditPurchase.objects.create(
        customer_id=order.pool.customer_id,
        grant=grant,
        version_id=order.version_id,
        pack_key=order.pack_key,
        price_key=order.price_key,
        name=order.name,
        quantity=order.quantity,
        amount=order.amount,
        bought_at=now,
        bought_by_id=by_id,
    )


def _expiry(customer: Customer, months: int | None, *, bought_at: datetime) -> datetime | None:
    """Return the local midnight so many months after the day of the purchase."""
    if months is None:
        return None
    day = bought_at.astimezone(ZoneInfo(customer.time_zone)).date()
    return local_midnight(months_after(day, months), zone=customer.time_zone)


@transaction.atomic
def ensure_packs(
    *, customer: Customer, version_id: int, price: rating.Price, short: Decimal, within: Period,
    now: datetime,
) -> int:  # fmt: skip
    """Buy the packs that hold ``short`` units beyond what a customer has; return how many.

    Fewer are bought, or none, where the price sells at most so many in a period. A purchase after
    the period's end is dated at its last instant, so that it stands on the period's statement.
    """
    lock_customers(customer_ids=[customer.pk])
    size, each = price.overage.pack_size, price.overage.pack_amount
    if size is None or each is None:
        return 0
    count = packs_needed(short, size=size)
    bought = _bought_in(customer, price, within=within)
    if price.overage.packs_most is not None:
        count = min(count, price.overage.packs_most - bought)
    at = min(now, within.end - timedelta(microseconds=1))
    for number in range(bought + 1, bought + count + 1):
        order = _Order(
            pool=pool_for_packs(customer=customer, price=price),
            version_id=version_id,
            pack_key=price.key,
            price_key=price.key,
            name=price.name,
            quantity=1,
            credits=size,
            amount=rating.round_money(each, currency=customer.currency),
            expires_at=_expiry(customer, price.overage.pack_months, bought_at=at),
            priority=100,
            needs_payment=False,
        )
        _buy(order, key=f"overage:{within.start:%Y-%m-%d}:{number}", now=at, by_id=None)
    return max(count, 0)


def _bought_in(customer: Customer, price: rating.Price, *, within: Period) -> int:
    rows = CreditPurchase.objects.filter(
        Q(bought_at__gte=within.start, bought_at__lt=within.end),
        customer=customer,
        price_key=price.key,
    )
    return rows.aggregate(found=Sum("quantity"))["found"] or 0


@transaction.atomic
def mark_paid(*, grant_id: int, paid_at: datetime, now: datetime) -> CreditGrant:
    """Let a grant that needs payment be used from when it was paid. Raises AlreadyPaid.

    What it was rolled over from and into is paid with it: all of it is the same credit. Nothing
    is posted: what the customer owes for the pack stands on a statement, and the money is
    posted as the payment of that statement.
    """
    pool = CreditPool.objects.get(grants=grant_id)
    lock_customers(customer_ids=[pool.customer_id])
    grant = CreditGrant.objects.get(pk=grant_id)
    if not grant.needs_payment or grant.paid_at is not None:
        raise AlreadyPaid("The grant is paid already, or needs no payment.")
    for each in (grant, *_same_credit(grant)):
        each.paid_at = min(paid_at, now)
        each.save(update_fields=["paid_at"])
    return grant


def _same_credit(grant: CreditGrant) -> Iterator[CreditGrant]:
    """Yield what a grant was rolled over from and into, as far as it waits for payment."""
    waiting = CreditGrant.objects.filter(needs_payment=True, paid_at=None)
    before = waiting.filter(rolled_into=grant).first()
    while before is not None:
        yield before
        before = waiting.filter(rolled_into=before).first()
    after = waiting.filter(rolled_from=grant).first()
    while after is not None:
        yield after
        after = waiting.filter(rolled_from=after).first()
