"""Open pools and add credit to them."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import transaction

from billing.ledger import postings
from billing.ledger.operations import NewTransaction, open_accounts, post_all
from billing.locks import lock_customers
from billing.models import CreditGrant, CreditPool, LedgerTransaction, UnitOfAccount
from plans.errors import OperationError, Problem, refusing, validation_problems
from plans.models import Customer
from plans.rating import round_money


class CreditInvalid(OperationError):
    """What was said of a unit, a pool or a grant cannot be; ``problems`` lists all of it."""

    code = "credit_invalid"
    http_status = 422


class PoolKeyTaken(OperationError):
    """The customer has another pool with the key."""

    code = "pool_key_taken"


class GrantKeyTaken(OperationError):
    """Another grant of the pool was made under the key."""

    code = "grant_key_taken"
    http_status = 409


def define_credit_unit(*, code: str, name: str, decimals: int = 0) -> UnitOfAccount:
    """Define a named credit, or return the one that there is. Raises CreditInvalid."""
    unit = UnitOfAccount(code=code, name=name, kind=UnitOfAccount.Kind.CREDIT, decimals=decimals)
    found = UnitOfAccount.objects.filter(pk=code).first()
    if found is None:
        _refuse_unclean(unit)
        unit.save(force_insert=True)
        return unit
    if (found.kind, found.decimals) != (unit.kind, unit.decimals):
        raise CreditInvalid(f"“{code}” is another unit of account already.", field="code")
    return found


def open_pool(*, customer: Customer, key: str, name: str, unit: UnitOfAccount) -> CreditPool:
    """Open a credit pool of a customer. Raises CreditInvalid, PoolKeyTaken."""
    pool = CreditPool(customer=customer, key=key, name=name, unit=unit)
    _refuse_unclean(pool)
    refusal = PoolKeyTaken(f"{customer.name} has a pool with the key “{key}”.", field="key")
    with refusing({"one_pool_per_key": refusal}):
        pool.save(force_insert=True)
    return pool


@transaction.atomic
def grant_credit(
    *,
    pool: CreditPool,
    key: str,
    source: str,
    amount: Decimal,
    effective_at: datetime | None,
    expires_at: datetime | None = None,
    priority: int = 100,
    meters: Sequence[str] = (),
    job_classes: Sequence[str] = (),
    cost: Decimal = Decimal(0),
    needs_payment: bool = False,
    paid_at: datetime | None = None,
    rollover_most: Decimal | None = None,
    rollover_months: int | None = None,
    rollovers: int = 0,
    note: str = "",
    by_id: int | None = None,
    now: datetime,
) -> CreditGrant:
    """Add credit to a pool and post it, once for its key; ``cost`` is in the customer's currency.

    ``effective_at`` None is from now on, and for a key that was granted before, as it was then.
    Raises CreditInvalid, and GrantKeyTaken where another grant was made under the key.
    """
    lock_customers(customer_ids=[pool.customer_id])
    grant = CreditGrant(
        pool=pool,
        key=key,
        source=source,
        amount=amount,
        remaining=amount,
        effective_at=effective_at or now,
        expires_at=expires_at,
        priority=priority,
        meters=list(meters),
        job_classes=list(job_classes),
        cost=cost,
        currency=pool.customer.currency if cost else "",
        needs_payment=needs_payment,
        paid_at=paid_at,
        rollover_most=rollover_most,
        rollover_months=rollover_months,
        rollovers_left=rollovers,
        note=note,
        created_by_id=by_id,
    )
    before = CreditGrant.objects.filter(pool=pool, key=key).first()
    if before is not None:
        return _same(before, grant, begins=effective_at is not None)
    _refuse_impossible(grant)
    grant.save(force_insert=True)
    credit = postings.Credit(grant.pk, pool.unit_id, amount, cost, grant.currency)
    open_accounts(customer_id=pool.customer_id, accounts=_accounts(grant))
    post_all(
        [
            NewTransaction(
                customer_id=pool.customer_id,
                key=f"grant:{pool.key}:{key}",
                reason=LedgerTransaction.Reason.GRANT,
                happened_at=now,
                entries=postings.credit_granted(credit),
                note=note,
                recorded_by_id=by_id,
            )
        ]
    )
    return grant


def _accounts(grant: CreditGrant) -> list[tuple[str, str]]:
    """Return the accounts, by kind and unit, that a grant's credit and its cost ever move on."""
    kinds = [postings.CREDIT, postings.ISSUED, postings.USED, postings.EXPIRED]
    found = [(kind, grant.pool.unit_id) for kind in kinds]
    if grant.cost:
        kinds = [postings.UNBILLED, postings.DEFERRED, postings.REVENUE, postings.BREAKAGE]
        found += [(kind, grant.currency) for kind in kinds]
    return found


def _same(before: CreditGrant, grant: CreditGrant, *, begins: bool) -> CreditGrant:
    """Return the grant that was made before; ``begins`` says that the new one states its time."""
    names = ["source", "amount", "expires_at", "priority", "cost"]
    names += ["effective_at"] if begins else []
    if any(getattr(before, name) != getattr(grant, name) for name in names):
        raise GrantKeyTaken(
            f"Another grant was made under “{grant.key}”: give this one a key of its own.",
            field="key",
        )
    return before


def _refuse_impossible(grant: CreditGrant) -> None:
    decimals = grant.pool.unit.decimals
    found = []
    if grant.amount <= 0:
        found.append(Problem("not_positive", "amount", "Grant more than nothing."))
    if grant.amount != round(grant.amount, decimals):
        message = f"{grant.pool.unit_id} has {decimals} decimals: round the amount."
        found.append(Problem("too_many_decimals", "amount", message))
    if grant.expires_at is not None and grant.expires_at <= grant.effective_at:
        message = "Credit expires after it takes effect: choose a later time."
        found.append(Problem("expires_too_early", "expires_at", message))
    if grant.cost < 0:
        found.append(Problem("negative", "cost", "A cost is not below zero."))
    elif grant.cost and round_money(grant.cost, currency=grant.currency) != grant.cost:
        message = f"{grant.cost} is no amount of {grant.currency}: round it."
        found.append(Problem("too_many_decimals", "cost", message))
    if found:
        raise CreditInvalid(found[0].message, field=found[0].field, problems=tuple(found))


def _refuse_unclean(row: UnitOfAccount | CreditPool) -> None:
    try:
        row.clean_fields()
        row.clean()
    except ValidationError as error:
        problems = validation_problems(error)
        raise CreditInvalid(
            problems[0].message, field=problems[0].field, problems=problems
        ) from error
