"""The lines of a price: one alone, or several that share discount, maximum and minimum."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NamedTuple

from plans.rating.adjustments import Adjustment, discount, minimum
from plans.rating.charge import Charge, Part, flat_part
from plans.rating.matrix import MINIMUM
from plans.rating.money import ONE, ZERO, Unit, minus, plus, round_money, split, total
from plans.rating.prices import Price


@dataclass(frozen=True, slots=True)
class RatedLine:
    """One line: what was metered, what is billed of it, how it was priced, and the amount.

    `key` is unique within the price and stays the same when it is rated again: '' for a single
    line, a matrix rate's values, 'default', a service class, the days of seats ('day-16'),
    'minimum' for a top-up, or 'late:' and a service class for what late starts give back.
    `usage_quantity` was metered, `quantity` is billed after the allowance (1 for a flat price, the
    seats of a block, what started late). The amounts of parts, at the full period's fees, and
    adjustments add up to `exact_amount`; `amount` is it rounded. All amounts are money, or credits
    where the price is in credits.
    """

    key: str
    label: str
    usage_quantity: Decimal
    quantity: Decimal
    unit: str
    parts: tuple[Part, ...]
    adjustments: tuple[Adjustment, ...]
    exact_amount: Decimal
    amount: Decimal


class Item(NamedTuple):
    """What becomes one of several lines, before discount and bounds."""

    key: str
    label: str
    metered: Decimal
    quantity: Decimal
    unit: str
    charge: Charge
    adjustments: tuple[Adjustment, ...] = ()


def lines_together(price: Price, items: Iterable[Item], *, currency: Unit) -> tuple[RatedLine, ...]:
    """Return a line for each item, less its discount, and keep their sum to the price's bounds.

    Where the sum, exact or rounded, is above the maximum, that is split over the lines by their
    exact amounts; where the rounded sum is below the minimum, a last line makes up the difference.
    """
    lines = _capped(price, [_line(price, item, currency=currency) for item in items], currency)
    return (*lines, *_top_up(price, lines, currency=currency))


def _line(price: Price, item: Item, *, currency: Unit) -> RatedLine:
    amount, adjustments = item.charge.amount, item.adjustments
    change = discount(price, amount)
    if change is not None and change.amount is not None:
        amount = plus(amount, change.amount)
        adjustments = (*adjustments, change)
    return RatedLine(
        key=item.key,
        label=item.label,
        usage_quantity=item.metered,
        quantity=item.quantity,
        unit=item.unit,
        parts=item.charge.parts,
        adjustments=adjustments,
        exact_amount=amount,
        amount=round_money(amount, currency=currency),
    )


def _capped(price: Price, lines: list[RatedLine], currency: Unit) -> list[RatedLine]:
    """Share the maximum out over the lines where their sum, exact or rounded, is above it."""
    if price.maximum is None or not lines:
        return lines
    highest = round_money(price.maximum, currency=currency)
    exact = [line.exact_amount for line in lines]
    if total(exact) <= price.maximum and total(line.amount for line in lines) <= highest:
        return lines
    amounts = split(highest, weights=exact, currency=currency)
    return [_lowered(line, amount) for line, amount in zip(lines, amounts, strict=True)]


def _lowered(line: RatedLine, amount: Decimal) -> RatedLine:
    change = Adjustment("maximum", None, minus(amount, line.exact_amount))
    adjustments = (*line.adjustments, change) if change.amount else line.adjustments
    return replace(line, adjustments=adjustments, exact_amount=amount, amount=amount)


def _top_up(price: Price, lines: Sequence[RatedLine], *, currency: Unit) -> tuple[RatedLine, ...]:
    """Return the line that brings the rounded sum of the others up to the minimum, if any."""
    if price.minimum is None:
        return ()
    lowest = round_money(price.minimum, currency=currency)
    change = minimum(replace(price, minimum=lowest), total(line.amount for line in lines))
    if change is None or change.amount is None:
        return ()
    return (_top_up_line(price, change.amount, currency=currency),)


def _top_up_line(price: Price, amount: Decimal, *, currency: Unit) -> RatedLine:
    label = "up to the minimum"
    return RatedLine(
        key=MINIMUM,
        label=f"{price.name}, {label}",
        usage_quantity=ZERO,
        quantity=ONE,
        unit="",
        parts=(flat_part(label=label, amount=amount),),
        adjustments=(),
        exact_amount=amount,
        amount=round_money(amount, currency=currency),
    )
