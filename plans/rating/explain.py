"""A rated line as one sentence, for the person who asks where the amount comes from."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from plans.rating.adjustments import Adjustment
from plans.rating.charge import Part, number
from plans.rating.lines import RatedLine
from plans.rating.money import EXACT, HUNDRED, ONE, CreditUnit, Unit, minor_units, round_money

_MOST_DECIMALS: Final = 12
_LAST_DECIMAL: Final = Decimal(1).scaleb(-_MOST_DECIMALS)
_REASONS: Final[dict[str, str]] = {
    "proration": "for the share of the period in force",
    "allowance": "included",
    "discount": "discount",
    "maximum": "to the maximum",
    "minimum": "to the minimum",
    "late_start_most": "beyond the most that late starts give back in a period",
    "shared_maximum": "to the maximum of fee and bonus together",
    "shared_minimum": "to the minimum of fee and bonus together",
    "commitment": "committed discount",
    "beyond": "discount beyond the commitment",
}


def in_words(line: RatedLine, *, currency: Unit) -> str:
    """Say how a line's amount came about, in the currency's decimals.

    "12,500 calls: 10,000 at 0.002 + 2,500 at 0.0015 = 23.75". Credits are named, since an amount
    without its unit is taken for money: "1,200,000 tokens: 1,200,000 at 5 per 1,000 = 6,000 TOKN".
    Raises UnknownCurrency.
    """
    steps = " + ".join(_part(part, line, currency) for part in line.parts) or "nothing to bill"
    changes = "".join(f", {change}" for change in _changes(line, currency))
    return f"{_subject(line)}: {steps}{changes} = {_result(line, currency)}"


def _subject(line: RatedLine) -> str:
    """Name what was metered and what of it was included.

    A flat line has its label alone, and so have seats and what late starts give back, whose labels
    say how many there are.
    """
    if not line.usage_quantity and not _is_metered(line):
        return line.label
    metered = f"{_readable(line.usage_quantity)} {line.unit or 'units'}"
    if line.label.startswith(f"{metered} "):
        return line.label
    subject = f"{line.label}, {metered}" if line.key else metered
    included = [a.quantity for a in line.adjustments if a.kind == "allowance" and a.quantity]
    if not included:
        return subject
    return f"{subject}, {_readable(included[0].copy_abs())} of them included"


def _is_metered(line: RatedLine) -> bool:
    """Say whether a line is for usage: a flat line is not, nor what late starts give back."""
    priced = [part.unit_amount for part in line.parts if part.unit_amount is not None]
    return bool(priced) and not all(each < 0 for each in priced)


def _part(part: Part, line: RatedLine, currency: Unit) -> str:
    if part.unit_amount is None:
        return f"{_money(part.flat_amount, currency)} {part.label}"
    quantity, price = _readable(part.quantity), _readable(part.unit_amount)
    if part.unit_size == HUNDRED and part.label.startswith(f"{price}%"):
        words = f"{price}% of {quantity}"
    elif part.label.endswith(" days"):
        words = f"{_readable(line.quantity)} at {price} for {part.label}"
    elif part.label.startswith("packages"):
        words = f"{quantity} {part.label} at {price}"
    else:
        per = "" if part.unit_size == ONE else f" per {number(part.unit_size)}"
        words = f"{quantity} at {price}{per}"
    if not part.flat_amount:
        return words
    return f"{words} + {_money(part.flat_amount, currency)} flat"


def _changes(line: RatedLine, currency: Unit) -> Iterator[str]:
    for adjustment in line.adjustments:
        words = _change(adjustment, currency)
        if words:
            yield words


def _change(adjustment: Adjustment, currency: Unit) -> str:
    if adjustment.amount is None:
        return ""
    sign = "less" if adjustment.amount < 0 else "plus"
    return f"{sign} {_money(adjustment.amount.copy_abs(), currency)} {_REASONS[adjustment.kind]}"


def _result(line: RatedLine, currency: Unit) -> str:
    exact, rounded = _money(line.exact_amount, currency), _money(line.amount, currency)
    words = rounded if line.exact_amount == line.amount else f"{exact}, rounded to {rounded}"
    return f"{words} {currency}" if isinstance(currency, CreditUnit) else words


def _money(amount: Decimal, currency: Unit) -> str:
    """Write an amount in the currency's decimals, or in as many as it needs, at most 12."""
    rounded = round_money(amount, currency=currency)
    if rounded == amount:
        return f"{rounded:,.{minor_units(currency)}f}"
    return _readable(amount)


def _readable(value: Decimal) -> str:
    """Write a number with at most 12 decimals."""
    if -int(value.as_tuple().exponent) > _MOST_DECIMALS:
        value = EXACT.quantize(value, _LAST_DECIMAL)
    return number(value)
