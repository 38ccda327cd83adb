"""Matrix: a rate for each combination of dimension values; the most specific match wins."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from typing import Any, Final, NamedTuple

from plans.rating.charge import Charge, Remembering, refuse_negative, sum_up, unit_part
from plans.rating.money import ONE, ZERO, RatingError, plus
from plans.rating.usage import Cell, Usage

DEFAULT: Final = "default"
MINIMUM: Final = "minimum"


@dataclass(frozen=True, slots=True)
class MatrixRate:
    """`unit_amount` for the cells whose values equal `match`, in which None matches any value."""

    match: tuple[str | None, ...]
    unit_amount: Decimal
    label: str = ""


class Matched(NamedTuple):
    """The quantity that fell to one rate: its stable key, its name, and its price."""

    key: str
    label: str
    quantity: Decimal
    unit_amount: Decimal


class UnmatchedUsage(RatingError):
    """Usage fits no rate and there is no default; it is never billed at zero."""

    code = "unmatched_usage"


class WrongDimensions(RatingError):
    """A cell has more or fewer dimension values than the rates match on."""

    code = "wrong_dimensions"


class _Pattern(NamedTuple):
    """The rates that name values for the same dimensions, found by those values."""

    values_of: Callable[[tuple[str, ...]], Any]
    rates: dict[Any, int]


@dataclass(frozen=True, slots=True)
class Matrix(Remembering):
    """Rates per `unit_size` units, and the default for what none matches (None: that is an error).

    The match with the most named values wins.
    """

    rates: tuple[MatrixRate, ...]
    default: Decimal | None
    unit_size: Decimal = ONE

    def matched(self, usage: Usage, *, dimensions: Sequence[str] = ()) -> tuple[Matched, ...]:
        """Return the quantity of each rate that has any, in the rates' order, the default last.

        `dimensions` are the names for the error's message. Raises UnmatchedUsage, WrongDimensions,
        NegativeQuantity.
        """
        quantities: dict[int, Decimal] = {}
        patterns = self._remember(self._patterns)
        for cell in usage.cells:
            if cell.quantity:
                found = self._find(cell, patterns, dimensions)
                quantities[found] = plus(quantities.get(found, ZERO), cell.quantity)
        return tuple(
            self._matched(index, quantities[index])
            for index in sorted(quantities)
            if quantities[index]
        )

    def charge(self, usage: Usage) -> tuple[Charge, ...]:
        """Return one charge for each matched rate, as `matched` does and with its errors."""
        return tuple(self.charge_matched(found, found.quantity) for found in self.matched(usage))

    def charge_matched(self, found: Matched, quantity: Decimal) -> Charge:
        """Return what a quantity costs at a matched rate."""
        if not quantity:
            return Charge(ZERO, ())
        part = unit_part(
            label=found.label,
            quantity=quantity,
            unit_amount=found.unit_amount,
            unit_size=self.unit_size,
        )
        return sum_up((part,))

    def key_for(self, cell: Cell) -> str:
        """Return the stable key of the line that a cell falls on.

        Raises UnmatchedUsage, WrongDimensions.
        """
        index = self._find(cell, self._remember(self._patterns), ())
        return rate_key(self.rates[index]) if index < len(self.rates) else DEFAULT

    def _find(self, cell: Cell, patterns: tuple[_Pattern, ...], dimensions: Sequence[str]) -> int:
        """Return the index of the cell's rate, the number of rates standing for the default."""
        values = cell.dimensions
        if self.rates and len(values) != len(self.rates[0].match):
            raise WrongDimensions(
                f"The rates match on {len(self.rates[0].match)} values, the usage carries {values}."
            )
        for pattern in patterns:
            index = pattern.rates.get(pattern.values_of(values))
            if index is not None:
                return index
        if self.default is None:
            raise _unmatched(cell, dimensions)
        return len(self.rates)

    def _matched(self, index: int, quantity: Decimal) -> Matched:
        refuse_negative(quantity)
        if index < len(self.rates):
            rate = self.rates[index]
            return Matched(rate_key(rate), rate_label(rate), quantity, rate.unit_amount)
        assert self.default is not None
        return Matched(DEFAULT, DEFAULT, quantity, self.default)

    def _patterns(self) -> tuple[_Pattern, ...]:
        grouped: dict[tuple[int, ...], dict[Any, int]] = {}
        for index, rate in enumerate(self.rates):
            named = tuple(i for i, value in enumerate(rate.match) if value is not None)
            grouped.setdefault(named, {}).setdefault(_getter(named)(rate.match), index)
        by_specificity = sorted(grouped.items(), key=lambda item: -len(item[0]))
        return tuple(_Pattern(_getter(named), rates) for named, rates in by_specificity)


def rate_key(rate: MatrixRate) -> str:
    """Return a rate's stable reference: its values joined by '/', '*' for any value.

    Characters of a value that mean something in the key are written as %XX, and a value that reads
    like a reserved key starts with '='; so two rates of a price never share a key.
    """
    return match_key(rate.match)


def match_key(match: Sequence[str | None]) -> str:
    """Return the stable reference of the values that a rate matches."""
    key = "/".join("*" if value is None else _escaped(value) for value in match)
    return f"={key}" if key in (DEFAULT, MINIMUM, "") else key


def rate_label(rate: MatrixRate) -> str:
    """Return a rate's name for people: its own, or its values joined by ' / '."""
    return rate.label or " / ".join("any" if v is None else v or "none" for v in rate.match)


def _escaped(value: str) -> str:
    if not any(char in value for char in "%/*="):
        return value
    return "".join(f"%{ord(char):02X}" if char in "%/*=" else char for char in value)


def _getter(positions: tuple[int, ...]) -> Callable[[Any], Any]:
    return itemgetter(*positions) if positions else lambda _values: ()


def _unmatched(cell: Cell, dimensions: Sequence[str]) -> UnmatchedUsage:
    if len(dimensions) == len(cell.dimensions):
        pairs = zip(dimensions, cell.dimensions, strict=True)
        named = ", ".join(f"{name}={value or '(none)'}" for name, value in pairs)
    else:
        named = " / ".join(cell.dimensions)
    return UnmatchedUsage(f"No rate and no default for {cell.quantity} with {named}.")
