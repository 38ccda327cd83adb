"""A price in a few words, for lists: "graduated: up to 1,000 at 0.04, above at 0.03"."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from plans import rating
from plans.rating.charge import number
from plans.rating.money import ONE, minor_units, round_money
from plans.rating.seats import seats_noun


def money(amount: Decimal, *, currency: str) -> str:
    """Write an amount with its currency, in its decimals, or in more where the amount has them."""
    rounded = round_money(amount, currency=currency)
    if rounded != amount:
        return f"{number(amount)} {currency}"
    return f"{rounded:,.{minor_units(currency)}f} {currency}"


def summary(price: rating.Price, *, currency: str) -> str:
    """Say what a price costs, with its allowance, discount and bounds, in one line."""
    return "; ".join([_model(price, currency), *_around(price, currency)])


def _around(price: rating.Price, currency: str) -> Iterator[str]:
    if price.allowance:
        yield f"{number(price.allowance)} {price.unit or 'units'} included"
    if price.discount_percent:
        yield f"{number(price.discount_percent)}% off"
    if price.minimum is not None:
        yield f"at least {money(price.minimum, currency=currency)}"
    if price.maximum is not None:
        yield f"at most {money(price.maximum, currency=currency)}"


def _model(price: rating.Price, currency: str) -> str:  # noqa: C901, PLR0911 - one answer for each
    match price.model:
        case rating.Flat(amount=amount):
            return f"{money(amount, currency=currency)} {'once' if price.once else 'a period'}"
        case rating.PerUnit(unit_amount=amount, unit_size=size):
            return f"{number(amount)} {currency} per {_units(size, price.unit)}"
        case rating.Package() as package:
            return _package(package, price.unit, currency)
        case rating.Graduated(tiers=tiers, unit_size=size):
            return f"graduated: {_tiers(tiers, size)}"
        case rating.Volume(tiers=tiers, unit_size=size):
            return f"volume: {_tiers(tiers, size)}"
        case rating.GraduatedPercentage(tiers=tiers):
            return f"graduated: {_tiers(tiers, Decimal(1))}"
        case rating.Percentage() as percentage:
            return _percentage(percentage, currency)
        case rating.Matrix() as matrix:
            return _matrix(matrix, price.dimensions)
        case rating.EventAmount():
            return "the amount that each event carries"
        case rating.Seats() as seats:
            return _seats(seats, price.unit, currency)


def _units(size: Decimal, unit: str) -> str:
    return f"{number(size)} {unit or 'units'}"


def _package(package: rating.Package, unit: str, currency: str) -> str:
    words = f"{money(package.package_amount, currency=currency)} for each package of "
    words += _units(package.package_size, unit)
    return (
        f"{words}, the first {number(package.free_quantity)} free"
        if package.free_quantity
        else words
    )


def _tiers(tiers: Sequence[rating.Tier | rating.PercentTier], size: Decimal) -> str:
    per = "" if size == 1 else f", each per {number(size)}"
    return ", ".join(_tier(tier, alone=len(tiers) == 1) for tier in tiers) + per


def _tier(tier: rating.Tier | rating.PercentTier, *, alone: bool) -> str:
    price = (
        f"{number(tier.percent)}%"
        if isinstance(tier, rating.PercentTier)
        else number(tier.unit_amount)
    )
    bound = f"up to {number(tier.up_to)}" if tier.up_to is not None else "above"
    fee = f" + {number(tier.flat_amount)} flat" if tier.flat_amount else ""
    return f"{'all' if alone and tier.up_to is None else bound} at {price}{fee}"


def _percentage(model: rating.Percentage, currency: str) -> str:
    words = f"{number(model.percent)}%"
    if model.fixed_amount:
        words += f" + {money(model.fixed_amount, currency=currency)} a transaction"
    return words


def _matrix(model: rating.Matrix, dimensions: Sequence[str]) -> str:
    rates = [
        f"{rate.label or _values(rate)} at {number(rate.unit_amount)}" for rate in model.rates[:3]
    ]
    more = [f"{len(model.rates) - 3} more"] if len(model.rates) > 3 else []
    other = [] if model.default is None else [f"other at {number(model.default)}"]
    per = "" if model.unit_size == 1 else f", each per {number(model.unit_size)}"
    return f"by {', '.join(dimensions)}: {', '.join(rates + more + other)}{per}"


def _seats(model: rating.Seats, unit: str, currency: str) -> str:
    noun = seats_noun(unit, quantity=ONE)
    words = f"{money(model.unit_amount, currency=currency)} per {noun} and period, by the day"
    if model.removed == "by_day":
        return words
    return f"{words} when added, to the period's end when given up"


def _values(rate: rating.MatrixRate) -> str:
    return " / ".join("*" if value is None else value for value in rate.match)
