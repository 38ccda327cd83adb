"""What each business event posts. Pure: values in, entries out.

A debit is above zero, a credit below. Each template sums to zero in every unit:

| event | debit | credit |
|---|---|---|
| statement finalised | receivable | revenue; unbilled, for the packs on it |
| payment | cash | receivable |
| refund | receivable | cash |
| credit note | revenue | receivable |
| credit granted | issued; unbilled, where it is sold | credit; deferred |
| credit used | credit; deferred, for its cost | used; revenue |
| credit expired | credit; deferred, for its cost | expired; breakage |
| credit given back | used; revenue | credit; deferred, for its cost |
| credit moved between pools | credit, of the old grant | credit, of the new one |

What a hold uses, what is given back, and what expires by time, is posted by the database in the
call that ends a hold or a grant, since a round trip for each would cost more than all the rest; see
``migrations/0013_faster_credit.py``.

A statement below zero, which gives back more than it charges, posts the other way round.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from plans.rating import RatingError

RECEIVABLE = "receivable"
UNBILLED = "unbilled"
DEFERRED = "deferred"
BREAKAGE = "breakage"
CREDIT = "credit"
ISSUED = "issued"
USED = "used"
EXPIRED = "expired"
CASH = "cash"
REVENUE = "revenue"

_ZERO = Decimal(0)


class Entry(NamedTuple):
    """A signed amount on the customer's account of a kind in a unit; a debit is above zero.

    ``grant`` is the id of the credit grant that it moves, 0 for none.
    """

    account: str
    unit: str
    amount: Decimal
    grant: int = 0


class Credit(NamedTuple):
    """A part of a grant: how much of its unit, and what of its cost goes with it."""

    grant: int
    unit: str
    amount: Decimal
    cost: Decimal = Decimal(0)
    currency: str = ""


class Unbalanced(RatingError):
    """Entries that do not sum to zero in each unit are no transaction."""

    code = "unbalanced"


def refuse_unbalanced(entries: Iterable[Entry]) -> None:
    """Raise Unbalanced where the entries do not sum to zero in each unit."""
    sums: dict[str, Decimal] = {}
    for entry in entries:
        sums[entry.unit] = sums.get(entry.unit, _ZERO) + entry.amount
    off = {unit: amount for unit, amount in sums.items() if amount}
    if off:
        listed = ", ".join(f"{amount} {unit}" for unit, amount in sorted(off.items()))
        raise Unbalanced(f"The entries are out of balance by {listed}.")


def statement_finalised(
    *, total: Decimal, currency: str, packs: Decimal = _ZERO
) -> tuple[Entry, ...]:
    """Return what a finalised statement posts; nothing where it comes to nothing.

    What ``packs`` cost is a part of the total. It is no revenue yet: the grants have put it among
    what is deferred, and their use, or their expiry, recognises it.
    """
    entries = (
        Entry(RECEIVABLE, currency, total),
        Entry(UNBILLED, currency, -packs),
        Entry(REVENUE, currency, packs - total),
    )
    return tuple(entry for entry in entries if entry.amount)


def payment(*, amount: Decimal, currency: str) -> tuple[Entry, ...]:
    """Return what money received posts."""
    return _moved(amount, debit=CASH, credit=RECEIVABLE, unit=currency)


def refund(*, amount: Decimal, currency: str) -> tuple[Entry, ...]:
    """Return what money given back posts."""
    return _moved(amount, debit=RECEIVABLE, credit=CASH, unit=currency)


def credit_note(*, amount: Decimal, currency: str) -> tuple[Entry, ...]:
    """Return what a correction of an issued statement in the customer's favour posts."""
    return _moved(amount, debit=REVENUE, credit=RECEIVABLE, unit=currency)


def credit_granted(credit: Credit) -> tuple[Entry, ...]:
    """Return what a grant posts: its credit, and where it is sold, its whole cost as deferred."""
    return (
        *_moved(credit.amount, debit=ISSUED, credit=CREDIT, unit=credit.unit, grant=credit.grant),
        *_cost(credit, debit=UNBILLED, credit_to=DEFERRED),
    )


def credit_expired(credit: Credit) -> tuple[Entry, ...]:
    """Return what credit that expires by hand posts: what was sold of it is breakage."""
    return (
        *_moved(credit.amount, debit=CREDIT, credit=EXPIRED, unit=credit.unit, grant=credit.grant),
        *_cost(credit, debit=DEFERRED, credit_to=BREAKAGE),
    )


def credit_transferred(
    *, unit: str, amount: Decimal, from_grant: int, to_grant: int
) -> tuple[Entry, ...]:
    """Return what credit posts that moves from one grant to another of the same customer."""
    return (Entry(CREDIT, unit, amount, from_grant), Entry(CREDIT, unit, -amount, to_grant))


def _cost(credit: Credit, *, debit: str, credit_to: str) -> tuple[Entry, ...]:
    return _moved(
        credit.cost, debit=debit, credit=credit_to, unit=credit.currency, grant=credit.grant
    )


def reversal(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return what takes entries back."""
    return tuple(entry._replace(amount=-entry.amount) for entry in entries)


def _moved(
    amount: Decimal, *, debit: str, credit: str, unit: str, grant: int = 0
) -> tuple[Entry, ...]:
    if not amount:
        return ()
    return (Entry(debit, unit, amount, grant), Entry(credit, unit, -amount, grant))
