"""What unsaved prices come to together: a period's bill at quantities of one's choice.

Every amount is an answer of ``rate()``.
"""

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Final, NamedTuple

from plans import rating
from plans.rating.charge import number
from plans.rating.money import ZERO, RatingError, over, total
from plans.rating.samples import TRANSACTION
from plans.words import money

_TRANSACTIONS_MOST: Final = Decimal(500)


class BillLine(NamedTuple):
    """A line of a bill in words; ``problem`` is why the price could not be rated, else empty."""

    price: str
    label: str
    quantity: str
    amount: str
    words: str
    problem: str


class Bill(NamedTuple):
    """What a full period costs at given quantities; the total is empty where a line is missing.

    The total names money first, then each credit: "500.00 USD + 6,000 TOKN".
    """

    lines: tuple[BillLine, ...]
    total: str


def bill(
    prices: Sequence[rating.Price], *, quantities: Mapping[str, Decimal], currency: str
) -> Bill:
    """Return what a full period of prices costs at quantities by meter; no quantity is none.

    All usage of a meter is of one kind, as ``rating.sample_usage`` has it.
    """
    lines: list[BillLine] = []
    amounts: dict[rating.Unit, list[Decimal]] = {currency: []}
    is_whole = True
    for price in prices:
        usage = _usage(price, quantities.get(price.meter or "", ZERO))
        try:
            rated = rating.rate(price, usage, currency=currency)
        except RatingError as error:
            is_whole = False
            lines.append(BillLine(price.key, price.name, "", "", "", str(error)))
            continue
        unit = rating.unit_of(price, currency=currency)
        amounts.setdefault(unit, []).extend(line.amount for line in rated)
        lines += [_line(price, line, unit) for line in rated]
    return Bill(tuple(lines), _total(amounts, currency) if is_whole else "")


def _total(amounts: Mapping[rating.Unit, Sequence[Decimal]], currency: str) -> str:
    """Write the sum of each unit; money only where a line is in money, or there is no line."""
    shown = [unit for unit in amounts if unit != currency or amounts[unit] or len(amounts) == 1]
    return " + ".join(money(total(amounts[unit]), currency=unit) for unit in shown)


def _usage(price: rating.Price, quantity: Decimal) -> rating.Usage:
    if not quantity:
        return rating.Usage()
    each = over(quantity, _TRANSACTIONS_MOST).to_integral_value(ROUND_CEILING)
    return rating.sample_usage(price, quantity, transaction=max(TRANSACTION, each))


def _line(price: rating.Price, line: rating.RatedLine, unit: rating.Unit) -> BillLine:
    is_fee = isinstance(price.model, rating.Flat)
    return BillLine(
        price=price.key,
        label=line.label,
        quantity="" if is_fee else f"{number(line.usage_quantity)} {line.unit}".strip(),
        amount=money(line.amount, currency=unit),
        words=rating.in_words(line, currency=unit),
        problem="",
    )
