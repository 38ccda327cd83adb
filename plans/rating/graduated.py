"""Graduated: each tier's quantity at that tier's own price."""

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from plans.rating.charge import NOTHING, Charge, Part, Remembering, refuse_negative, sum_up
from plans.rating.money import ONE, ZERO, minus, plus
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
class Graduated(Remembering):
    """Tiers with inclusive upper bounds, the last open; unit amounts are per `unit_size` units.

    With `charge_first_tier_at_zero` the first tier's flat fee is due even where nothing was used.
    """

    tiers: tuple[Tier, ...]
    unit_size: Decimal = ONE
    charge_first_tier_at_zero: bool = False

    def charge(self, quantity: Decimal) -> Charge:
        """Return the sum over the tiers of what falls in each, with the flat fees reached.

        Raises NegativeQuantity, BeyondTiers. Rule: DESIGN section 3, Charge models.
        """
        found = self._remember(self._bands)
        if quantity <= ZERO:
            refuse_negative(quantity)
            if not self.charge_first_tier_at_zero:
                return NOTHING
            return sum_up(first_tier_at_zero(found, unit_size=self.unit_size))
        return graduate(found, quantity=quantity, unit_size=self.unit_size)

    def prorated(self, share: Fraction) -> "Graduated":
        """Return the model with its flat fees multiplied by the share of the period."""
        return replace(self, tiers=prorated_tiers(self.tiers, share=share))

    def _bands(self) -> tuple[Band, ...]:
        return bands(self.tiers, unit_amounts=[tier.unit_amount for tier in self.tiers])


def graduate(found: tuple[Band, ...], *, quantity: Decimal, unit_size: Decimal) -> Charge:
    """Charge each band for the part of a positive quantity that falls in it.

    Raises BeyondTiers where the last band is closed below the quantity.
    """
    parts: list[Part] = []
    amount = ZERO
    for band in found:
        upper = band.upper
        last = upper is None or quantity <= upper
        reached = quantity if last or upper is None else upper
        part = band_part(band, quantity=minus(reached, band.lower), unit_size=unit_size)
        parts.append(part)
        amount = plus(amount, part.amount)
        if last:
            return Charge(amount, tuple(parts))
    raise beyond(found, quantity=quantity)
