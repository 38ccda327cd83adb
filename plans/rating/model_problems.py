"""What is wrong with a charge model: its tiers, its percentages, its rates."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import combinations
from typing import Final

from plans.rating.graduated import Graduated
from plans.rating.graduated_percentage import GraduatedPercentage, PercentTier
from plans.rating.matrix import Matrix, MatrixRate, rate_label
from plans.rating.money import ZERO
from plans.rating.percentage import Percentage
from plans.rating.prices import Price
from plans.rating.problem import Problem, number_problems
from plans.rating.tiers import Tier
from plans.rating.volume import Volume

HIGHEST_PERCENTAGE: Final = Decimal(1000)


def model_problems(price: Price) -> Iterator[Problem]:
    """Yield what is wrong with the parts that a price's charge model is made of."""
    model = price.model
    if isinstance(model, Graduated | Volume | GraduatedPercentage):
        yield from _tiers(model.tiers)
    elif isinstance(model, Percentage):
        yield from _percent("percent", model.percent)
        yield from bound_problems(
            "_per_transaction", model.minimum_per_transaction, model.maximum_per_transaction
        )
    elif isinstance(model, Matrix):
        yield from _matrix(model, dimensions=price.dimensions)


def _tiers(tiers: Sequence[Tier | PercentTier]) -> Iterator[Problem]:
    if not tiers:
        yield Problem("no_tiers", "tiers", "There is no tier: add one that is open at the top.")
        return
    yield from _tier_bounds(tiers)
    for index, tier in enumerate(tiers):
        yield from number_problems(f"tiers[{index}].", tier)
        if isinstance(tier, PercentTier):
            yield from _percent(f"tiers[{index}].percent", tier.percent)


def _tier_bounds(tiers: Sequence[Tier | PercentTier]) -> Iterator[Problem]:
    lower, last = ZERO, len(tiers) - 1
    for index, tier in enumerate(tiers):
        field = f"tiers[{index}].up_to"
        if tier.up_to is None:
            if index != last:
                message = (
                    "Only the last tier can be open: state up to which quantity this one goes."
                )
                yield Problem("open_tier_not_last", field, message)
            continue
        yield from _tier_bound(field, tier.up_to, lower)
        lower = max(lower, tier.up_to)
        if index == last:
            message = f"Nothing is priced above {tier.up_to}: leave the last tier's bound empty."
            yield Problem("last_tier_not_open", field, message)


def _tier_bound(field: str, up_to: Decimal, lower: Decimal) -> Iterator[Problem]:
    if up_to <= ZERO:
        message = f"A tier cannot end at {up_to}: state a quantity above zero."
        yield Problem("bound_not_positive", field, message)
    elif up_to <= lower:
        message = f"This tier ends at {up_to}, and the one before at {lower}: bounds must rise."
        yield Problem("bounds_not_rising", field, message)


def _percent(field: str, percent: Decimal) -> Iterator[Problem]:
    """Allow more than 100, since provider cost plus a margin is a percentage of the cost."""
    if percent > HIGHEST_PERCENTAGE:
        message = f"{percent}% is over {HIGHEST_PERCENTAGE}%: check the decimal point."
        yield Problem("percent_out_of_range", field, message)


def _matrix(model: Matrix, *, dimensions: Sequence[str]) -> Iterator[Problem]:
    if not model.rates:
        yield Problem("no_rates", "rates", "There is no rate: add one, or price by the unit.")
    if not dimensions:
        message = (
            "The meter declares no dimensions to match on: choose another, or price by the unit."
        )
        yield Problem("no_dimensions", "dimensions", message)
    for index, rate in enumerate(model.rates):
        yield from number_problems(f"rates[{index}].", rate)
        if dimensions and len(rate.match) != len(dimensions):
            message = f"State {len(dimensions)} values, for {', '.join(dimensions)}; * matches any."
            yield Problem("wrong_number_of_values", f"rates[{index}].match", message)
    for first, second in combinations(range(len(model.rates)), 2):
        yield from _clash(model.rates, first, second)


def _clash(rates: Sequence[MatrixRate], first: int, second: int) -> Iterator[Problem]:
    one, other = rates[first], rates[second]
    field = f"rates[{second}].match"
    if one.match == other.match:
        message = f"Rate {first + 1} matches the same values, {rate_label(one)}: remove one."
        yield Problem("duplicate_rate", field, message)
    elif _specificity(one) == _specificity(other) and not _settled(one, other, rates):
        message = (
            f"Some usage matches both {_values(one)} and {_values(other)}, and neither is more"
            " specific: add a rate for what both match, or make one narrower."
        )
        yield Problem("ambiguous_rates", field, message)


def _specificity(rate: MatrixRate) -> int:
    return sum(value is not None for value in rate.match)


def _settled(one: MatrixRate, other: MatrixRate, rates: Sequence[MatrixRate]) -> bool:
    """Say whether no usage matches both rates, or a more specific one takes all that does."""
    if not _overlap(one, other):
        return True
    pairs = zip(one.match, other.match, strict=True)
    both = MatrixRate(tuple(b if a is None else a for a, b in pairs), ZERO)
    return any(_specificity(r) > _specificity(one) and _covers(r, both) for r in rates)


def _overlap(one: MatrixRate, other: MatrixRate) -> bool:
    if len(one.match) != len(other.match):
        return False
    pairs = zip(one.match, other.match, strict=True)
    return all(a is None or b is None or a == b for a, b in pairs)


def _covers(rate: MatrixRate, narrower: MatrixRate) -> bool:
    if len(rate.match) != len(narrower.match):
        return False
    pairs = zip(rate.match, narrower.match, strict=True)
    return all(value is None or value == named for value, named in pairs)


def _values(rate: MatrixRate) -> str:
    return " / ".join("*" if value is None else value for value in rate.match)


def bound_problems(
    suffix: str, minimum: Decimal | None, maximum: Decimal | None
) -> Iterator[Problem]:
    """Check that a minimum is not above its maximum; the suffix is that of their fields."""
    if minimum is not None and maximum is not None and minimum > maximum:
        message = (
            f"The minimum, {minimum}, is above the maximum, {maximum}: lower it or raise that."
        )
        yield Problem("minimum_above_maximum", f"minimum{suffix}", message)
