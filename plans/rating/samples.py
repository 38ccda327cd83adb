"""What a quantity of a price is shown as, where nothing was metered yet: usage for samples."""

from decimal import Decimal
from typing import Final

from plans.rating.matrix import Matrix
from plans.rating.money import ZERO, minus, times, total
from plans.rating.percentage import Percentage
from plans.rating.prices import Price
from plans.rating.rate import rate
from plans.rating.seats import Seats
from plans.rating.usage import Cell, DayLevels, Usage

OTHER: Final = "any other"
TRANSACTION: Final = Decimal(100)
DAYS: Final = 30


def sample_usage(
    price: Price,
    quantity: Decimal,
    *,
    dimensions: tuple[str, ...] | None = None,
    transaction: Decimal = TRANSACTION,
) -> Usage:
    """Return usage of a quantity, all of it of one kind and in one workspace.

    `dimensions` are the values that it carries; by default those of a matrix's first rate, and the
    first service class. Seats are held for a whole period of 30 days. A value that is priced
    transaction by transaction comes in some of `transaction` each, and one of the rest.
    """
    values = sample_dimensions(price) if dimensions is None else dimensions
    transactions: tuple[Decimal, ...] = ()
    if isinstance(price.model, Percentage) and price.model.needs_transactions:
        transactions = _transactions(quantity, transaction)
    days = None
    if isinstance(price.model, Seats):
        days = DayLevels((quantity,) * DAYS, 1, DAYS)
    return Usage((Cell(values, quantity),), transactions, shares=(quantity,), days=days)


def sample_dimensions(price: Price) -> tuple[str, ...]:
    """Return values that the first rate of a matrix matches, or that name the first class."""
    if isinstance(price.model, Matrix) and price.model.rates:
        return tuple(OTHER if value is None else value for value in price.model.rates[0].match)
    first = price.classes[0].key if price.classes else ""
    return tuple(first if name == price.class_dimension else "" for name in price.dimensions)


def sample_amount(price: Price, usage: Usage, *, currency: str) -> Decimal:
    """Return what a price's lines of a whole period come to. Raises RatingError."""
    return total(line.amount for line in rate(price, usage, currency=currency))


def _transactions(quantity: Decimal, each: Decimal) -> tuple[Decimal, ...]:
    count = int(quantity // each)
    rest = minus(quantity, times(each, Decimal(count)))
    return (each,) * count + ((rest,) if rest > ZERO else ())
