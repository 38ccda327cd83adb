"""Flat: an amount for the period, whatever is used."""

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from plans.rating.charge import Charge, flat_part, sum_up
from plans.rating.money import prorate


@dataclass(frozen=True, slots=True)
class Flat:
    """An amount in the currency's units, due for the whole period or once."""

    amount: Decimal

    def charge(self) -> Charge:
        """Return the amount."""
        return sum_up((flat_part(label="flat", amount=self.amount),))

    def prorated(self, share: Fraction) -> "Flat":
        """Return the model with the amount multiplied by the share of the period."""
        return replace(self, amount=prorate(self.amount, share=share))
