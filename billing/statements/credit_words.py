"""What credit did to a line, in words for the person who asks. Pure."""

from collections.abc import Iterable
from decimal import Decimal

from billing.statements.credit_lines import CREDIT
from billing.statements.credit_values import CreditPart, CreditUse
from billing.statements.values import Line
from billing.wording import Money, Quantity
from plans import rating
from plans.rating.money import total


def use_unit(line: Line, *, currency: str) -> str:
    """Return the unit in which a line's uses count: money, a credit, or a price's own units."""
    part = line.explanation.credit
    if part is None or line.kind == CREDIT:
        return currency
    return part.unit or line.unit


def written(amount: Decimal, *, unit: str, currency: str) -> str:
    """Write an amount of credit, which is money where its unit is the currency."""
    return str(Money(amount, currency)) if unit == currency else str(Quantity(amount, unit))


def credit_in_words(line: Line, *, currency: str) -> str:
    """Say what grants paid of a line, what they lacked, and what is given back.

    "1,000 TOKN from credit pack 1,000, 250 TOKN beyond credit at $0.02 = $5.00". "" for a line that
    credit has nothing to do with.
    """
    part = line.explanation.credit
    if part is None:
        return ""
    unit = use_unit(line, currency=currency)
    found = [
        f"{written(amount, unit=unit, currency=currency)} from {name}"
        for name, amount in _by_name(use for use in part.uses if use.amount)
    ]
    back = total(use.drawn - use.amount for use in part.uses if use.drawn > use.amount)
    if back:
        found.append(f"{_plain(back, line, part, currency)} given back, which was drawn before")
    found += _lacking(part, unit=unit, currency=currency)
    return ", ".join(found)


def _plain(amount: Decimal, line: Line, part: CreditPart, currency: str) -> str:
    paid = any(use.amount for use in part.uses) or bool(part.unit)
    unit = use_unit(line, currency=currency) if paid else ""
    return written(amount, unit=unit, currency=currency)


def _by_name(uses: Iterable[CreditUse]) -> list[tuple[str, Decimal]]:
    found: dict[str, Decimal] = {}
    for use in uses:
        found[use.name] = found.get(use.name, Decimal(0)) + use.amount
    return list(found.items())


def _lacking(part: CreditPart, *, unit: str, currency: str) -> list[str]:
    if part.short and part.beyond_amount is not None:
        each = Money(part.beyond_amount, currency)
        cost = rating.round_money(part.short * part.beyond_amount, currency=currency)
        beyond = Quantity(part.short, unit)
        return [f"{beyond} beyond credit at {each} = {Money(cost, currency)}"]
    if part.needed:
        packs = "pack is" if part.needed == 1 else "packs are"
        return [f"{part.needed} more {packs} to be bought"]
    return []
