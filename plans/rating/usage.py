"""What a meter counted for one price in one billing period."""

from dataclasses import dataclass
from decimal import Decimal

from plans.rating.money import ZERO, total


@dataclass(frozen=True, slots=True)
class Cell:
    """The quantity of one combination of dimension values, in the order the meter declares them.

    A value that the events did not carry is the empty string.
    """

    dimensions: tuple[str, ...]
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class DayLevels:
    """A level, such as seats held, at the end of each local day of a span, in order.

    `first_day` is the number of the span's first day in its billing period, from 1;
    `period_days` is how many days that whole period has. `highest_before` is the highest level on
    the period's earlier days, where the span begins within it and the same price held before: what
    was given up then is still paid where the price says "to the period's end".
    """

    levels: tuple[Decimal, ...]
    first_day: int
    period_days: int
    highest_before: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Usage:
    """A meter's quantity by cell, after the meter's own rounding.

    `transactions` are the events' values in time order, loaded only for the prices that need them.
    `shares` are the quantities of the customer's workspaces, for an allowance of each; what belongs
    to no workspace is a share of its own. `days` is the level by day, for seats.
    """

    cells: tuple[Cell, ...] = ()
    transactions: tuple[Decimal, ...] = ()
    shares: tuple[Decimal, ...] = ()
    days: DayLevels | None = None

    @property
    def quantity(self) -> Decimal:
        """Return the sum of the cells."""
        cells = self.cells
        if len(cells) == 1:
            return cells[0].quantity
        return total(cell.quantity for cell in cells)

    @property
    def added(self) -> Decimal:
        """Return the sum of the cells without what took away: outcomes before their reversals."""
        return total(cell.quantity for cell in self.cells if cell.quantity > ZERO)
