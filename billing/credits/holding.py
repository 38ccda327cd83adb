"""Hold credit, and end a hold: at its true amount, at nothing, or by time.

A hold is placed in one call under its pool's lock. What ends one holds the customer's lock first,
then the pool's; nobody takes them the other way round.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.db import connection, transaction

from billing.credits.burn import Ended, GrantState, Slice, end_slices
from billing.ledger import postings
from billing.ledger.operations import NewTransaction, post_all
from billing.locks import lock_customers, lock_pool
from billing.models import CreditGrant, CreditPool, Hold, HoldSlice, LedgerTransaction
from plans.errors import OperationError
from plans.rating.money import ZERO, minus, plus, total

PAGE = 500


class NotEnoughCredit(OperationError):
    """The pool has less credit available than was asked for."""

    code = "not_enough_credit"


class HoldKeyTaken(OperationError):
    """Another hold of the pool was placed under the key."""

    code = "hold_key_taken"


class HoldEnded(OperationError):
    """The hold has ended, and in another way than was asked for."""

    code = "hold_ended"


class Held(NamedTuple):
    """A hold that stands, and what is available in the pool beside it (None: it stood before)."""

    hold_id: int
    available: Decimal | None


class Settled(NamedTuple):
    """What a hold came to: ``used`` of its pool, and ``short``, what the pool did not have."""

    used: Decimal
    short: Decimal


def place_hold(
    *,
    pool_id: int,
    key: str,
    amount: Decimal,
    now: datetime,
    expires_at: datetime,
    meter: str = "",
    job_class: str = "",
) -> Held:
    """Reserve credit for a meter and a job class, once for its key.

    Raises NotEnoughCredit, and HoldKeyTaken where another amount was held under the key.
    """
    if amount <= 0:
        raise NotEnoughCredit(f"Nothing is held by {amount}: state more than zero.", field="amount")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT * FROM billing_place_hold(%s, %s, %s, %s, %s, %s, %s)",
            [pool_id, key, amount, now, expires_at, meter, job_class],
        )
        hold_id, held, available = cursor.fetchone()
    if hold_id is None:
        raise NotEnoughCredit(
            f"{amount} were asked for, and {available.normalize():f} are available.",
            field="amount",
        )
    if held != amount:
        raise HoldKeyTaken(f"“{key}” holds {held.normalize():f} already.", field="key")
    return Held(hold_id, available)


@transaction.atomic
def settle_hold(*, hold_id: int, amount: Decimal, now: datetime) -> Settled:
    """End a hold at its true amount: use so much, release the rest.

    What lies above the hold is taken from the pool as far as it has credit; the caller decides on
    what is ``short``. Settled again at the same amount, nothing happens. Raises HoldEnded.
    """
    hold = _lock_hold(hold_id)
    if hold.status != Hold.Status.PENDING:
        return _settled_before(hold, amount)
    ended = end_slices(_slices(hold), amount=amount, now=now)
    hold.asked = amount
    _end(hold, ended, status=Hold.Status.POSTED, now=now)
    more = _use_more(hold, minus(amount, hold.used), now=now)
    return _settled(amount, used=plus(hold.used, more))


@transaction.atomic
def void_hold(*, hold_id: int, now: datetime) -> None:
    """End a hold at nothing; what was voided or expired before stays so. Raises HoldEnded."""
    hold = _lock_hold(hold_id)
    if hold.status == Hold.Status.POSTED:
        raise HoldEnded(f"“{hold.key}” is settled at {hold.used.normalize():f}.")
    if hold.status == Hold.Status.PENDING:
        ended = end_slices(_slices(hold), amount=ZERO, now=now)
        _end(hold, ended, status=Hold.Status.VOIDED, now=now)


def spend(
    *,
    pool_id: int,
    key: str,
    amount: Decimal,
    now: datetime,
    meter: str = "",
    job_class: str = "",
) -> Settled:
    """Use credit at once, once for its key: a hold that is settled in the same transaction.

    Raises NotEnoughCredit, HoldKeyTaken.
    """
    with transaction.atomic():
        pool = CreditPool.objects.get(pk=pool_id)
        lock_customers(customer_ids=[pool.customer_id])
        held = place_hold(
            pool_id=pool_id,
            key=key,
            amount=amount,
            now=now,
            expires_at=now,
            meter=meter,
            job_class=job_class,
        )
        return settle_hold(hold_id=held.hold_id, amount=amount, now=now)


def expire_holds(*, now: datetime, limit: int = PAGE) -> int:
    """End the holds whose time is up, each in a transaction of its own; return how many."""
    due = Hold.objects.filter(status=Hold.Status.PENDING, expires_at__lte=now)
    ids = list(due.order_by("expires_at").values_list("pk", flat=True)[:limit])
    return sum(_expire_hold(hold_id, now=now) for hold_id in ids)


@transaction.atomic
def _expire_hold(hold_id: int, *, now: datetime) -> bool:
    hold = _lock_hold(hold_id)
    if hold.status != Hold.Status.PENDING or hold.expires_at > now:
        return False
    ended = end_slices(_slices(hold), amount=ZERO, now=now)
    _end(hold, ended, status=Hold.Status.EXPIRED, now=now)
    return True


def _lock_hold(hold_id: int) -> Hold:
    """Return a hold under its customer's and its pool's lock."""
    hold = Hold.objects.select_related("pool").get(pk=hold_id)
    lock_customers(customer_ids=[hold.pool.customer_id])
    lock_pool(pool_id=hold.pool_id)
    return Hold.objects.select_related("pool").get(pk=hold_id)


def _settled(amount: Decimal, *, used: Decimal) -> Settled:
    return Settled(used, minus(amount, used))


def _settled_before(hold: Hold, amount: Decimal) -> Settled:
    if hold.status == Hold.Status.POSTED and hold.asked == amount:
        more = Hold.objects.filter(pool_id=hold.pool_id, key=_key_beyond(hold)).first()
        return _settled(amount, used=plus(hold.used, more.used if more else ZERO))
    raise HoldEnded(
        f"“{hold.key}” is {hold.get_status_display().lower()} at {hold.used.normalize():f}."
    )


def _slices(hold: Hold) -> list[Slice]:
    rows = HoldSlice.objects.filter(hold=hold).select_related("grant").order_by("position")
    unit = hold.pool.unit_id
    return [Slice(grant_state(row.grant, unit=unit), row.amount) for row in rows]


def grant_state(row: CreditGrant, *, unit: str) -> GrantState:
    """Return a grant's row as a value."""
    return GrantState(
        id=row.pk,
        unit=unit,
        amount=row.amount,
        remaining=row.remaining,
        cost=row.cost,
        currency=row.currency,
        recognised=row.recognised,
        expires_at=row.expires_at,
    )


