"""A customer's credit for services: balances, grants and the journal, in pages."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, TypeVar

from django.db.models import Prefetch

from billing.credits.queries import annotated_with_balances
from billing.models import CreditGrant, CreditPool, LedgerEntry, LedgerTransaction
from billing.queries.statements import Page, UnknownCustomer
from plans.models import Customer

PAGE = 50

Row = TypeVar("Row", CreditGrant, LedgerTransaction)


class UnknownPool(LookupError):
    """The customer has no credit pool with the key."""

    code = "unknown_pool"
    http_status = 404


class PoolBalance(NamedTuple):
    """A pool at an instant; see ``billing.credits.queries.Balance``."""

    pool: str
    name: str
    unit: str
    settled: Decimal
    held: Decimal
    available: Decimal


def customer_of(key: str) -> Customer:
    """Return a customer by its key. Raises UnknownCustomer."""
    try:
        return Customer.objects.get(key=key)
    except Customer.DoesNotExist as error:
        raise UnknownCustomer(f"No customer has the key “{key}”.") from error


def pool_of(*, customer: Customer, key: str) -> CreditPool:
    """Return a customer's pool by its key. Raises UnknownPool."""
    try:
        return CreditPool.objects.select_related("customer", "unit").get(customer=customer, key=key)
    except CreditPool.DoesNotExist as error:
        raise UnknownPool(f"{customer.name} has no credit pool with the key “{key}”.") from error


def balances_of(*, customer: Customer, at: datetime) -> list[PoolBalance]:
    """Return the balance of each of a customer's pools at an instant from now on, in one query.

    What is granted now and lapses, or takes effect, until then is counted as it will stand.
    """
    pools = annotated_with_balances(CreditPool.objects.filter(customer=customer), at=at)
    return [
        PoolBalance(
            pool=pool.key,
            name=pool.name,
            unit=pool.unit_id,
            settled=pool.settled,  # type: ignore[attr-defined] # annotated
            held=pool.held,  # type: ignore[attr-defined]
            available=pool.available,  # type: ignore[attr-defined]
        )
        for pool in pools.order_by("key")
    ]


def grants_of(
    *, customer: Customer, pool: str | None = None, after: int | None = None, limit: int = PAGE
) -> Page[CreditGrant]:
    """Return a customer's grants, newest first, of all pools or of one, below the id ``after``."""
    found = CreditGrant.objects.filter(pool__customer=customer).select_related("pool")
    if pool is not None:
        found = found.filter(pool=pool_of(customer=customer, key=pool))
    if after is not None:
        found = found.filter(pk__lt=after)
    return _page(list(found.order_by("-pk")[: limit + 1]), limit=limit)


def journal_of(
    *, customer: Customer, after: int | None = None, limit: int = PAGE
) -> Page[LedgerTransaction]:
    """Return what was posted for a customer with its entries, newest first, below ``after``."""
    entries = LedgerEntry.objects.select_related("account", "grant").order_by("pk")
    found = LedgerTransaction.objects.filter(customer=customer).select_related(
        "statement", "corrects"
    )
    if after is not None:
        found = found.filter(pk__lt=after)
    rows = found.order_by("-pk").prefetch_related(Prefetch("entries", entries))
    return _page(list(rows[: limit + 1]), limit=limit)


def _page(rows: Sequence[Row], *, limit: int) -> Page[Row]:
    return Page(rows[:limit], rows[limit - 1].pk if len(rows) > limit else None)
