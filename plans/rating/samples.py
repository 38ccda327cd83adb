"""Samples: quantities at which a price is shown, and the usage that each stands for."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, NamedTuple

from plans.rating.charge import number
from plans.rating.flat import Flat
from plans.rating.matrix import Matrix
from plans.rating.money import ONE, ZERO, minus, over, times
from plans.rating.percentage import Percentage
from plans.rating.prices import Price
from plans.rating.seats import Seats, seats_noun
from plans.rating.usage import Cell, DayLevels, Usage

OTHER: Final = "any other"
TRANSACTION: Final = Decimal(100)
DAYS: Final = 30
KINDS_MOST: Final = 20

_QUANTITIES: Final = (Decimal(1000), Decimal(10_000), Decimal(100_000))
_SEATS: Final = (Decimal(1), Decimal(10), Decimal(50))
_OF_THE_ALLOWANCE: Final = (Decimal(1), Decimal("1.25"), Decimal(2))
_WITHIN_THE_ALLOWANCE: Final = (Decimal("0.5"), Decimal(1))


class Sample(NamedTuple):
    """A quantity with the dimension values that all of it carries, and their name for people."""

    quantity: Decimal
    dimensions: tuple[str, ...]
    kind: str = ""


def samples(price: Price) -> tuple[Sample, ...]:
    """Return samples of a metered price, () for a flat one.

    A matrix has one for each of its first rates and its default, a price by service class one for
    each class; any other has some of rising quantity: seats, quantities around what is included, or
    thousands, of its unit size where it has one. Where the plan bills nothing beyond the allowance,
    none lies beyond it.
    """
    if isinstance(price.model, Flat):
        return ()
    quantities = _quantities(price)
    if isinstance(price.model, Matrix) or price.class_dimension:
        kinds = dict.fromkeys(_kinds(price))
        return tuple(Sample(quantities[1], *kind) for kind in kinds)
    dimensions = ("",) * len(price.dimensions)
    return tuple(Sample(quantity, dimensions) for quantity in quantities)


def sample_usage(
    price: Price,
    quantity: Decimal,
    *,
    dimensions: tuple[str, ...] | None = None,
    transaction: Decimal = TRANSACTION,
) -> Usage:
    """Return usage of a quantity, all of it of one kind and in one workspace.

    `dimensions` are the values that it carries; by default those of a matrix's first rate, or the
    first service class. Seats are held for a whole period of 30 days. A value that is priced
    transaction by transaction comes in some of `transaction` each, and one of the rest.
    """
    if dimensions is None:
        first = next(_kinds(price), None)
        dimensions = first[0] if first else ("",) * len(price.dimensions)
    transactions: tuple[Decimal, ...] = ()
    if isinstance(price.model, Percentage) and price.model.needs_transactions:
        transactions = _transactions(quantity, transaction)
    days = None
    if isinstance(price.model, Seats):
        days = DayLevels((quantity,) * DAYS, 1, DAYS)
    return Usage((Cell(dimensions, quantity),), transactions, shares=(quantity,), days=days)


def sample_words(price: Price, sample: Sample) -> str:
    """Write a sample for people: "10,000 calls, large / any other", "1 seat"."""
    unit = price.unit or "units"
    if isinstance(price.model, Seats):
        unit = seats_noun(price.unit, quantity=sample.quantity)
    words = f"{number(sample.quantity)} {unit}"
    return f"{words}, {sample.kind}" if sample.kind else words


def _quantities(price: Price) -> tuple[Decimal, ...]:
    if isinstance(price.model, Seats):
        return _SEATS
    if price.allowance:
        rated = price.overage.policy == "rate"
        parts = _OF_THE_ALLOWANCE if rated else _WITHIN_THE_ALLOWANCE
        return tuple(times(price.allowance, part) for part in parts)
    size: Decimal = getattr(price.model, "unit_size", ONE)
    scale = max(over(size, _QUANTITIES[0]), ONE)
    return tuple(times(each, scale) for each in _QUANTITIES)


def _kinds(price: Price) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the dimension values that fall to each rate or service class, with their names."""
    model = price.model
    if isinstance(model, Matrix):
        for rate in model.rates[:KINDS_MOST]:
            values = tuple(OTHER if value is None else value for value in rate.match)
            yield values, " / ".join(values)
        if model.default is not None:
            values = (OTHER,) * len(price.dimensions)
            yield values, " / ".join(values)
    elif price.class_dimension:
        for each in price.classes[:KINDS_MOST]:
            at = (each.key if name == price.class_dimension else "" for name in price.dimensions)
            yield tuple(at), each.name


def _transactions(quantity: Decimal, each: Decimal) -> tuple[Decimal, ...]:
    count = int(quantity // each)
    rest = minus(quantity, times(each, Decimal(count)))
    return (each,) * count + ((rest,) if rest > ZERO else ())
