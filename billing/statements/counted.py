"""A price in credits, or in packs, as one line: what it comes to is the line's quantity. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Final

from plans import rating
from plans.rating.prices import RATED

_ZERO: Final = Decimal(0)


def counted(
    price: rating.Price, usage: rating.Usage, *, currency: str, share: Fraction | int
) -> tuple[rating.RatedLine, ...]:
    """Return one line for a price in credits, or in packs: what it comes to is its quantity."""
    if price.credit is None:
        plain = rating.without_late_credits(replace(price, overage=RATED))
        rated = rating.rate(plain, usage, currency=currency, share=share)
        quantity = sum((line.quantity for line in rated if line.usage_quantity), _ZERO)
        return _together(rated, price, quantity=quantity, unit=price.unit, parts=())
    rated = rating.rate(price, usage, currency=currency, share=share)
    used = sum((line.amount for line in rated), _ZERO)
    parts = tuple(part for line in rated for part in _labelled(line, alone=len(rated) == 1))
    return _together(rated, price, quantity=used, unit=price.credit.code, parts=parts)


def _labelled(line: rating.RatedLine, *, alone: bool) -> tuple[rating.Part, ...]:
    """Return a line's parts, named after the line where it stands with others."""
    if alone:
        return line.parts
    return tuple(replace(part, label=f"{line.label}, {part.label}") for part in line.parts)


def _together(
    rated: Sequence[rating.RatedLine],
    price: rating.Price,
    *,
    quantity: Decimal,
    unit: str,
    parts: tuple[rating.Part, ...],
) -> tuple[rating.RatedLine, ...]:
    if not rated:
        return ()
    return (
        rating.RatedLine(
            key="",
            label=price.name,
            usage_quantity=sum((line.usage_quantity for line in rated), _ZERO),
            quantity=quantity,
            unit=unit,
            parts=parts,
            adjustments=tuple(change for line in rated for change in line.adjustments),
            exact_amount=_ZERO,
            amount=_ZERO,
        ),
    )
