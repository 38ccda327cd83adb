"""Volume: the whole quantity at the price of the tier that it reaches."""

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from plans.rating.charge import NOTHING, Charge, Remembering, refuse_negative, sum_up
from plans.rating.money import ONE, ZERO
from plans.rating.tiers import (
    Band,
    Tier,
    band_part,
    bands,
    beyond,
    first_tier_at_zero,
    prorated_tiers,
)


@dataclass(frozen=True, slots=True)
class Volume(Remembering):
    """Tiers with inclusive upper bounds, the last open; unit amounts are per `unit_size` units.

    With `charge_first_tier_at_zero` the first tier's flat fee is due even where nothing was used.
    """

    tiers: tuple[Tier, ...]
    unit_size: Decimal = ONE
    charge_first_tier_at_zero: bool = False

    def charge(self, quantity: Decimal) -> Charge:
        """Return the whole quantity at the reached tier's unit amount, with that tier's flat fee.

        Raises NegativeQuantity, BeyondTiers. Rule: DESIGN section 3, Charge models.
        """
        found = self._remember(self._bands)
        if quantity <= ZERO:
            refuse_negative(quantity)
            if not self.charge_first_tier_at_zero:
                return NOTHING
            return sum_up(first_tier_at_zero(found, unit_size=self.unit_size))
        for band in found:
            if band.upper is None or quantity <= band.upper:
                part = band_part(band, quantity=quantity, unit_size=self.unit_size)
                return Charge(part.amount, (part,))
        raise beyond(found, quantity=quantity)

    def prorated(self, share: Fraction) -> "Volume":
        """Return the model with its flat fees multiplied by the share of the period."""
        return replace(self, tiers=prorated_tiers(self.tiers, share=share))

    def _bands(self) -> tuple[Band, ...]:
        return bands(self.tiers, unit_amounts=[tier.unit_amount for tier in self.tiers])
