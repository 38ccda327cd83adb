"""Worked examples of a price at sample quantities, through the one ``rate()``."""

from decimal import Decimal
from typing import Final, NamedTuple

from plans import rating
from plans.rating.money import plus, times, total
from plans.rating.samples import Sample, sample_words
from plans.words import money

_TIERS_MOST: Final = 6


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


def tier_examples(price: rating.Price, *, currency: str) -> tuple[Example, ...]:
    """Return what a quantity in each tier costs: its bound, and half as much again above the last.

    ``examples`` of a price without tiers, or of which nothing is billed beyond what is included.
    Raises RatingError as that does.
    """
    tiers = getattr(price.model, "tiers", ())
    bounds = [tier.up_to for tier in tiers if tier.up_to is not None]
    if not bounds or price.overage.policy != "rate":
        return examples(price, currency=currency)
    dimensions = ("",) * len(price.dimensions)
    beyond = times(bounds[-1], Decimal("1.5"))
    quantities = [plus(price.allowance, each) for each in (*bounds[-_TIERS_MOST:], beyond)]
    return tuple(_sampled(price, Sample(each, dimensions), currency) for each in quantities)


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
    unit = rating.unit_of(price, currency=currency)
    words = "; ".join(rating.in_words(line, currency=unit) for line in lines)
    return Example(quantity, money(amount, currency=unit), words or "nothing to bill")
