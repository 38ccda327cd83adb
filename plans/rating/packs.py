"""Overage in packs: what lies beyond an allowance, and how many packs hold it."""

from dataclasses import replace
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction

from plans.rating.money import over, total
from plans.rating.prices import RATED, Price
from plans.rating.rate import rate
from plans.rating.usage import Usage


def beyond_allowance(
    price: Price, usage: Usage, *, currency: str, share: Fraction | int = 1
) -> Decimal:
    """Return what of a period's usage is beyond the allowance, in the meter's units.

    Raises what ``rate`` raises, but never BeyondAllowance.
    """
    lines = rate(replace(price, overage=RATED), usage, currency=currency, share=share)
    return total(line.quantity for line in lines if line.usage_quantity)


def packs_needed(quantity: Decimal, *, size: Decimal) -> int:
    """Return how many packs of a size hold a quantity; none hold nothing."""
    return int(over(quantity, size).to_integral_value(ROUND_CEILING)) if quantity > 0 else 0
