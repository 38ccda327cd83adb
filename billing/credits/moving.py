"""Move credit between pools of a customer, and let it expire before its time, by hand.

Both hold the customer's lock, then the pool's, so that no hold is placed meanwhile.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.db import connection, transaction

from billing.credits.granting import GrantKeyTaken
from billing.ledger import postings
from billing.ledger.operations import NewTransaction, post_all
from billing.models import CreditGrant, CreditPool, LedgerEntry, LedgerTransaction
from plans.errors import OperationError


class TransferInvalid(OperationError):
    """Credit is moved between two pools of one customer and one unit, in the unit's decimals."""

    code = "transfer_invalid"


class NotSoMuchFree(OperationError):
    """The grant has less that is free and may still be used."""

    code = "not_so_much_free"


class _Taken(NamedTuple):
    """What was taken out of a grant, and what of its cost went with it."""

    amount: Decimal
    cost: Decimal


@transaction.atomic
def transfer(
    *,
    from_grant: CreditGrant,
    to_pool: CreditPool,
    amount: Decimal,
    key: str,
    reason: str,
    now: datetime,
    by_id: int | None,
) -> CreditGrant:
    """Move free credit of a grant into another pool, once for the key; return the grant there.

    It takes its part of the cost along, and keeps its terms. Raises TransferInvalid, NotSoMuchFree,
    and GrantKeyTaken where another grant was made under the key.
    """
    _lock_pools({from_grant.pool_id, to_pool.pk})
    old = CreditGrant.objects.select_related("pool__unit").get(pk=from_grant.pk)
    before = CreditGrant.objects.filter(pool=to_pool, key=key).first()
    if before is not None:
        return _same(before, old, amount=amount)
    _refuse_invalid(old.pool, to_pool, amount=amount)
    taken = _take(old, amount, now=now)
    new = CreditGrant(
        pool=to_pool,
        key=key,
        source=CreditGrant.Source.TRANSFER,
        note=reason,
        amount=amount,
        remaining=amount,
        priority=old.priority,
        effective_at=old.effective_at,
        expires_at=old.expires_at,
        meters=old.meters,
        job_classes=old.job_classes,
        cost=taken.cost,
        currency=old.currency if taken.cost else "",
        needs_payment=old.needs_payment,
        paid_at=old.paid_at,
        rollover_most=old.rollover_most,
        rollover_months=old.rollover_months,
        rollovers_left=old.rollovers_left,
        rolled_from=old,
        created_by_id=by_id,
    )
    new.save(force_insert=True)
    _post(
        to_pool.customer_id,
        key=f"transfer:{to_pool.key}:{key}",
        reason=LedgerTransaction.Reason.TRANSFER,
        entries=postings.credit_transferred(
            unit=to_pool.unit_id, amount=amount, from_grant=old.pk, to_grant=new.pk
        ),
        note=reason,
        now=now,
        by_id=by_id,
    )
    return new


@transaction.atomic
def expire_early(
    *, grant: CreditGrant, key: str, reason: str, now: datetime, by_id: int | None
) -> Decimal:
    """Let what is free of a grant expire now, once for the key; return how much it was.

    What is held of it stays, and is free again where its hold is released. Raises NotSoMuchFree
    where nothing is free.
    """
    _lock_pools({grant.pool_id})
    old = CreditGrant.objects.select_related("pool").get(pk=grant.pk)
    posting = f"expired:{old.pool.key}:{key}"
    before = _expired_under(old.pool.customer_id, posting)
    if before is not None:
        return before
    taken = _take(old, old.remaining - old.held, now=now)
    credit = postings.Credit(old.pk, old.pool.unit_id, taken.amount, taken.cost, old.currency)
    _post(
        old.pool.customer_id,
        key=posting,
        reason=LedgerTransaction.Reason.EXPIRY,
        entries=postings.credit_expired(credit),
        note=reason,
        now=now,
        by_id=by_id,
    )
    return taken.amount


def _lock_pools(pool_ids: set[int]) -> None:
    with connection.cursor() as cursor:
        for pool_id in sorted(pool_ids):
            cursor.execute("SELECT billing_lock_pool(%s)", [pool_id])


def _take(grant: CreditGrant, amount: Decimal, *, now: datetime) -> _Taken:
    free = grant.remaining - grant.held
    if grant.expires_at is not None and grant.expires_at <= now:
        free = Decimal(0)
    if amount <= 0 or amount > free:
        raise NotSoMuchFree(
            f"Of “{grant.key}” {_plain(free)} are free: state more than zero and no more.",
            field="amount",
        )
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, {"grant": grant.pk, "amount": amount})
        (recognised,) = cursor.fetchone()
    return _Taken(amount, recognised - grant.recognised)


def _same(before: CreditGrant, old: CreditGrant, *, amount: Decimal) -> CreditGrant:
    if (before.source, before.rolled_from_id, before.amount) != (
        CreditGrant.Source.TRANSFER,
        old.pk,
        amount,
    ):
        raise GrantKeyTaken(
            f"Another grant was made under “{before.key}”: give this one a key of its own.",
            field="key",
        )
    return before


def _refuse_invalid(from_pool: CreditPool, to_pool: CreditPool, *, amount: Decimal) -> None:
    if from_pool.customer_id != to_pool.customer_id or from_pool.pk == to_pool.pk:
        raise TransferInvalid("Choose another pool of the same customer.", field="to_pool")
    if from_pool.unit_id != to_pool.unit_id:
        raise TransferInvalid(
            f"{to_pool.name} holds {to_pool.unit_id}: choose a pool of {from_pool.unit_id}.",
            field="to_pool",
        )
    decimals = from_pool.unit.decimals
    if amount != round(amount, decimals):
        raise TransferInvalid(
            f"{from_pool.unit_id} has {decimals} decimals: round the amount.", field="amount"
        )


def _expired_under(customer_id: int, key: str) -> Decimal | None:
    found = LedgerEntry.objects.filter(
        transaction__customer_id=customer_id, transaction__key=key, account__kind=postings.CREDIT
    )
    return found.values_list("amount", flat=True).first()


def _post(
    customer_id: int,
    *,
    key: str,
    reason: str,
    entries: Sequence[postings.Entry],
    note: str,
    now: datetime,
    by_id: int | None,
) -> None:
    new = NewTransaction(
        customer_id, key, reason, now, tuple(entries), note=note, recorded_by_id=by_id
    )
    post_all([new])


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


_TAKE = """
UPDATE billing_creditgrant g SET remaining = g.remaining - %(amount)s,
    recognised = CASE WHEN g.cost = 0 THEN 0 ELSE billing_recognised(
        g.cost, g.amount, g.remaining - %(amount)s,
        (SELECT u.decimals FROM billing_unitofaccount u WHERE u.code = g.currency)) END
WHERE g.id = %(grant)s RETURNING g.recognised
"""
