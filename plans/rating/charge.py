"""What a charge model answers: an amount not yet rounded, and the parts it is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeVar

from plans.rating.money import ONE, ZERO, RatingError, per_units, plus

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part:
    """One step of a charge: `amount = quantity x unit_amount / unit_size + flat_amount`.

    A percentage has its percent as the unit amount and 100 as the unit size. Without a unit amount
    the part is its flat amount alone.
    """

    label: str
    quantity: Decimal
    unit_amount: Decimal | None
    unit_size: Decimal
    flat_amount: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Charge:
    """An exact amount, not rounded; its parts' amounts add up to it."""

    amount: Decimal
    parts: tuple[Part, ...]


NOTHING: Final = Charge(ZERO, ())


class NegativeQuantity(RatingError):
    """The quantity to bill is below zero."""

    code = "negative_quantity"


def refuse_negative(quantity: Decimal) -> None:
    """Raise NegativeQuantity where the quantity is below zero."""
    if quantity < ZERO:
        raise NegativeQuantity(
            f"A quantity of {quantity} cannot be billed: corrections outweigh the usage."
        )


def unit_part(
    *, label: str, quantity: Decimal, unit_amount: Decimal, unit_size: Decimal = ONE
) -> Part:
    """Return the part for a quantity at `unit_amount` for each `unit_size`."""
    amount = per_units(quantity, unit_amount, unit_size)
    return Part(label, quantity, unit_amount, unit_size, ZERO, amount)


def flat_part(*, label: str, amount: Decimal) -> Part:
    """Return the part for an amount that no quantity moves."""
    return Part(label, ONE, None, ONE, amount, amount)


def sum_up(parts: tuple[Part, ...]) -> Charge:
    """Return the charge that the parts make up."""
    amount = ZERO
    for part in parts:
        amount = plus(amount, part.amount)
    return Charge(amount, parts)


def number(value: Decimal) -> str:
    """Write a number for people: thousands separated, no trailing zeros, never an exponent."""
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class Remembering:
    """Keeps one derived value beside a frozen model's fields: not compared, copied or encoded."""

    __slots__ = ("_remembered",)
    _remembered: Any

    def _remember(self, derive: Callable[[], T]) -> T:
        try:
            remembered: T = self._remembered
        except AttributeError:
            remembered = derive()
            object.__setattr__(self, "_remembered", remembered)
        return remembered
