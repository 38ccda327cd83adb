"""Package: quantity sold in whole packages."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from plans.rating.charge import NOTHING, Charge, Part, number, refuse_negative
from plans.rating.money import ONE, ZERO, minus, over, times


@dataclass(frozen=True, slots=True)
class Package:
    """`package_amount` for each package of `package_size` begun beyond `free_quantity`."""

    package_amount: Decimal
    package_size: Decimal
    free_quantity: Decimal = ZERO

    def charge(self, quantity: Decimal) -> Charge:
        """Return the price of ceil((quantity - free) / size) packages, none at zero or below.

        The part's quantity counts packages. Raises NegativeQuantity. Rule: DESIGN section 3.
        """
        refuse_negative(quantity)
        beyond_free = minus(quantity, self.free_quantity)
        if beyond_free <= ZERO:
            return NOTHING
        packages = over(beyond_free, self.package_size).to_integral_value(ROUND_CEILING)
        amount = times(packages, self.package_amount)
        label = f"packages of {number(self.package_size)}"
        part = Part(label, packages, self.package_amount, ONE, ZERO, amount)
        return Charge(amount, (part,))
