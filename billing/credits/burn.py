"""What becomes of a hold's slices when it ends. Pure: values in, values out.

The cost of a grant is recognised by the share of it that is gone, rounded to the currency once for
all that is gone so far: the parts add up to the cost, whatever the steps were.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from billing.ledger.postings import Credit
from plans.rating import round_money
from plans.rating.money import ZERO, minus, over, plus, times


class GrantState(NamedTuple):
    """A grant as it stands: what is left of it, and what of its cost is recognised."""

    id: int
    unit: str
    amount: Decimal
    remaining: Decimal
    cost: Decimal
    currency: str
    recognised: Decimal
    expires_at: datetime | None


class Slice(NamedTuple):
    """What a hold pins of a grant."""

    grant: GrantState
    amount: Decimal


class Ended(NamedTuple):
    """What became of a slice: used, expired with the hold, and released into the grant again."""

    grant: GrantState
    pinned: Decimal
    used: Credit
    expired: Credit
    released: Decimal


def end_slices(slices: Iterable[Slice], *, amount: Decimal, now: datetime) -> tuple[Ended, ...]:
    """Use slices in their order up to an amount, and release the rest.

    What is released after its grant's expiry is breakage. An amount above the sum of the slices
    uses all of them.
    """
    left = amount
    found = []
    for grant, pinned in slices:
        used = min(pinned, left)
        left = minus(left, used)
        rest = minus(pinned, used)
        is_over = grant.expires_at is not None and grant.expires_at <= now
        expired = rest if is_over else ZERO
        found.append(_ended(grant, pinned, used=used, expired=expired))
    return tuple(found)


def _ended(grant: GrantState, pinned: Decimal, *, used: Decimal, expired: Decimal) -> Ended:
    after_use = recognised_at(grant, remaining=minus(grant.remaining, used))
    remaining = minus(grant.remaining, plus(used, expired))
    after_all = recognised_at(grant, remaining=remaining)
    return Ended(
        grant=grant,
        pinned=pinned,
        used=_credit(grant, used, minus(after_use, grant.recognised)),
        expired=_credit(grant, expired, minus(after_all, after_use)),
        released=minus(pinned, plus(used, expired)),
    )


def expire(grant: GrantState, *, amount: Decimal) -> Credit:
    """Return the part of a grant that expires, with the cost that becomes breakage."""
    after = recognised_at(grant, remaining=minus(grant.remaining, amount))
    return _credit(grant, amount, minus(after, grant.recognised))


def recognised_at(grant: GrantState, *, remaining: Decimal) -> Decimal:
    """Return what of a grant's cost is recognised once so much of it remains."""
    if not grant.cost:
        return ZERO
    if not remaining:
        return grant.cost
    gone = minus(grant.amount, remaining)
    share = over(times(grant.cost, gone), grant.amount)
    return round_money(share, currency=grant.currency)


def _credit(grant: GrantState, amount: Decimal, cost: Decimal) -> Credit:
    return Credit(
        grant=grant.id, unit=grant.unit, amount=amount, cost=cost, currency=grant.currency
    )
