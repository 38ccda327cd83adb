"""Quantities of jobs: what is held, what was reported, and what both come to. Pure.

A quantity is of a meter and of a combination of its dimension values. Stored they are lists of
[meter, dimension values, quantity as text], in order, so that equal ones are stored alike.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any, Final

from plans.rating.money import EXACT, ZERO, minus, plus, times, total

Cell = tuple[str, tuple[str, ...]]
Quantities = Mapping[Cell, Decimal]
Stored = list[list[Any]]

_FINEST: Final = 10**12


def stored(quantities: Quantities) -> Stored:
    """Return quantities as a row keeps them; nothing of what is zero."""
    return [
        [meter, list(values), f"{EXACT.normalize(quantity):f}"]
        for (meter, values), quantity in sorted(quantities.items())
        if quantity
    ]


def read(rows: Iterable[Sequence[Any]]) -> dict[Cell, Decimal]:
    """Return quantities as ``stored`` wrote them."""
    return {(meter, tuple(values)): Decimal(quantity) for meter, values, quantity in rows}


def added(*many: Quantities) -> dict[Cell, Decimal]:
    """Return the sum of quantities, cell by cell."""
    found: dict[Cell, Decimal] = {}
    for quantities in many:
        for cell, quantity in quantities.items():
            found[cell] = plus(found.get(cell, ZERO), quantity)
    return found


def without(quantities: Quantities, gone: Quantities) -> dict[Cell, Decimal]:
    """Return what is left of quantities. What would fall below zero is nothing."""
    found = dict(quantities)
    for cell, quantity in gone.items():
        found[cell] = max(ZERO, minus(found.get(cell, ZERO), quantity))
    return {cell: quantity for cell, quantity in found.items() if quantity}


def by_meter(quantities: Quantities) -> dict[str, Decimal]:
    """Return what each meter comes to over all its cells."""
    meters = {meter for meter, _ in quantities}
    return {
        wanted: total(quantity for (meter, _), quantity in quantities.items() if meter == wanted)
        for wanted in meters
    }


def to_hold(expected: Quantities, reported: Quantities) -> dict[Cell, Decimal]:
    """Return what to hold for a job that has reported so much of what was expected.

    All that was reported, and of each meter what is still expected, in the proportion of its cells
    and rounded up. So it is never less than what was reported, cell by cell.
    """
    wanted, seen = by_meter(expected), by_meter(reported)
    rest: dict[Cell, Decimal] = {}
    for (meter, values), quantity in expected.items():
        left = minus(wanted[meter], seen.get(meter, ZERO))
        if left > 0:
            rest[meter, values] = _part(quantity, Fraction(left) / Fraction(wanted[meter]))
    return added(reported, rest)


def _part(quantity: Decimal, share: Fraction) -> Decimal:
    return times(Decimal(ceil(Fraction(quantity) * share * _FINEST)), Decimal(1).scaleb(-12))
