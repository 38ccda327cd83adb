"""One thing to put right, and what holds for every number of a price or of terms."""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from typing import Any, Final

from plans.rating.money import HUNDRED, ZERO

MOST_DECIMALS: Final = 12

_SIZES: Final = frozenset({"unit_size", "package_size"})
_UNSIGNED: Final = frozenset({"up_to"})

# What a document calls some fields.
_DOCUMENT_NAMES: Final = {
    "pack_size": "size",
    "pack_amount": "amount",
    "beyond_credit_amount": "beyond_credit",
}
# `credit_problems` checks it under the name that documents have for it.
_CHECKED_APART: Final = frozenset({"beyond_credit_amount"})


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to put right: a stable code, the field ("tiers[2].up_to"), and what to do."""

    code: str
    field: str
    message: str


def twice(found: Iterable[Hashable]) -> frozenset[int]:
    """Return the places of what stood at an earlier place already."""
    seen: set[Hashable] = set()
    repeated = set()
    for place, each in enumerate(found):
        if each in seen:
            repeated.add(place)
        seen.add(each)
    return frozenset(repeated)


def number_problems(prefix: str, value: Any) -> Iterator[Problem]:
    """Check the signs, the sizes and the decimals of a dataclass's own numbers."""
    for name, found in _decimals(value):
        if name in _UNSIGNED:
            yield from decimals_problems(f"{prefix}{name}", found)
        elif name in _SIZES:
            yield from size_problems(f"{prefix}{name}", found)
        else:
            yield from amount_problems(f"{prefix}{name}", found)


def size_problems(field: str, found: Decimal) -> Iterator[Problem]:
    """Check that a size is above zero and has no more decimals than are kept."""
    if found <= ZERO:
        yield Problem("size_not_positive", field, f"A size of {found} is no size: use 1 or more.")
    yield from decimals_problems(field, found)


def amount_problems(field: str, found: Decimal) -> Iterator[Problem]:
    """Check that an amount is not below zero and has no more decimals than are kept."""
    if found < ZERO:
        yield Problem("negative", field, f"{found} is below zero: state zero or more.")
    yield from decimals_problems(field, found)


def decimals_problems(field: str, found: Decimal) -> Iterator[Problem]:
    """Check that a number has no more decimals than are kept."""
    if -int(found.as_tuple().exponent) > MOST_DECIMALS:
        message = f"{found} has more than {MOST_DECIMALS} decimals: round it, or use a unit size."
        yield Problem("too_many_decimals", field, message)


def discount_problems(field: str, percent: Decimal) -> Iterator[Problem]:
    """Check that a discount is not above 100%."""
    if percent > HUNDRED:
        message = f"A discount of {percent}% is over 100%: state 0 to 100."
        yield Problem("percent_out_of_range", field, message)


def not_numbers(value: Any, path: str = "") -> Iterator[Problem]:
    """Find the decimals anywhere in a value that are infinite or not a number."""
    if isinstance(value, Decimal) and not value.is_finite():
        yield Problem("not_a_number", path, f"{value} is not an amount: state a number.")
    elif is_dataclass(value):
        for field in fields(value):
            name = "" if field.name == "model" else field.name
            found = getattr(value, field.name)
            yield from not_numbers(found, _join(path, _DOCUMENT_NAMES.get(name, name)))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from not_numbers(item, f"{path}[{index}]")


def _decimals(value: Any) -> Iterator[tuple[str, Decimal]]:
    for field in fields(value):
        found = getattr(value, field.name)
        if isinstance(found, Decimal) and field.name not in _CHECKED_APART:
            yield field.name, found
        elif field.name == "free_transactions":
            yield field.name, Decimal(found)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name
