"""The straight pieces of what more of a price costs. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from plans.rating.money import plus, times


class Piece(NamedTuple):
    """A straight part of what more of a price costs, up to ``end`` units more.

    Each of its units costs ``slope``, and all ``shift`` more than if every unit before did, too.
    """

    end: Decimal
    shift: Decimal
    slope: Decimal

    def at(self, quantity: Decimal) -> Decimal:
        """Return what so many units more cost, not rounded."""
        return plus(self.shift, times(self.slope, quantity))


def at(pieces: Sequence[Piece], quantity: Decimal) -> Decimal:
    """Return what a quantity costs: the pieces reach as far."""
    if len(pieces) == 1:
        return times(pieces[0].slope, quantity)
    return pieces[bisect_left([piece.end for piece in pieces], quantity)].at(quantity)


def along(pieces: Sequence[Piece], column: Iterable[Decimal]) -> list[Decimal]:
    """Return what each quantity costs: the pieces reach as far as the highest."""
    if len(pieces) == 1:
        slope = pieces[0].slope
        return [times(slope, quantity) for quantity in column]
    ends = [piece.end for piece in pieces]
    return [pieces[bisect_left(ends, quantity)].at(quantity) for quantity in column]
