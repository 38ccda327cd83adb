"""What differs between two prices of one key, or between rows of one kind, in words."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, Final

from plans.rating.charge import number
from plans.rating.graduated import Graduated
from plans.rating.graduated_percentage import GraduatedPercentage, PercentTier
from plans.rating.matrix import Matrix, MatrixRate, match_key
from plans.rating.money import Unit
from plans.rating.prices import ChargeModel, Price, ServiceClass, unit_of
from plans.rating.tiers import Tier
from plans.rating.volume import Volume
from plans.rating.words import (
    allowance_words,
    attribution_words,
    class_words,
    credit_words,
    due_words,
    model_words,
    money,
    overage_words,
    phases_words,
    tier_words,
)

# The fields of charge models beside their rows, as people call them.
_LABELS: Final[dict[str, str]] = {
    "amount": "fee",
    "unit_amount": "price",
    "unit_size": "units for one price",
    "package_amount": "price of a package",
    "package_size": "units in a package",
    "free_quantity": "units before the first package",
    "charge_first_tier_at_zero": "first tier's fee without usage",
    "percent": "percentage",
    "fixed_amount": "fee for each transaction",
    "free_transactions": "free transactions",
    "free_amount": "free amount",
    "minimum_per_transaction": "least for each transaction",
    "maximum_per_transaction": "most for each transaction",
    "default": "rate of all others",
    "removed": "a seat that is given up is paid",
}
_NOT_MONEY: Final = frozenset({"unit_size", "package_size", "free_quantity", "percent"})
_CHOICES: Final = {"period_end": "to the period's end", "by_day": "by the day"}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs: its field, its name for people, and what it was and is, in words.

    `before` is empty where there was nothing, `after` where nothing is left.
    """

    field: str
    label: str
    before: str
    after: str


# Rows by what they are matched by: each one's name and its words.
Rows = Mapping[Any, tuple[str, str]]


def row_changes(field: str, old: Rows, new: Rows) -> Iterator[Change]:
    """Yield the rows that were changed, removed and added, then whether their order changed."""
    for key in dict.fromkeys((*old, *new)):
        label = (new.get(key) or old[key])[0]
        before, after = old.get(key, ("", ""))[1], new.get(key, ("", ""))[1]
        if before != after:
            yield Change(field, label, before, after)
    was = [old[key][0] for key in old if key in new]
    now = [new[key][0] for key in new if key in old]
    if was != now:
        yield Change(field, "order", ", ".join(was), ", ".join(now))


def price_changes(
    old: Price, new: Price, *, old_currency: str, new_currency: str
) -> tuple[Change, ...]:
    """Return what differs between two prices: the charge model first, then what lies around it."""
    was, now = _around(old, old_currency), _around(new, new_currency)
    around = [
        Change(field, label, before, after)
        for (field, label, before), (_, _, after) in zip(was, now, strict=True)
        if before != after
    ]
    classes = row_changes("classes", class_rows(old.classes), class_rows(new.classes))
    return (*_model_changes(old, new, old_currency, new_currency), *around, *classes)


def _around(price: Price, currency: str) -> Iterator[tuple[str, str, str]]:
    unit = unit_of(price, currency=currency)
    yield "name", "name", price.name
    yield "meter", "meter", price.meter or ""
    yield "dimensions", "dimensions", ", ".join(price.dimensions)
    yield "unit", "unit", price.unit
    yield "every_months", "due", due_words(price)
    yield "class_dimension", "service class", price.class_dimension
    yield "allowance", "included", allowance_words(price)
    yield "overage", "beyond what is included", overage_words(price, currency=currency)
    yield "discount_percent", "discount", _percent(price.discount_percent)
    yield "minimum", "least in a period", _money(price.minimum, unit)
    yield "maximum", "most in a period", _money(price.maximum, unit)
    yield "prorated", "for a part of a period", "in proportion" if price.prorated else "in full"
    yield "phases", "holds", phases_words(price)
    yield "credit", "in", credit_words(price, currency=currency)
    yield "attribution", "a job's usage", attribution_words(price)


def _model_changes(
    old: Price, new: Price, old_currency: str, new_currency: str
) -> Iterator[Change]:
    if type(old.model) is not type(new.model):
        before = model_words(old, currency=old_currency)
        yield Change("model", "price", before, model_words(new, currency=new_currency))
        return
    old_unit = unit_of(old, currency=old_currency)
    new_unit = unit_of(new, currency=new_currency)
    yield from row_changes("tiers", _tiers(old.model), _tiers(new.model))
    yield from row_changes("rates", _rates(old.model), _rates(new.model))
    for field in fields(old.model):
        if field.name not in _LABELS:
            continue
        before = _value(field.name, getattr(old.model, field.name), old_unit)
        after = _value(field.name, getattr(new.model, field.name), new_unit)
        if before != after:
            yield Change(field.name, _LABELS[field.name], before, after)


def _tiers(model: ChargeModel) -> Rows:
    tiers: Iterable[Tier | PercentTier] = ()
    if isinstance(model, Graduated | Volume | GraduatedPercentage):
        tiers = model.tiers
    return {
        tier.up_to: (
            "last tier" if tier.up_to is None else f"tier up to {number(tier.up_to)}",
            tier_words(tier),
        )
        for tier in tiers
    }


def _rates(model: ChargeModel) -> Rows:
    rates = model.rates if isinstance(model, Matrix) else ()
    return {match_key(rate.match): (f"rate of {_match(rate)}", _rate(rate)) for rate in rates}


def _match(rate: MatrixRate) -> str:
    return " / ".join("*" if value is None else value or "none" for value in rate.match)


def _rate(rate: MatrixRate) -> str:
    words = number(rate.unit_amount)
    return f"{words}, named {rate.label}" if rate.label else words


def class_rows(classes: Iterable[ServiceClass]) -> Rows:
    """Return service classes as rows by their keys."""
    return {
        each.key: (f"service class {each.key}", f"{each.name}, {class_words(each)}")
        for each in classes
    }


def _value(name: str, value: Any, currency: Unit) -> str:
    if value is None:
        return "refused" if name == "default" else ""
    if isinstance(value, bool):
        return "due" if value else ""
    if isinstance(value, Decimal):
        return number(value) if name in _NOT_MONEY else money(value, currency=currency)
    return _CHOICES.get(value, str(value))


def _percent(percent: Decimal) -> str:
    return f"{number(percent)}%" if percent else ""


def _money(amount: Decimal | None, currency: Unit) -> str:
    return "" if amount is None else money(amount, currency=currency)
