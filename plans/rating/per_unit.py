"""Per unit: every unit at one price, fractions of a unit size at their fraction of it."""

from dataclasses import dataclass
from decimal import Decimal

from plans.rating.charge import NOTHING, Charge, Part, refuse_negative
from plans.rating.money import ONE, ZERO, per_units


@dataclass(frozen=True, slots=True)
class PerUnit:
    """`unit_amount` for each `unit_size` of the quantity, not rounded up."""

    unit_amount: Decimal
    unit_size: Decimal = ONE

    def charge(self, quantity: Decimal) -> Charge:
        """Return quantity x unit amount / unit size, multiplied before it is divided.

        Raises NegativeQuantity. Rule: DESIGN section 3, Charge models.
        """
        refuse_negative(quantity)
        if not quantity:
            return NOTHING
        amount = per_units(quantity, self.unit_amount, self.unit_size)
        part = Part("each", quantity, self.unit_amount, self.unit_size, ZERO, amount)
        return Charge(amount, (part,))
