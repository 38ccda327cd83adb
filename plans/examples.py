"""Worked examples of a price at sample quantities, through the one ``rate()``."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, NamedTuple

from plans import rating
from plans.rating.charge import number
from plans.rating.money import over, times, total
from plans.words import money

SAMPLES: Final = (Decimal(1000), Decimal(10_000), Decimal(100_000))
OTHER: Final = "any other"
_TRANSACTION: Final = Decimal(100)
_MOST_RATES: Final = 20


class Example(NamedTuple):
    """What a quantity costs: the quantity and the amount as people read them, and the sentence."""

    quantity: str
    amount: str
    words: str


def examples(price: rating.Price, *, currency: str) -> tuple[Example, ...]:
    """Return what sample quantities of a price cost; a price per million units has larger samples.

    Raises RatingError for a price that cannot be rated; check it by ``rating.problems`` first.
    """
    if isinstance(price.model, rating.Flat):
        return (_example(price, "each period", rating.Usage(), currency),)
    if isinstance(price.model, rating.Matrix):
        return tuple(_matrix_examples(price, price.model, currency))
    return tuple(
        _example(price, _quantity(sample, price), _usage(price, sample), currency)
        for sample in (times(each, _scale(price)) for each in SAMPLES)
    )


def _matrix_examples(price: rating.Price, model: rating.Matrix, currency: str) -> Iterator[Example]:
    sample = times(SAMPLES[1], _scale(price))
    matches = [rate.match for rate in model.rates[:_MOST_RATES]]
    if model.default is not None:
        matches.append((None,) * len(price.dimensions))
    for match in dict.fromkeys(matches):
        values = tuple(OTHER if value is None else value for value in match)
        usage = rating.Usage(cells=(rating.Cell(values, sample),))
        yield _example(price, f"{_quantity(sample, price)}, {' / '.join(values)}", usage, currency)


def _scale(price: rating.Price) -> Decimal:
    size: Decimal = getattr(price.model, "unit_size", Decimal(1))
    return max(over(size, SAMPLES[0]), Decimal(1))


def _quantity(sample: Decimal, price: rating.Price) -> str:
    return f"{number(sample)} {price.unit or 'units'}"


def _usage(price: rating.Price, sample: Decimal) -> rating.Usage:
    """A price with rules for each transaction is shown for transactions of 100 each."""
    cells = (rating.Cell(("",) * len(price.dimensions), sample),)
    if isinstance(price.model, rating.Percentage) and price.model.needs_transactions:
        count = int(sample / _TRANSACTION)
        return rating.Usage(cells=cells, transactions=(_TRANSACTION,) * count)
    return rating.Usage(cells=cells)


def _example(price: rating.Price, quantity: str, usage: rating.Usage, currency: str) -> Example:
    lines = rating.rate(price, usage, currency=currency)
    amount = total(line.amount for line in lines)
    words = "; ".join(rating.in_words(line, currency=currency) for line in lines)
    return Example(quantity, money(amount, currency=currency), words or "nothing to bill")
