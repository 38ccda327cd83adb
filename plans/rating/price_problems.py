"""What is wrong with one price, whatever its charge model."""

from collections.abc import Iterator
from typing import Final

from plans.rating.credit_problems import credit_problems
from plans.rating.flat import Flat
from plans.rating.matrix import Matrix
from plans.rating.model_problems import bound_problems, model_problems
from plans.rating.per_unit import PerUnit
from plans.rating.percentage import Percentage
from plans.rating.prices import Overage, Price
from plans.rating.problem import (
    Problem,
    amount_problems,
    discount_problems,
    number_problems,
    size_problems,
)
from plans.rating.seats import Seats

MOST_MONTHS: Final = 120


def price_problems(price: Price) -> Iterator[Problem]:
    """Yield what is wrong with a price whose numbers are numbers, in the order of its fields."""
    yield from _identity(price)
    yield from _meter(price)
    yield from _recurrence(price)
    yield from number_problems("", price)
    yield from number_problems("", price.model)
    yield from discount_problems("discount_percent", price.discount_percent)
    yield from bound_problems("", price.minimum, price.maximum)
    yield from _allowance(price)
    yield from _overage(price)
    yield from _classes(price)
    yield from credit_problems(price)
    yield from model_problems(price)


def _identity(price: Price) -> Iterator[Problem]:
    if not price.key:
        yield Problem(
            "no_key", "key", "The price has no key: give it a short one, unique in the plan."
        )
    if not price.name:
        yield Problem("no_name", "name", "The price has no name: give it the one customers read.")


def _meter(price: Price) -> Iterator[Problem]:
    flat = isinstance(price.model, Flat)
    if flat and price.meter is not None:
        message = "A flat price counts nothing: remove the meter, or choose a price by usage."
        yield Problem("meter_on_flat", "meter", message)
    if not flat and not price.meter:
        message = "A price by usage needs a meter: choose what is counted."
        yield Problem("no_meter", "meter", message)


def _recurrence(price: Price) -> Iterator[Problem]:
    flat = isinstance(price.model, Flat)
    if price.once and not flat:
        message = "Only a flat price can be charged once: make it flat, or let it recur."
        yield Problem("once_on_metered", "once", message)
    if not 1 <= price.every_months <= MOST_MONTHS:
        message = f"A fee recurs every 1 to {MOST_MONTHS} months, not every {price.every_months}."
        yield Problem("months_out_of_range", "every_months", message)
    elif price.every_months > 1 and not flat:
        message = "Only a flat price can be due for several months: make it flat, or state 1."
        yield Problem("every_months_on_metered", "every_months", message)
    elif price.every_months > 1 and price.once:
        message = "A fee that is charged once does not recur: choose one of the two."
        yield Problem("every_months_and_once", "every_months", message)


def _allowance(price: Price) -> Iterator[Problem]:
    if price.allowance_per == "workspace" and isinstance(price.model, Matrix):
        message = "A matrix has one allowance: include it for the customer as a whole."
        yield Problem("allowance_per_workspace_on_matrix", "allowance_per", message)
    if not price.allowance:
        return
    if isinstance(price.model, Flat):
        message = "A flat price includes no quantity: put the allowance on the price by usage."
        yield Problem("allowance_on_flat", "allowance", message)
    if isinstance(price.model, Seats):
        message = "Seats are paid by the day and include none: remove the allowance."
        yield Problem("allowance_on_seats", "allowance", message)
    if isinstance(price.model, Percentage) and price.model.needs_transactions:
        message = "This price has rules for each transaction: use its free amount instead."
        yield Problem("allowance_on_transactions", "allowance", message)


def _overage(price: Price) -> Iterator[Problem]:
    overage = price.overage
    if overage.policy == "rate":
        return
    if not _takes_allowance(price):
        message = "This price includes no quantity to go beyond: let all of it be billed."
        yield Problem("overage_without_allowance", "overage.policy", message)
    elif not price.allowance:
        message = "Nothing is included, so all usage lies beyond it: state an allowance."
        yield Problem("overage_without_allowance", "overage.policy", message)
    if overage.policy == "upgrade" and not overage.upgrade_to:
        message = "State the plan that the customer moves to."
        yield Problem("upgrade_without_plan", "overage.plan", message)
    if overage.policy == "packs":
        yield from _packs(overage)


def _takes_allowance(price: Price) -> bool:
    if isinstance(price.model, Percentage):
        return not price.model.needs_transactions
    return not isinstance(price.model, Flat | Seats)


def _packs(overage: Overage) -> Iterator[Problem]:
    if overage.pack_size is None:
        yield Problem("no_pack_size", "overage.size", "State how many units a pack has.")
    else:
        yield from size_problems("overage.size", overage.pack_size)
    if overage.pack_amount is None:
        yield Problem("no_pack_amount", "overage.amount", "State what a pack costs.")
    else:
        yield from amount_problems("overage.amount", overage.pack_amount)
    counts = (("overage.most", overage.packs_most), ("overage.months", overage.pack_months))
    for field, count in counts:
        if count is not None and count < 1:
            message = f"{count} is too few: state 1 or more, or leave it empty for no bound."
            yield Problem("count_not_positive", field, message)


def _classes(price: Price) -> Iterator[Problem]:
    if not price.class_dimension:
        return
    if not isinstance(price.model, PerUnit):
        message = "Service classes multiply a price per unit: price by the unit, or remove them."
        yield Problem("classes_per_unit_only", "class_dimension", message)
    if price.class_dimension not in price.dimensions:
        known = ", ".join(price.dimensions) or "none"
        message = f"The meter has no dimension {price.class_dimension!r}: choose of these: {known}."
        yield Problem("unknown_dimension", "class_dimension", message)
