"""Rate one price: from what was metered to lines of money that explain themselves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from plans.rating.adjustments import (
    Adjustment,
    after_charge,
    discount,
    minimum,
    prorated,
    take_allowance,
)
from plans.rating.charge import Charge, Part, flat_part, refuse_negative
from plans.rating.flat import Flat
from plans.rating.matrix import DEFAULT, MINIMUM, Matched, Matrix
from plans.rating.money import ONE, ZERO, RatingError, minus, plus, round_money, split, total
from plans.rating.percentage import Percentage
from plans.rating.prices import Price
from plans.rating.usage import Usage


@dataclass(frozen=True, slots=True)
class RatedLine:
    """One line: what was metered, what is billed of it, how it was priced, and the amount.

    `key` is unique within the price and stays the same when it is rated again: '' for a single
    line, a matrix rate's values, 'default', or 'minimum' for a top-up. `usage_quantity` was
    metered, `quantity` is billed after the allowance (1 for a flat price). The amounts of parts,
    at the full period's fees, and adjustments add up to `exact_amount`; `amount` is it rounded.
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


class AllowanceOnTransactions(RatingError):
    """An allowance cannot be taken off single transactions; a free amount can."""

    code = "allowance_on_transactions"


def rate(
    price: Price, usage: Usage, *, currency: str, share: Fraction | int = 1
) -> tuple[RatedLine, ...]:
    """Return the lines that a price makes of a billing period's usage, each rounded once.

    `share` is the part of the billing period, 0 to 1, in which the price was in force: it shrinks
    flat amounts, allowance, minimum and maximum of a price that is prorated. There is a line for a
    flat price, for metered usage, and for an amount other than zero; a matrix has one for each
    matched rate, in their order, the default last, then the top-up to its minimum.

    Raises RatingError's subclasses: NegativeQuantity, BeyondTiers, UnmatchedUsage, WrongDimensions,
    MissingTransactions, TransactionsDoNotAddUp, AllowanceOnTransactions, ShareOutOfRange,
    UnknownCurrency. Rule: DESIGN section 3, "Order on a statement line", and `adjustments`.
    """
    in_force = price if share == 1 else prorated(price, share=share)
    if isinstance(in_force.model, Matrix):
        return _rate_matrix(in_force, in_force.model, usage, currency=currency, full=price)
    if isinstance(in_force.model, Flat):
        return (
            _line(in_force, metered=ZERO, quantity=ONE, usage=usage, currency=currency, full=price),
        )
    return _rate_metered(in_force, usage, currency=currency, full=price)


def _rate_metered(
    price: Price, usage: Usage, *, currency: str, full: Price
) -> tuple[RatedLine, ...]:
    metered = usage.quantity
    refuse_negative(metered)
    quantity = metered
    allowance: Adjustment | None = None
    if price.allowance:
        _refuse_transactions(price)
        quantity, allowance = take_allowance(metered, allowance=price.allowance)
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


def _refuse_transactions(price: Price) -> None:
    if isinstance(price.model, Percentage) and price.model.needs_transactions:
        raise AllowanceOnTransactions(
            f"{price.name} has rules for each transaction: state a free amount, not an allowance."
        )


def _line(
    price: Price,
    *,
    metered: Decimal,
    quantity: Decimal,
    usage: Usage,
    currency: str,
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
    assert not isinstance(model, Matrix)
    return model.charge(quantity)


def _proration(price: Price, full: Price, amount: Decimal) -> list[Adjustment]:
    """Return what the share of the period changed: the allowance, and the money."""
    allowance = minus(price.allowance, full.allowance)
    if not allowance and not amount:
        return []
    return [Adjustment("proration", allowance or None, amount or None)]


def _rate_matrix(
    price: Price, model: Matrix, usage: Usage, *, currency: str, full: Price
) -> tuple[RatedLine, ...]:
    remaining = price.allowance
    first = _proration(price, full, ZERO)
    lines: list[RatedLine] = []
    for found in model.matched(usage, dimensions=price.dimensions):
        quantity, allowance = take_allowance(found.quantity, allowance=remaining)
        remaining = minus(remaining, minus(found.quantity, quantity))
        adjustments = first + ([] if allowance is None else [allowance])
        charge = model.charge_matched(found, quantity)
        lines.append(_matrix_line(price, found, quantity, charge, adjustments, currency=currency))
        first = []
    lines = _capped(price, lines, currency=currency)
    return (*lines, *_top_up(price, lines, currency=currency))


def _matrix_line(
    price: Price,
    found: Matched,
    quantity: Decimal,
    charge: Charge,
    adjustments: list[Adjustment],
    *,
    currency: str,
) -> RatedLine:
    amount = charge.amount
    change = discount(price, amount)
    if change is not None and change.amount is not None:
        amount = plus(amount, change.amount)
        adjustments = [*adjustments, change]
    return RatedLine(
        key=found.key,
        label=f"{price.name}, other" if found.key == DEFAULT else found.label,
        usage_quantity=found.quantity,
        quantity=quantity,
        unit=price.unit,
        parts=charge.parts,
        adjustments=tuple(adjustments),
        exact_amount=amount,
        amount=round_money(amount, currency=currency),
    )


def _capped(price: Price, lines: list[RatedLine], *, currency: str) -> list[RatedLine]:
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


def _top_up(price: Price, lines: Sequence[RatedLine], *, currency: str) -> tuple[RatedLine, ...]:
    """Return the line that brings the rounded sum of the others up to the minimum, if any."""
    if price.minimum is None:
        return ()
    lowest = round_money(price.minimum, currency=currency)
    change = minimum(replace(price, minimum=lowest), total(line.amount for line in lines))
    if change is None or change.amount is None:
        return ()
    return (_top_up_line(price, change.amount, currency=currency),)


def _top_up_line(price: Price, amount: Decimal, *, currency: str) -> RatedLine:
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
