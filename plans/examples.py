"""Worked examples of a price at sample quantities, through the one ``rate()``."""

from typing import NamedTuple

from plans import rating
from plans.rating.money import total
from plans.rating.samples import Sample, sample_words
from plans.words import money


class Example(NamedTuple):
    """What a quantity costs: the quantity and the amount as people read them, and the sentence."""

    quantity: str
    amount: str
    words: str


def examples(price: rating.Price, *, currency: str) -> tuple[Example, ...]:
    """Return what samples of a price cost in a whole period; ``rating.samples`` chooses them.

    Raises RatingError for a price that cannot be rated; check it by ``rating.problems`` first.
    """
    if isinstance(price.model, rating.Flat):
        return (_example(price, _due(price), rating.Usage(), currency),)
    return tuple(_sampled(price, sample, currency) for sample in rating.samples(price))


def _due(price: rating.Price) -> str:
    if price.once:
        return "at the start"
    return "each period" if price.every_months == 1 else f"every {price.every_months} months"


def _sampled(price: rating.Price, sample: Sample, currency: str) -> Example:
    usage = rating.sample_usage(price, sample.quantity, dimensions=sample.dimensions)
    return _example(price, sample_words(price, sample), usage, currency)


def _example(price: rating.Price, quantity: str, usage: rating.Usage, currency: str) -> Example:
    lines = rating.rate(price, usage, currency=currency)
    amount = total(line.amount for line in lines)
    words = "; ".join(rating.in_words(line, currency=currency) for line in lines)
    return Example(quantity, money(amount, currency=currency), words or "nothing to bill")