_GRANTS = """
UPDATE billing_creditgrant g
SET remaining = g.remaining - e.gone, held = g.held - e.pinned,
    recognised = g.recognised + e.recognised
FROM unnest(%s::bigint[], %s::numeric[], %s::numeric[], %s::numeric[])
     AS e(id, gone, pinned, recognised)
WHERE g.id = e.id
"""


def _end(hold: Hold, ended: Sequence[Ended], *, status: str, now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            _GRANTS,
            [
                [part.grant.id for part in ended],
                [plus(part.used.amount, part.expired.amount) for part in ended],
                [part.pinned for part in ended],
                [plus(part.used.cost, part.expired.cost) for part in ended],
            ],
        )
    hold.status, hold.ended_at = status, now
    hold.used = total(part.used.amount for part in ended)
    hold.save(update_fields=["status", "ended_at", "used", "asked"])
    post_all(
        [
            _posting(hold, "use", postings.credit_used(part.used for part in ended), now=now),
            _posting(
                hold, "expiry", postings.credit_expired(part.expired for part in ended), now=now
            ),
        ]
    )


def _posting(
    hold: Hold, reason: str, entries: tuple[postings.Entry, ...], *, now: datetime
) -> NewTransaction:
    return NewTransaction(
        customer_id=hold.pool.customer_id,
        key=f"{reason}:{hold.pool.key}:{hold.key}",
        reason=LedgerTransaction.Reason(reason),
        happened_at=now,
        entries=entries,
    )


def _use_more(hold: Hold, beyond: Decimal, *, now: datetime) -> Decimal:
    """Use as much of what lies above a hold as the pool has; return how much that was."""
    amount = min(beyond, _available(hold, now=now)) if beyond > 0 else ZERO
    if amount <= 0:
        return ZERO
    held = place_hold(
        pool_id=hold.pool_id,
        key=_key_beyond(hold),
        amount=amount,
        now=now,
        expires_at=now,
        meter=hold.meter,
        job_class=hold.job_class,
    )
    return settle_hold(hold_id=held.hold_id, amount=amount, now=now).used


def _key_beyond(hold: Hold) -> str:
    return f"{hold.key}:beyond"


def _available(hold: Hold, *, now: datetime) -> Decimal:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(free), 0) FROM billing_usable_grants(%s, %s, %s, %s)",
            [hold.pool_id, now, hold.meter, hold.job_class],
        )
        return Decimal(cursor.fetchone()[0])
