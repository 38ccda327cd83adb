"""The ordered steps between a meter's quantity and a line's amount.

0. proration: flat amounts, allowance, maximum and minimum shrink to the share of the period in
   which the price was in force. First, because every later step uses the shrunken figures. Tier
   bounds, unit prices, packages and what a charge model gives free never shrink.
1. allowance: what is included is taken off the quantity. Before the charge model, so that tiers
   count what is billed, and a customer does not climb tiers on usage that is included.
2. the charge model.
3. discount: a percentage off what the model charges. Before the bounds, so that a cap or a floor is
   the amount that the customer in the end pays or does not pay.
4. maximum: the most that is due.
5. minimum: the least that is due. Last, because a promise to pay at least so much holds whatever
   was discounted or capped.

Where a fee and its bonus share maximum and minimum, `bounded` has the order. What late starts give
back (`late_starts`) follows the minimum: of what was charged, in a line of its own. Commitments
(`commitments`) and credits come after, on the statement. Source: DESIGN section 3, "Order on a
statement line".
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal

from plans.rating.flat import Flat
from plans.rating.graduated import Graduated
from plans.rating.graduated_percentage import GraduatedPercentage
from plans.rating.money import HUNDREDTH, ZERO, RatingError, minus, plus, prorate, times
from plans.rating.prices import Price
from plans.rating.volume import Volume

Kind = Literal[
    "proration", "allowance", "discount", "maximum", "minimum", "shared_maximum", "shared_minimum",
    "late_start_most", "commitment", "beyond",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What a step changed, signed: a quantity in the meter's units, an amount of money, or both."""

    kind: Kind
    quantity: Decimal | None
    amount: Decimal | None


Step = Callable[[Price, Decimal], Adjustment | None]


class ShareOutOfRange(RatingError):
    """The share of the period is below 0 or above 1."""

    code = "share_out_of_range"


def discount(price: Price, amount: Decimal) -> Adjustment | None:
    """Take the discount's percentage off the amount."""
    if not price.discount_percent or not amount:
        return None
    taken_off = times(amount, times(price.discount_percent, HUNDREDTH))
    return Adjustment("discount", None, taken_off.copy_negate())


def maximum(price: Price, amount: Decimal) -> Adjustment | None:
    """Bring an amount above the maximum down to it."""
    if price.maximum is None or amount <= price.maximum:
        return None
    return Adjustment("maximum", None, minus(price.maximum, amount))


def minimum(price: Price, amount: Decimal) -> Adjustment | None:
    """Bring an amount below the minimum up to it."""
    if price.minimum is None or amount >= price.minimum:
        return None
    return Adjustment("minimum", None, minus(price.minimum, amount))


AFTER_CHARGE: Final[tuple[Step, ...]] = (discount, maximum, minimum)


def after_charge(price: Price, amount: Decimal) -> tuple[Decimal, list[Adjustment]]:
    """Take an exact amount through discount, maximum and minimum; return it and what changed."""
    changes = []
    for step in AFTER_CHARGE:
        change = step(price, amount)
        if change is not None and change.amount is not None:
            amount = plus(amount, change.amount)
            changes.append(change)
    return amount, changes


def take_allowance(quantity: Decimal, *, allowance: Decimal) -> tuple[Decimal, Adjustment | None]:
    """Return the quantity beyond the allowance, and the adjustment where any was used."""
    used = min(quantity, allowance)
    if used <= ZERO:
        return quantity, None
    return minus(quantity, used), Adjustment("allowance", used.copy_negate(), None)


def prorated(price: Price, *, share: Fraction | int) -> Price:
    """Return the price as it stands for a share of the period, 0 to 1.

    A price that is not prorated, charged once, or for several months ahead stays as it is. Raises
    ShareOutOfRange.
    """
    if not 0 <= share <= 1:
        raise ShareOutOfRange(f"A price cannot be in force for {share} of a period.")
    whole = not price.prorated or price.once or price.every_months > 1
    if whole or share == 1:
        return price
    return _shrunk(price, Fraction(share))


def _shrunk(price: Price, share: Fraction) -> Price:
    model = price.model
    if isinstance(model, Flat | Graduated | Volume | GraduatedPercentage):
        model = model.prorated(share)
    return replace(
        price,
        model=model,
        allowance=prorate(price.allowance, share=share),
        maximum=None if price.maximum is None else prorate(price.maximum, share=share),
        minimum=None if price.minimum is None else prorate(price.minimum, share=share),
    )
