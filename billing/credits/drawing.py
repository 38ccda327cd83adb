"""Use named slices of grants at once, and give back what was used."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import F, Sum

from billing.ledger import postings
from billing.ledger.operations import NewTransaction, post
from billing.models import CreditGrant, Hold, HoldSlice, LedgerTransaction
from plans.errors import OperationError
from plans.rating import round_money


class CreditMoved(OperationError):
    """A grant has less free than was to be drawn of it, or may not be used any more."""

    code = "credit_moved"


class NothingToGiveBack(OperationError):
    """More was to be given back than was used and not given back yet."""

    code = "nothing_to_give_back"


class Draw(NamedTuple):
    """So much of each of these grants of a pool, in this order, that are usable at ``valid_at``."""

    pool_id: int
    key: str
    slices: tuple[tuple[int, Decimal], ...]
    valid_at: datetime
    meter: str = ""


def draw_all(draws: Sequence[Draw], *, now: datetime) -> list[int]:
    """Draw all, or raise CreditMoved with nothing drawn; return the holds' ids in this order."""
    with transaction.atomic():
        return [
            draw(pool_id=one.pool_id, key=one.key, slices=one.slices, now=now,
                 valid_at=one.valid_at, meter=one.meter)
            for one in draws
        ]  # fmt: skip


@transaction.atomic
def draw(
    *,
    pool_id: int,
    key: str,
    slices: Sequence[tuple[int, Decimal]],
    now: datetime,
    valid_at: datetime,
    meter: str = "",
) -> int:
    """Use exactly these amounts of these grants, once for the key; return the hold's id.

    Raises CreditMoved, with nothing changed.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_lock_pool(%s)", [pool_id])
        before = Hold.objects.filter(pool_id=pool_id, key=key).first()
        if before is not None:
            return before.pk
        ids = [grant for grant, _ in slices]
        cursor.execute(_FREE, {"grants": ids, "pool": pool_id, "at": valid_at})
        free: dict[int, Decimal] = dict(cursor.fetchall())
        if any(free.get(grant, Decimal(0)) < amount for grant, amount in slices):
            raise CreditMoved("The credit was used, held or expired meanwhile.")
        amount = sum((amount for _, amount in slices), Decimal(0))
        hold = Hold.objects.create(
            pool_id=pool_id, key=key, amount=amount, meter=meter, held_at=now, expires_at=now
        )
        for position, (grant, part) in enumerate(slices, start=1):
            HoldSlice.objects.create(hold=hold, position=position, grant_id=grant, amount=part)
            CreditGrant.objects.filter(pk=grant).update(held=F("held") + part)
        cursor.execute("SELECT billing_settle_hold(%s, %s, %s)", [hold.pk, amount, now])
        return hold.pk


_FREE = """
SELECT g.id, g.remaining - g.held FROM billing_creditgrant g
WHERE g.id = ANY(%(grants)s) AND g.pool_id = %(pool)s AND g.effective_at <= %(at)s
  AND (g.expires_at IS NULL OR g.expires_at > %(at)s)
  AND (NOT g.needs_payment OR g.paid_at <= %(at)s)
"""


@transaction.atomic
def give_back(
    *, pool_id: int, key: str, of_key: str, amount: Decimal, now: datetime, note: str = ""
) -> None:
    """Give back a part of what the hold ``of_key`` used, from its last slices on, once for its key.

    What returns to a grant that has expired meanwhile is breakage at once. Raises
    NothingToGiveBack.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_lock_pool(%s)", [pool_id])
    hold = Hold.objects.select_related("pool").get(pool_id=pool_id, key=of_key)
    customer_id = hold.pool.customer_id
    used = LedgerTransaction.objects.get(
        customer_id=customer_id, key=f"use:{hold.pool.key}:{of_key}"
    )
    posting = f"return:{hold.pool.key}:{key}"
    if LedgerTransaction.objects.filter(customer_id=customer_id, key=posting).exists():
        return
    entries: list[postings.Entry] = []
    breakage: list[postings.Entry] = []
    for grant, part in _last_slices(hold, used=used, amount=amount):
        entries += _returned(grant, part)
        if grant.expires_at is not None and grant.expires_at <= now:
            breakage += _lapsed(grant, part)
    post(_posting(customer_id, posting, tuple(entries), used=used, now=now, note=note))
    if breakage:
        reason = LedgerTransaction.Reason.EXPIRY
        post(NewTransaction(customer_id, f"expiry:{posting}", reason, now, tuple(breakage)))


def _posting(
    customer_id: int, key: str, entries: tuple[postings.Entry, ...], *, used: LedgerTransaction,
    now: datetime, note: str,
) -> NewTransaction:  # fmt: skip
    return NewTransaction(
        customer_id=customer_id,
        key=key,
        reason=LedgerTransaction.Reason.CORRECTION,
        happened_at=now,
        entries=entries,
        corrects_id=used.pk,
        note=note,
    )


def _last_slices(
    hold: Hold, *, used: LedgerTransaction, amount: Decimal
) -> list[tuple[CreditGrant, Decimal]]:
    """Return from the last slice backwards what of each grant makes up the amount."""
    back = {
        row["grant_id"]: -row["total"]
        for row in LedgerTransaction.objects.filter(corrects=used, entries__account__kind="credit")
        .values(grant_id=F("entries__grant_id"))
        .annotate(total=Sum("entries__amount"))
    }
    found, rest = [], amount
    for part in HoldSlice.objects.filter(hold=hold).order_by("-position"):
        free = min(rest, part.amount - back.get(part.grant_id, Decimal(0)))
        if free > 0:
            found.append((CreditGrant.objects.get(pk=part.grant_id), free))
            rest -= free
    if rest:
        raise NothingToGiveBack(f"{rest} more were to be given back than are used.")
    return found


def _returned(grant: CreditGrant, part: Decimal) -> tuple[postings.Entry, ...]:
    """Put a part back into a grant, and return what that posts."""
    money = _move(grant, remaining=grant.remaining + part)
    credit = postings.Credit(grant.pk, grant.pool.unit_id, part, -money, grant.currency)
    return postings.credit_returned(credit)


def _lapsed(grant: CreditGrant, part: Decimal) -> tuple[postings.Entry, ...]:
    money = _move(grant, remaining=grant.remaining - part)
    credit = postings.Credit(grant.pk, grant.pool.unit_id, part, money, grant.currency)
    return postings.credit_lapsed(credit)


def _move(grant: CreditGrant, *, remaining: Decimal) -> Decimal:
    """Set what remains of a grant; return by how much its recognised cost rises."""
    before, grant.remaining = grant.recognised, remaining
    if grant.cost:
        gone = grant.cost * (grant.amount - remaining) / grant.amount
        recognised = grant.cost if not remaining else round_money(gone, currency=grant.currency)
        grant.recognised = recognised
    grant.save(update_fields=["remaining", "recognised"])
    return Decimal(grant.recognised - before)
