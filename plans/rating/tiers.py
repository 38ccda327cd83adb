"""Tiers: bands of quantity, each with its own price, and how a quantity falls into them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple, Protocol, TypeVar

from plans.rating.charge import Part, number
from plans.rating.money import ZERO, RatingError, per_units, plus, prorate


@dataclass(frozen=True, slots=True)
class Tier:
    """A band of quantity up to and including `up_to` (None: and above).

    Each unit size of the quantity in it costs `unit_amount`; `flat_amount` is due once, as soon
    as any fraction of the tier is reached.
    """

    up_to: Decimal | None
    unit_amount: Decimal
    flat_amount: Decimal = ZERO


class Banded(Protocol):
    """What every kind of tier has."""

    @property
    def up_to(self) -> Decimal | None:
        """Return the inclusive upper bound; None is open."""

    @property
    def flat_amount(self) -> Decimal:
        """Return the fee due once the tier is reached."""


class Band(NamedTuple):
    """A tier with the lower bound that follows from the tier before, and its name."""

    lower: Decimal
    upper: Decimal | None
    label: str
    unit_amount: Decimal
    flat_amount: Decimal


class BeyondTiers(RatingError):
    """The quantity lies above the last tier, which is closed; it is never billed at nothing."""

    code = "quantity_beyond_tiers"


AnyTier = TypeVar("AnyTier", bound=Banded)


def bands(tiers: Sequence[Banded], *, unit_amounts: Sequence[Decimal]) -> tuple[Band, ...]:
    """Return the tiers with their lower bounds and labels ("0 to 1,000", "above 1,000")."""
    lower, found = ZERO, []
    for tier, unit_amount in zip(tiers, unit_amounts, strict=True):
        label = band_label(lower, tier.up_to)
        found.append(Band(lower, tier.up_to, label, unit_amount, tier.flat_amount))
        lower = lower if tier.up_to is None else tier.up_to
    return tuple(found)


def band_label(lower: Decimal, upper: Decimal | None) -> str:
    """Name the band of quantities above `lower`, up to and including `upper`."""
    if upper is not None:
        return f"{number(lower)} to {number(upper)}"
    return f"above {number(lower)}" if lower else "any quantity"


def band_part(band: Band, *, quantity: Decimal, unit_size: Decimal) -> Part:
    """Return what the quantity that falls in a band costs, with the band's flat fee."""
    amount = per_units(quantity, band.unit_amount, unit_size)
    if band.flat_amount:
        amount = plus(amount, band.flat_amount)
    return Part(band.label, quantity, band.unit_amount, unit_size, band.flat_amount, amount)


def first_tier_at_zero(found: Sequence[Band], *, unit_size: Decimal) -> tuple[Part, ...]:
    """Return the first tier's flat fee as the only part, or no part where it has none."""
    if not found or not found[0].flat_amount:
        return ()
    return (band_part(found[0], quantity=ZERO, unit_size=unit_size),)


def beyond(found: Sequence[Band], *, quantity: Decimal) -> BeyondTiers:
    """Return the error for a quantity that no band holds."""
    last = found[-1].upper if found else ZERO
    return BeyondTiers(f"{quantity} lies above the last tier's bound, {last}: leave that one open.")


def prorated_tiers(tiers: tuple[AnyTier, ...], *, share: Fraction) -> tuple[AnyTier, ...]:
    """Return the tiers with their flat fees multiplied by the share; bounds and rates stay."""
    return tuple(
        replace(tier, flat_amount=prorate(tier.flat_amount, share=share))  # type: ignore[type-var]
        for tier in tiers
    )
