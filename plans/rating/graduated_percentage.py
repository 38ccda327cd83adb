"""Graduated percentage: each tier of a value at that tier's own percentage."""

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from plans.rating.charge import NOTHING, Charge, Remembering, number, refuse_negative
from plans.rating.graduated import graduate
from plans.rating.money import HUNDRED, ZERO
from plans.rating.tiers import Band, bands, prorated_tiers


@dataclass(frozen=True, slots=True)
class PercentTier:
    """A band of value up to and including `up_to` (None: and above), at `percent` of it.

    `flat_amount` is due once, as soon as any fraction of the tier is reached.
    """

    up_to: Decimal | None
    percent: Decimal
    flat_amount: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class GraduatedPercentage(Remembering):
    """Tiers over a value in the price's currency, upper bounds inclusive, the last open."""

    tiers: tuple[PercentTier, ...]

    def charge(self, quantity: Decimal) -> Charge:
        """Return the sum of each tier's percentage of the value in it, with flat fees reached.

        Raises NegativeQuantity, BeyondTiers. Rule: DESIGN section 3, Charge models.
        """
        refuse_negative(quantity)
        if not quantity:
            return NOTHING
        return graduate(self._remember(self._bands), quantity=quantity, unit_size=HUNDRED)

    def prorated(self, share: Fraction) -> "GraduatedPercentage":
        """Return the model with its flat fees multiplied by the share of the period."""
        return replace(self, tiers=prorated_tiers(self.tiers, share=share))

    def _bands(self) -> tuple[Band, ...]:
        found = bands(self.tiers, unit_amounts=[tier.percent for tier in self.tiers])
        return tuple(
            band._replace(label=f"{number(band.unit_amount)}%, {band.label}") for band in found
        )
