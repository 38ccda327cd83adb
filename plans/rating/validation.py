"""What is wrong with a price before it is sold, in words for the person who typed it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from decimal import Decimal
from itertools import combinations
from typing import Any, Final

from plans.rating.flat import Flat
from plans.rating.graduated import Graduated
from plans.rating.graduated_percentage import GraduatedPercentage, PercentTier
from plans.rating.matrix import Matrix, MatrixRate, rate_label
from plans.rating.money import CURRENCIES, HUNDRED, ZERO
from plans.rating.percentage import Percentage
from plans.rating.prices import Price, Terms
from plans.rating.tiers import Tier
from plans.rating.volume import Volume

MOST_DECIMALS: Final = 12
HIGHEST_PERCENTAGE: Final = Decimal(1000)

_SIZES: Final = frozenset({"unit_size", "package_size"})
_UNSIGNED: Final = frozenset({"up_to"}) | _SIZES


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to put right: a stable code, the field ("tiers[2].up_to"), and what to do."""

    code: str
    field: str
    message: str


def problems(price: Price) -> tuple[Problem, ...]:
    """Return what keeps a price from being published, in the order of its fields; () if nothing.

    Where a number is not a number, only that is reported, since nothing else can be compared.
    """
    unreadable = tuple(_not_numbers(price))
    return unreadable or tuple(_price_problems(price))


def problems_in_terms(terms: Terms) -> tuple[Problem, ...]:
    """Return what is wrong with the currency, the prices' keys, and each price ("prices[i].")."""
    return tuple(_terms_problems(terms))


def _terms_problems(terms: Terms) -> Iterator[Problem]:
    if terms.currency not in CURRENCIES:
        yield Problem(
            "unknown_currency",
            "currency",
            f"{terms.currency!r} is not a currency code: use one of ISO 4217, such as USD.",
        )
    seen: set[str] = set()
    for index, price in enumerate(terms.prices):
        if price.key in seen:
            message = f"Two prices have the key {price.key!r}: give this one another."
            yield Problem("duplicate_key", f"prices[{index}].key", message)
        seen.add(price.key)
        for problem in problems(price):
            yield replace(problem, field=f"prices[{index}].{problem.field}")


def _price_problems(price: Price) -> Iterator[Problem]:
    yield from _identity(price)
    yield from _meter(price)
    yield from _numbers("", price)
    yield from _numbers("", price.model)
    yield from _discount(price)
    yield from _bounds("", price.minimum, price.maximum)
    yield from _allowance(price)
    yield from _model(price)


def _identity(price: Price) -> Iterator[Problem]:
    if not price.key:
        yield Problem(
            "no_key", "key", "The price has no key: give it a short one, unique in the plan."
        )
    if not price.name:
        yield Problem("no_name", "name", "The price has no name: give it the one customers read.")


def _meter(price: Price) -> Iterator[Problem]:
    flat = isinstance(price.model, Flat)
    if flat and price.meter is not None:
        message = "A flat price counts nothing: remove the meter, or choose a price by usage."
        yield Problem("meter_on_flat", "meter", message)
    if not flat and not price.meter:
        message = "A price by usage needs a meter: choose what is counted."
        yield Problem("no_meter", "meter", message)
    if price.once and not flat:
        message = "Only a flat price can be charged once: make it flat, or let it recur."
        yield Problem("once_on_metered", "once", message)


def _allowance(price: Price) -> Iterator[Problem]:
    if not price.allowance:
        return
    if isinstance(price.model, Flat):
        message = "A flat price includes no quantity: put the allowance on the price by usage."
        yield Problem("allowance_on_flat", "allowance", message)
    if isinstance(price.model, Percentage) and price.model.needs_transactions:
        message = "This price has rules for each transaction: use its free amount instead."
        yield Problem("allowance_on_transactions", "allowance", message)


def _discount(price: Price) -> Iterator[Problem]:
    if price.discount_percent > HUNDRED:
        message = f"A discount of {price.discount_percent}% is over 100%: state 0 to 100."
        yield Problem("percent_out_of_range", "discount_percent", message)


def _bounds(suffix: str, minimum: Decimal | None, maximum: Decimal | None) -> Iterator[Problem]:
    if minimum is not None and maximum is not None and minimum > maximum:
        message = (
            f"The minimum, {minimum}, is above the maximum, {maximum}: lower it or raise that."
        )
        yield Problem("minimum_above_maximum", f"minimum{suffix}", message)


def _model(price: Price) -> Iterator[Problem]:
    model = price.model
    if isinstance(model, Graduated | Volume | GraduatedPercentage):
        yield from _tiers(model.tiers)
    elif isinstance(model, Percentage):
        yield from _percent("percent", model.percent)
        yield from _bounds(
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
        yield from _numbers(f"tiers[{index}].", tier)
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
        yield from _numbers(f"rates[{index}].", rate)
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


def _numbers(prefix: str, value: Any) -> Iterator[Problem]:
    """Check the signs, the sizes and the decimals of a dataclass's own numbers."""
    for name, found in _decimals(value):
        field = f"{prefix}{name}"
        if name in _SIZES and found <= ZERO:
            yield Problem(
                "size_not_positive", field, f"A size of {found} is no size: use 1 or more."
            )
        elif name not in _UNSIGNED and found < ZERO:
            yield Problem("negative", field, f"{found} is below zero: state zero or more.")
        if _decimal_places(found) > MOST_DECIMALS:
            message = (
                f"{found} has more than {MOST_DECIMALS} decimals: round it, or use a unit size."
            )
            yield Problem("too_many_decimals", field, message)


def _decimals(value: Any) -> Iterator[tuple[str, Decimal]]:
    for field in fields(value):
        found = getattr(value, field.name)
        if isinstance(found, Decimal):
            yield field.name, found
        elif field.name == "free_transactions":
            yield field.name, Decimal(found)


def _decimal_places(number: Decimal) -> int:
    return max(0, -int(number.as_tuple().exponent))


def _not_numbers(value: Any, path: str = "") -> Iterator[Problem]:
    """Find the decimals anywhere in a price that are infinite or not a number."""
    if isinstance(value, Decimal) and not value.is_finite():
        yield Problem("not_a_number", path, f"{value} is not an amount: state a number.")
    elif is_dataclass(value):
        for field in fields(value):
            name = "" if field.name == "model" else field.name
            yield from _not_numbers(getattr(value, field.name), _join(path, name))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _not_numbers(item, f"{path}[{index}]")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name
