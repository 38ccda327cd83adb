"""Prices and what a version grants in a few words: "graduated: up to 1,000 at 0.04, above at 0.03".

For lists, summaries and comparisons; a rated line's own sentence is in `explain`.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final, assert_never

from plans.rating.charge import number
from plans.rating.event_amount import EventAmount
from plans.rating.flat import Flat
from plans.rating.graduated import Graduated
from plans.rating.graduated_percentage import GraduatedPercentage, PercentTier
from plans.rating.matrix import Matrix, MatrixRate
from plans.rating.money import ONE, ZERO, Unit, minor_units, round_money
from plans.rating.package import Package
from plans.rating.per_unit import PerUnit
from plans.rating.percentage import Percentage
from plans.rating.prices import (
    Attribution,
    Limit,
    LimitKind,
    Phase,
    Price,
    ServiceClass,
    unit_of,
)
from plans.rating.seats import Seats, seats_noun
from plans.rating.tiers import Tier
from plans.rating.volume import Volume

LIMITS: Final[dict[LimitKind, str]] = {
    "concurrent_jobs": "jobs at the same time",
    "jobs_per_hour": "jobs in an hour",
    "jobs_per_day": "jobs in a day",
    "spend_per_day": "spend in a day",
}
_MOST_RATES: Final = 3
_ATTRIBUTIONS: Final[dict[Attribution, str]] = {
    "usage": "a job's usage counts when it is used",
    "completion": "a job's usage counts when the job is completed",
    "start": "a job's usage counts when the job is started",
}


def money(amount: Decimal, *, currency: Unit) -> str:
    """Write an amount with its currency, in its decimals, or in more where the amount has them."""
    rounded = round_money(amount, currency=currency)
    if rounded != amount:
        return f"{number(amount)} {currency}"
    return f"{rounded:,.{minor_units(currency)}f} {currency}"


def summary(price: Price, *, currency: str) -> str:
    """Say what a price costs, and all that lies around it, in one line. Raises UnknownCurrency."""
    return "; ".join([model_words(price, currency=currency), *_around(price, currency)])


def _around(price: Price, currency: str) -> Iterator[str]:
    unit = unit_of(price, currency=currency)
    if price.credit is not None:
        yield credit_words(price, currency=currency)
    if price.class_dimension:
        yield classes_words(price)
    if price.allowance:
        yield allowance_words(price)
    if price.overage.policy != "rate":
        yield overage_words(price, currency=currency)
    if price.discount_percent:
        yield f"{number(price.discount_percent)}% off"
    if price.minimum is not None:
        yield f"at least {money(price.minimum, currency=unit)}"
    if price.maximum is not None:
        yield f"at most {money(price.maximum, currency=unit)}"
    if price.phases:
        yield phases_words(price)
    if price.attribution != "usage":
        yield attribution_words(price)


def model_words(price: Price, *, currency: str) -> str:
    """Say what a price's charge model charges, in money or in credits."""
    return _model_words(price, unit_of(price, currency=currency))


def credit_words(price: Price, *, currency: str) -> str:
    """Say of which credit a price is, and what each credit that is lacking costs."""
    if price.credit is None:
        return "money"
    words = f"in credits of {price.credit}"
    if price.beyond_credit_amount is None:
        return words
    return (
        f"{words}, each that is lacking at {money(price.beyond_credit_amount, currency=currency)}"
    )


def attribution_words(price: Price) -> str:
    """Say in which period a job's usage counts."""
    return _ATTRIBUTIONS[price.attribution]


def _model_words(price: Price, currency: Unit) -> str:
    model = price.model
    if isinstance(model, Graduated | Volume | GraduatedPercentage):
        return _tiers_words(model)
    if isinstance(model, Matrix):
        return _matrix(model, price.dimensions)
    if isinstance(model, Percentage):
        return _percentage(model, currency)
    if isinstance(model, Package):
        return _package(model, price.unit, currency)
    return _plain(price, model, currency)


def _plain(price: Price, model: Flat | PerUnit | EventAmount | Seats, currency: Unit) -> str:
    match model:
        case Flat():
            return f"{money(model.amount, currency=currency)} {due_words(price)}"
        case PerUnit():
            units = _units(model.unit_size, price.unit)
            return f"{number(model.unit_amount)} {currency} per {units}"
        case EventAmount():
            return "the amount that each event carries"
        case Seats():
            return _seats(model, price.unit, currency)
        case _:
            assert_never(model)


def due_words(price: Price) -> str:
    """Say how often a fee is due."""
    if price.once:
        return "once"
    if price.every_months > 1:
        return f"every {price.every_months} months, in advance"
    return "a period"


def allowance_words(price: Price) -> str:
    """Say how much is included, and for whom."""
    if not price.allowance:
        return ""
    each = " for each workspace" if price.allowance_per == "workspace" else ""
    return f"{number(price.allowance)} {price.unit or 'units'} included{each}"


def overage_words(price: Price, *, currency: Unit) -> str:
    """Say what happens beyond the allowance."""
    overage = price.overage
    match overage.policy:
        case "rate":
            return "more is billed"
        case "refuse":
            return "no more is admitted"
        case "upgrade":
            return f"with more, the customer moves to the plan “{overage.upgrade_to}”"
        case "packs":
            size = number(overage.pack_size or ZERO)
            amount = money(overage.pack_amount or ZERO, currency=currency)
            words = f"more in packs of {size} {price.unit or 'units'} at {amount}"
            words += f", at most {overage.packs_most}" if overage.packs_most else ""
            months = overage.pack_months
            return words + (f", each good for {counted(months, 'month')}" if months else "")
        case _:
            assert_never(overage.policy)


