"""What is wrong with a price or with terms before they are sold, for the person who typed them."""

from collections.abc import Iterator
from dataclasses import replace

from plans.rating.credit_problems import (
    allotment_problems,
    credit_warnings,
    job_problems,
    pack_problems,
)
from plans.rating.grant_problems import (
    feature_problems,
    limit_problems,
    phase_problems,
    service_class_problems,
)
from plans.rating.late_starts import LATE_DIMENSION
from plans.rating.money import CURRENCIES
from plans.rating.price_problems import price_problems
from plans.rating.prices import Price, Terms
from plans.rating.problem import Problem, not_numbers, twice

__all__ = ["Problem", "problems", "problems_in_terms", "warnings_in_terms"]


def problems(price: Price) -> tuple[Problem, ...]:
    """Return what keeps a price from being published, in the order of its fields; () if nothing.

    Where a number is not a number, only that is reported, since nothing else can be compared. The
    terms around it, its phases and service classes among them, are `problems_in_terms`'s.
    """
    unreadable = tuple(not_numbers(replace(price, classes=())))
    return unreadable or tuple(price_problems(price))


def problems_in_terms(terms: Terms) -> tuple[Problem, ...]:
    """Return what is wrong with terms, each part of them by its field ("prices[2].tiers[1].up_to").

    Fields are named as a document names them, except what a charge model calls otherwise.
    """
    return tuple(_terms_problems(terms))


def warnings_in_terms(terms: Terms) -> tuple[Problem, ...]:
    """Return what can be published and is likely a mistake, each thing by its field."""
    return tuple(credit_warnings(terms))


def _terms_problems(terms: Terms) -> Iterator[Problem]:
    if terms.currency not in CURRENCIES:
        yield Problem(
            "unknown_currency",
            "currency",
            f"{terms.currency!r} is not a currency code: use one of ISO 4217, such as USD.",
        )
    yield from feature_problems(terms.features)
    yield from limit_problems(terms.limits)
    yield from service_class_problems(terms.service_classes)
    yield from phase_problems(terms.phases)
    yield from pack_problems(terms.packs, currency=terms.currency)
    yield from allotment_problems(terms.allotments)
    yield from job_problems(terms.jobs)
    repeated = twice(price.key for price in terms.prices)
    for index, price in enumerate(terms.prices):
        if index in repeated:
            message = f"Two prices have the key {price.key!r}: give this one another."
            yield Problem("duplicate_key", f"prices[{index}].key", message)
        for problem in (*problems(price), *_references(price, terms)):
            yield replace(problem, field=f"prices[{index}].{problem.field}")


def _references(price: Price, terms: Terms) -> Iterator[Problem]:
    """Check that what a price names is there: its phases, and a service class at least."""
    known = [phase.key for phase in terms.phases]
    for key in dict.fromkeys(price.phases):
        if key not in known:
            there_are = ", ".join(known) or "none"
            message = f"There is no phase {key!r}: choose of these: {there_are}."
            yield Problem("unknown_phase", "phases", message)
    if price.class_dimension and not terms.service_classes:
        message = "There is no service class: add one, or price all usage alike."
        yield Problem("no_service_classes", "class_dimension", message)
    late = any(each.late_start_percent for each in terms.service_classes)
    if price.class_dimension and late and LATE_DIMENSION not in price.dimensions:
        message = (
            f"The meter does not tell late starts apart: add the dimension “{LATE_DIMENSION}” to"
            " it, or let no service class give anything back."
        )
        yield Problem("late_starts_not_metered", "class_dimension", message)
