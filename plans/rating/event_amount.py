"""Event amount: the events carry the money themselves."""

from dataclasses import dataclass
from decimal import Decimal

from plans.rating.charge import NOTHING, Charge, refuse_negative, sum_up, unit_part
from plans.rating.money import ONE


@dataclass(frozen=True, slots=True)
class EventAmount:
    """The sum of the amounts that the events state, in the price's currency."""

    def charge(self, quantity: Decimal) -> Charge:
        """Return the quantity, which is money already.

        Raises NegativeQuantity. Rule: DESIGN section 3, Charge models.
        """
        refuse_negative(quantity)
        if not quantity:
            return NOTHING
        return sum_up((unit_part(label="as stated", quantity=quantity, unit_amount=ONE),))
