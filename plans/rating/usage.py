"""What a meter counted for one price in one billing period."""

from dataclasses import dataclass
from decimal import Decimal

from plans.rating.money import total


@dataclass(frozen=True, slots=True)
class Cell:
    """The quantity of one combination of dimension values, in the order the meter declares them.

    A value that the events did not carry is the empty string.
    """

    dimensions: tuple[str, ...]
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Usage:
    """A meter's quantity by cell, after the meter's own rounding.

    `transactions` are the events' values in time order, loaded only for the prices that need them.
    """

    cells: tuple[Cell, ...] = ()
    transactions: tuple[Decimal, ...] = ()

    @property
    def quantity(self) -> Decimal:
        """Return the sum of the cells."""
        cells = self.cells
        if len(cells) == 1:
            return cells[0].quantity
        return total(cell.quantity for cell in cells)
