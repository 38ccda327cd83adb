"""Allowance: how much of what was metered is included, and what a plan says of more."""

from decimal import Decimal
from typing import Final

from plans.rating.charge import number
from plans.rating.money import ZERO, RatingError, total
from plans.rating.percentage import Percentage
from plans.rating.prices import Price
from plans.rating.usage import Usage


class AllowanceOnTransactions(RatingError):
    """An allowance cannot be taken off single transactions; a free amount can."""

    code = "allowance_on_transactions"


class MissingShares(RatingError):
    """Each workspace has its own allowance, and the usage came without their shares."""

    code = "missing_shares"


class BeyondAllowance(RatingError):
    """More was used than is included, and the plan does not say what it costs."""

    code = "beyond_allowance"


_REMEDIES: Final[dict[str, str]] = {
    "refuse": "the plan admits no more. Agree a price for the rest, or move the customer to another"
    " plan.",
    "upgrade": "the plan moves the customer to the plan “{plan}”. Move it there, or agree a price"
    " for the rest.",
    "packs": "the plan sells packs of {size} {unit}. Agree a price for the rest, or move the"
    " customer to another plan.",
}


def included(price: Price, usage: Usage) -> Decimal:
    """Return how much is included, in the meter's units: it may be more than was used.

    Of a pool that is the whole allowance. Where each workspace has its own, it is what each used of
    it: one's rest does not help another.

    Raises AllowanceOnTransactions, MissingShares, and BeyondAllowance where more was used and the
    price says anything but that it is billed.
    """
    found = _included(price, usage)
    if price.overage.policy != "rate" and usage.quantity > found:
        raise _beyond(price, used=usage.quantity)
    return found


def _included(price: Price, usage: Usage) -> Decimal:
    allowance = price.allowance
    if not allowance:
        return ZERO
    if isinstance(price.model, Percentage) and price.model.needs_transactions:
        raise AllowanceOnTransactions(
            f"{price.name} has rules for each transaction: state a free amount, not an allowance."
        )
    if price.allowance_per == "customer":
        return allowance
    if usage.quantity and not usage.shares:
        raise MissingShares(
            f"{price.name} includes {number(allowance)} for each workspace, but"
            f" {number(usage.quantity)} came without the workspaces' shares."
        )
    return max(ZERO, total(min(share, allowance) for share in usage.shares))


def _beyond(price: Price, *, used: Decimal) -> BeyondAllowance:
    unit, overage = price.unit or "units", price.overage
    each = " for each workspace" if price.allowance_per == "workspace" else ""
    remedy = _REMEDIES[overage.policy].format(
        plan=overage.upgrade_to, size=number(overage.pack_size or ZERO), unit=unit
    )
    return BeyondAllowance(
        f"{price.name}: {number(used)} {unit} were used and {number(price.allowance)} are"
        f" included{each}; beyond that {remedy}"
    )
