"""How far a price is a straight line: each unit more costs what the unit before it cost."""

from decimal import Decimal
from fractions import Fraction
from typing import Final

from plans.rating.adjustments import prorated
from plans.rating.graduated import Graduated
from plans.rating.matrix import Matrix
from plans.rating.money import plus
from plans.rating.per_unit import PerUnit
from plans.rating.prices import Price

FOR_EVER: Final = Decimal("Infinity")


def straight_until(price: Price, *, used: Decimal, share: Fraction | int = 1) -> Decimal:
    """Return up to which quantity a price's exact amount rises evenly, from what is used on.

    ``used`` and the answer are in the meter's units: of the price as a whole, or, where it tells
    values of dimensions apart, of any of them, since none changes what another costs. ``used``
    itself says that the price bends or jumps there, or may. ``share`` is the part of the period in
    which the price is in force. Raises ShareOutOfRange.
    """
    price = prorated(price, share=share)
    if _is_bounded(price):
        return used
    if isinstance(price.model, Matrix) or price.class_dimension:
        return used if price.allowance else FOR_EVER
    if not isinstance(price.model, PerUnit | Graduated):
        return used
    if used < price.allowance:
        return price.allowance
    return _next_bound(price, used=used)


def _is_bounded(price: Price) -> bool:
    """Tell whether something besides the charge model may bend the price."""
    return (
        price.minimum is not None
        or price.maximum is not None
        or price.overage.policy != "rate"
        or (price.allowance_per == "workspace" and bool(price.allowance))
    )


def _next_bound(price: Price, *, used: Decimal) -> Decimal:
    if isinstance(price.model, PerUnit):
        return FOR_EVER
    assert isinstance(price.model, Graduated)
    if any(tier.flat_amount for tier in price.model.tiers):
        return used
    for tier in price.model.tiers:
        if tier.up_to is None:
            return FOR_EVER
        bound = plus(price.allowance, tier.up_to)
        if bound > used:
            return bound
    return used
