"""Rate one price: from what was metered to lines of money that explain themselves."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import NamedTuple

from plans.rating.adjustments import Adjustment, after_charge, prorated, take_allowance
from plans.rating.allowance import included
from plans.rating.charge import Charge, refuse_negative
from plans.rating.classes import by_class, class_charge, class_key, class_of
from plans.rating.flat import Flat
from plans.rating.late_starts import late_credits
from plans.rating.lines import Item, RatedLine, lines_together
from plans.rating.matrix import DEFAULT, Matrix
from plans.rating.money import ONE, ZERO, Unit, minus, round_money
from plans.rating.percentage import Percentage
from plans.rating.prices import Price, unit_of
from plans.rating.seats import MissingDays, Seats, block_label, seats_noun
from plans.rating.usage import Cell, Usage


class Bounds(NamedTuple):
    """The least and the most that is due, of which a share of the period was taken already."""

    lowest: Decimal | None
    highest: Decimal | None


def rate(
    price: Price,
    usage: Usage,
    *,
    currency: str,
    share: Fraction | int = 1,
    bounds: Bounds | None = None,
) -> tuple[RatedLine, ...]:
    """Return the lines that a price makes of a billing period's usage, each rounded once.

    `share` is the part of the billing period, 0 to 1, in which the price was in force: it shrinks
    flat amounts, allowance, minimum and maximum of a price that is prorated; seats have their days
    instead. `bounds` stand in for minimum and maximum of the price.

    There is a line for a flat price, for metered usage, and for an amount other than zero.
    Several lines, then the top-up to their minimum, have: a matrix, one for each matched rate in
    their order, the default last; a price by service class, one for each class, and after the
    top-up what late starts give back of each; and seats, one for each block of them. A price in
    credits makes lines of credits, rounded to their finest part.

    Raises RatingError's subclasses: NegativeQuantity, BeyondTiers, UnmatchedUsage, WrongDimensions,
    MissingTransactions, TransactionsDoNotAddUp, AllowanceOnTransactions, MissingShares,
    BeyondAllowance, MissingDays, DaysOutsidePeriod, ClassesPerUnitOnly, ShareOutOfRange,
    UnknownCurrency. Rule: DESIGN section 3, "Order on a statement line", and `adjustments`.
    """
    unit = unit_of(price, currency=currency)
    in_force = price if share == 1 else prorated(price, share=share)
    if bounds is not None:
        in_force = replace(in_force, minimum=bounds.lowest, maximum=bounds.highest)
    model = in_force.model
    if isinstance(model, Seats):
        return lines_together(in_force, _seats(in_force, model, usage), currency=unit)
    if isinstance(model, Matrix):
        found = _matched(in_force, model, usage)
    elif in_force.class_dimension:
        found = _classes(in_force, usage)
    elif isinstance(model, Flat):
        return (
            _line(in_force, metered=ZERO, quantity=ONE, usage=usage, currency=unit, full=price),
        )
    else:
        return _rate_metered(in_force, usage, currency=unit, full=price)
    items = _after_allowance(in_force, found, usage, proration=_proration(in_force, price, ZERO))
    lines = lines_together(in_force, items, currency=unit)
    return (*lines, *_given_back(in_force, usage, lines, currency=unit))


def _given_back(
    price: Price, usage: Usage, lines: Sequence[RatedLine], *, currency: Unit
) -> Iterator[RatedLine]:
    if price.class_dimension and not isinstance(price.model, Matrix):
        classes = {class_key(each): each for each in price.classes}
        yield from late_credits(price, usage, lines, classes=classes, currency=currency)


def line_key(price: Price, cell: Cell) -> str:
    """Return the key of the line on which a cell's usage falls, to find a line's usage by.

    Raises UnmatchedUsage, WrongDimensions.
    """
    if isinstance(price.model, Matrix):
        return price.model.key_for(cell)
    return class_key(class_of(price, cell)) if price.class_dimension else ""


class _Found(NamedTuple):
    """Metered usage that makes one of several lines, and how what is billed of it is priced."""

    key: str
    label: str
    metered: Decimal
    charge: Callable[[Decimal], Charge]


def _matched(price: Price, model: Matrix, usage: Usage) -> Iterator[_Found]:
    for found in model.matched(usage, dimensions=price.dimensions):
        label = f"{price.name}, other" if found.key == DEFAULT else found.label
        yield _Found(found.key, label, found.quantity, partial(model.charge_matched, found))


def _classes(price: Price, usage: Usage) -> Iterator[_Found]:
    for found, metered in by_class(price, usage):
        label = f"{price.name}, {found.name}"
        yield _Found(class_key(found), label, metered, partial(class_charge, price, found))


def _after_allowance(
    price: Price, found: Iterable[_Found], usage: Usage, *, proration: list[Adjustment]
) -> Iterator[Item]:
    """Use the allowance up in the order of what was found; yield what is billed of each."""
    remaining = included(price, usage)
    first = tuple(proration)
    for each in found:
        quantity, allowance = take_allowance(each.metered, allowance=remaining)
        remaining = minus(remaining, minus(each.metered, quantity))
        adjustments = first if allowance is None else (*first, allowance)
        charge = each.charge(quantity)
        yield Item(each.key, each.label, each.metered, quantity, price.unit, charge, adjustments)
        first = ()


def _seats(price: Price, model: Seats, usage: Usage) -> Iterator[Item]:
    if usage.days is None:
        raise MissingDays(
            f"{price.name} is a price for seats, and their levels by day are missing."
        )
    for block in model.blocks(usage.days):
        yield Item(
            block.key,
            block_label(block, unit=price.unit),
            block.quantity,
            block.quantity,
            seats_noun(price.unit, quantity=block.quantity),
            model.charge(block),
        )


def _rate_metered(
    price: Price, usage: Usage, *, currency: Unit, full: Price
) -> tuple[RatedLine, ...]:
    quantity = usage.quantity
    refuse_negative(quantity)
    metered = usage.added if price.contract else quantity
    allowance: Adjustment | None = None
    if price.allowance or price.overage.policy != "rate":
        quantity, allowance = take_allowance(metered, allowance=included(price, usage))
    line = _line(
        price,
        metered=metered,
        quantity=quantity,
        usage=usage,
        currency=currency,
        full=full,
        allowance=allowance,
    )
    return (line,) if metered or line.amount else ()


def _line(
    price: Price,
    *,
    metered: Decimal,
    quantity: Decimal,
    usage: Usage,
    currency: Unit,
    full: Price,
    allowance: Adjustment | None = None,
) -> RatedLine:
    charge = _charge(full, quantity, usage)
    adjustments = [] if allowance is None else [allowance]
    amount = charge.amount
    if full is not price:
        amount = _charge(price, quantity, usage).amount
        adjustments[:0] = _proration(price, full, minus(amount, charge.amount))
    amount, changes = after_charge(price, amount)
    return RatedLine(
        "",
        price.name,
        metered,
        quantity,
        price.unit,
        charge.parts,
        (*adjustments, *changes),
        amount,
        round_money(amount, currency=currency),
    )


def _charge(price: Price, quantity: Decimal, usage: Usage) -> Charge:
    model = price.model
    if isinstance(model, Percentage):
        return model.charge(quantity, usage.transactions)
    if isinstance(model, Flat):
        return model.charge()
    assert not isinstance(model, Matrix | Seats), "they make several lines"
    return model.charge(quantity)


def _proration(price: Price, full: Price, amount: Decimal) -> list[Adjustment]:
    """Return what the share of the period changed: the allowance, and the money."""
    allowance = minus(price.allowance, full.allowance)
    if not allowance and not amount:
        return []
    return [Adjustment("proration", allowance or None, amount or None)]
