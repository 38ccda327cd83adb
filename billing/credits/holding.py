"""Hold credit, and end a hold: at its true amount, at nothing, or by time.

Each is one call of a function of the database, which holds the order of use and posts what was
used: a second round trip would cost more than all that it does. A hold is placed under its pool's
lock. What ends one holds the customer's lock first, then the pool's; nobody takes them the other
way round.
"""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.db import connection, transaction

from billing.credits.limits import check_limit
from billing.locks import lock_pool
from billing.models import Hold
from plans.errors import OperationError
from plans.rating.money import minus
from usage.prepared import first_row

PAGE = 500

# The types are said, so that a connection prepares each of these once, however large the numbers.
_PLACE = """
SELECT * FROM billing_place_hold(
    %s::bigint, %s::text, %s::numeric, %s::timestamptz, %s::timestamptz, %s::text, %s::text)
"""
_SETTLE = "SELECT * FROM billing_settle_hold(%s::bigint, %s::numeric, %s::timestamptz)"
_RELEASE = "SELECT billing_release_hold(%s::bigint, %s::timestamptz, %s::text)"


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
    workspace_id: int | None = None,
) -> Held:
    """Reserve credit for a meter and a job class, once for its key.

    Where a workspace is named, the hold counts against its limit in the pool. Raises
    NotEnoughCredit, WorkspaceLimitReached, and HoldKeyTaken where another amount was held under
    the key.
    """
    if amount <= 0:
        raise NotEnoughCredit(f"Nothing is held by {amount}: state more than zero.", field="amount")
    said = (pool_id, key, amount, now, expires_at, meter, job_class)
    if workspace_id is None:
        return _place(said)
    with transaction.atomic():
        lock_pool(pool_id=pool_id)
        check_limit(pool_id=pool_id, workspace_id=workspace_id, key=key, amount=amount, now=now)
        held = _place(said)
        if held.available is not None:
            Hold.objects.filter(pk=held.hold_id).update(workspace_id=workspace_id)
        return held


def _place(said: tuple[int, str, Decimal, datetime, datetime, str, str]) -> Held:
    _, key, amount, *_ = said
    row = first_row(_PLACE, said)
    assert row is not None, "the function answers with one row"
    hold_id, held, available = row
    if hold_id is None:
        raise NotEnoughCredit(
            f"{amount} were asked for, and {_plain(available)} are available.",
            field="amount",
        )
    if held != amount:
        raise HoldKeyTaken(f"“{key}” holds {_plain(held)} already.", field="key")
    return Held(hold_id, available)


def settle_hold(*, hold_id: int, amount: Decimal, now: datetime) -> Settled:
    """End a hold at its true amount: use so much, release the rest.

    What lies above the hold is taken from the pool as far as it has credit; the caller decides on
    what is ``short``. Settled again at the same amount, nothing happens. Raises HoldEnded.
    """
    row = first_row(_SETTLE, (hold_id, amount, now))
    assert row is not None, "the function answers with one row"
    status, asked, used = row
    if status in (Hold.Status.VOIDED, Hold.Status.EXPIRED) or asked != amount:
        raise HoldEnded(f"The hold is {status} already, at {_plain(used)}.")
    return Settled(used, minus(amount, used))


def void_hold(*, hold_id: int, now: datetime) -> None:
    """End a hold at nothing; what was voided or expired before stays so. Raises HoldEnded."""
    if _release(hold_id, status=Hold.Status.VOIDED, now=now) == Hold.Status.POSTED:
        raise HoldEnded("The hold is settled already: what was used stays used.")


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
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT billing_lock_pool(%s)", [pool_id])
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
    return sum(
        _release(hold_id, status=Hold.Status.EXPIRED, now=now) == Hold.Status.PENDING
        for hold_id in ids
    )


def _release(hold_id: int, *, status: str, now: datetime) -> str:
    """Release a hold that is pending; return what it was before."""
    row = first_row(_RELEASE, (hold_id, now, status))
    assert row is not None, "the function answers with one row"
    return str(row[0])


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