def phases_words(price: Price) -> str:
    """Say in which phases a price holds, by their keys."""
    return f"in {', '.join(price.phases)} only" if price.phases else "in all phases"


def classes_words(price: Price) -> str:
    """Say by what a price's service classes multiply it."""
    if not price.class_dimension:
        return ""
    classes = ", ".join(f"{each.name} x {number(each.multiplier)}" for each in price.classes)
    words = f"times the service class in {price.class_dimension}"
    return f"{words}: {classes}" if classes else words


def class_words(each: ServiceClass) -> str:
    """Say what a service class costs and promises."""
    words = f"price x {number(each.multiplier)}"
    if each.start_within_minutes is None:
        return words
    words += f", starts within {counted(each.start_within_minutes, 'minute')}"
    if not each.late_start_percent:
        return words
    return f"{words}, or {number(each.late_start_percent)}% of the premium is given back"


def phase_words(phase: Phase) -> str:
    """Say how long a phase lasts and what it takes off."""
    length = "from then on"
    if phase.days:
        length = counted(phase.days, "day")
    elif phase.months:
        length = counted(phase.months, "month")
    off = phase.discount_percent
    return f"{length}, {number(off)}% off" if off else length


def limit_name(limit: Limit) -> str:
    """Say what a limit bounds."""
    of = f" of class {limit.job_class}" if limit.job_class else ""
    return f"{LIMITS[limit.kind]}{of}"


def limit_value(limit: Limit, *, currency: Unit) -> str:
    """Write how much a limit admits."""
    if limit.kind == "spend_per_day":
        return money(limit.value, currency=currency)
    return number(limit.value)


def counted(count: int, noun: str) -> str:
    """Write a number of things: "1 day", "14 days"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def tier_words(tier: Tier | PercentTier) -> str:
    """Say what a tier charges: "at 0.04 + 5 flat"."""
    price = (
        f"{number(tier.percent)}%" if isinstance(tier, PercentTier) else number(tier.unit_amount)
    )
    return f"at {price}" + (f" + {number(tier.flat_amount)} flat" if tier.flat_amount else "")


def match_words(rate: MatrixRate) -> str:
    """Name a rate of a matrix: its label, or the values that it matches."""
    return rate.label or " / ".join("*" if value is None else value for value in rate.match)


def _units(size: Decimal, unit: str) -> str:
    return f"{number(size)} {unit or 'units'}"


def _package(package: Package, unit: str, currency: Unit) -> str:
    words = f"{money(package.package_amount, currency=currency)} for each package of "
    words += _units(package.package_size, unit)
    if not package.free_quantity:
        return words
    return f"{words}, the first {number(package.free_quantity)} free"


def _tiers_words(model: Graduated | Volume | GraduatedPercentage) -> str:
    name = "volume" if isinstance(model, Volume) else "graduated"
    size = ONE if isinstance(model, GraduatedPercentage) else model.unit_size
    tiers: Sequence[Tier | PercentTier] = model.tiers
    words = ", ".join(_tier(tier, alone=len(tiers) == 1) for tier in tiers)
    return f"{name}: {words}{_per(size)}"


def _tier(tier: Tier | PercentTier, *, alone: bool) -> str:
    if tier.up_to is not None:
        return f"up to {number(tier.up_to)} {tier_words(tier)}"
    return f"{'all' if alone else 'above'} {tier_words(tier)}"


def _percentage(model: Percentage, currency: Unit) -> str:
    words = f"{number(model.percent)}%"
    if model.fixed_amount:
        words += f" + {money(model.fixed_amount, currency=currency)} a transaction"
    return words + "".join(f", {each}" for each in _percentage_terms(model, currency))


def _percentage_terms(model: Percentage, currency: Unit) -> Iterator[str]:
    if model.free_transactions:
        yield f"the first {counted(model.free_transactions, 'transaction')} free"
    if model.free_amount:
        yield f"the first {money(model.free_amount, currency=currency)} free"
    if model.minimum_per_transaction is not None:
        yield f"at least {money(model.minimum_per_transaction, currency=currency)} each"
    if model.maximum_per_transaction is not None:
        yield f"at most {money(model.maximum_per_transaction, currency=currency)} each"


def _matrix(model: Matrix, dimensions: Sequence[str]) -> str:
    rates = [
        f"{match_words(rate)} at {number(rate.unit_amount)}" for rate in model.rates[:_MOST_RATES]
    ]
    more = len(model.rates) - _MOST_RATES
    rates += [f"{more} more"] if more > 0 else []
    rates += [] if model.default is None else [f"other at {number(model.default)}"]
    return f"by {', '.join(dimensions)}: {', '.join(rates)}{_per(model.unit_size)}"


def _per(size: Decimal) -> str:
    return "" if size == ONE else f", each per {number(size)}"


def _seats(model: Seats, unit: str, currency: Unit) -> str:
    noun = seats_noun(unit, quantity=ONE)
    words = f"{money(model.unit_amount, currency=currency)} per {noun} and period, by the day"
    if model.removed == "by_day":
        return words
    return f"{words} when added, to the period's end when given up"
