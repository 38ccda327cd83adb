"""What is wrong with credit on a plan: prices in credits, packs, allotments; and with job terms."""

from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal

from plans.rating.charge import number
from plans.rating.credit_terms import CreditAllotment, CreditPack
from plans.rating.flat import Flat
from plans.rating.job_terms import JobTerms
from plans.rating.money import (
    CURRENCIES,
    HUNDRED,
    ZERO,
    CreditUnit,
    Unit,
    minor_units,
    round_money,
)
from plans.rating.prices import Price, Terms
from plans.rating.problem import Problem, amount_problems, not_numbers, twice
from plans.rating.seats import Seats


def credit_problems(price: Price) -> Iterator[Problem]:
    """Yield what is wrong with what a price says of credit, and of the period of jobs' usage."""
    if price.credit is None:
        if price.beyond_credit_amount is not None:
            message = "This price is in money, so no credit can be lacking: leave it empty."
            yield Problem("beyond_credit_without_credit", "beyond_credit", message)
    elif price.overage.policy == "packs":
        message = (
            "Packs beyond what is included cost money, and this price is in credits: sell packs of "
            f"{price.credit} instead, and let all usage be rated."
        )
        yield Problem("packs_on_credit", "overage.policy", message)
    if price.beyond_credit_amount is not None:
        yield from amount_problems("beyond_credit", price.beyond_credit_amount)
    if price.attribution != "usage" and isinstance(price.model, Flat | Seats):
        message = "Only what jobs use can count when a job starts or completes: count it when used."
        yield Problem("attribution_without_jobs", "attribution", message)


def pack_problems(packs: Sequence[CreditPack], *, currency: str) -> Iterator[Problem]:
    """Yield what is wrong with packs: their keys, how many credits they have, what they cost."""
    yield from _identity(packs, "packs", "pack")
    for index, pack in enumerate(packs):
        path = f"packs[{index}]"
        unreadable = tuple(not_numbers(pack, path))
        yield from unreadable or _pack_numbers(path, pack, currency)
        yield from _lapse(path, pack)


def _pack_numbers(path: str, pack: CreditPack, currency: str) -> Iterator[Problem]:
    yield from _granted(f"{path}.credits", pack.credits, pack.unit)
    yield from amount_problems(f"{path}.amount", pack.amount)
    if currency in CURRENCIES:
        yield from _too_fine(f"{path}.amount", pack.amount, currency)


def allotment_problems(allotments: Sequence[CreditAllotment]) -> Iterator[Problem]:
    """Yield what is wrong with allotments: what they grant, carry on, and pay for."""
    yield from _identity(allotments, "allotments", "allotment")
    for index, allotment in enumerate(allotments):
        path = f"allotments[{index}]"
        unreadable = tuple(not_numbers(allotment, path))
        yield from unreadable or _granted(f"{path}.amount", allotment.amount, allotment.unit)
        yield from _lapse(path, allotment)
        if not unreadable:
            yield from _rollover(path, allotment)
        if allotment.job_classes and allotment.unit.code in CURRENCIES:
            message = (
                "Money pays for lines of a statement, which do not tell job classes apart: name "
                "meters, or grant a named credit."
            )
            yield Problem("money_over_job_classes", f"{path}.job_classes", message)


def _rollover(path: str, allotment: CreditAllotment) -> Iterator[Problem]:
    share, months = allotment.rollover_percent, allotment.rollover_months
    if not ZERO <= share <= HUNDRED:
        message = f"A share of {number(share)}% cannot be carried on: state 0 to 100."
        yield Problem("percent_out_of_range", f"{path}.rollover_percent", message)
    if months is not None and months < 1:
        message = "State for 1 month or more, or leave it empty: what is carried on never lapses."
        yield Problem("count_not_positive", f"{path}.rollover_months", message)
    elif months is not None and not share:
        message = "Nothing is carried on: state which share of it is, or leave the months empty."
        yield Problem("rollover_without_share", f"{path}.rollover_months", message)
    if allotment.rollovers < 1:
        message = "State how often it is carried on, 1 or more; carry on 0% for never."
        yield Problem("count_not_positive", f"{path}.rollovers", message)
    elif allotment.rollovers > 1 and (months is None or not share):
        message = (
            "What is carried on for ever does not lapse again: state for how many months, or carry "
            "it on once."
        )
        yield Problem("rollovers_without_months", f"{path}.rollovers", message)


def job_problems(jobs: JobTerms) -> Iterator[Problem]:
    """Yield what is wrong with the terms of jobs: amounts below zero, or no numbers."""
    unreadable = tuple(not_numbers(jobs, "jobs"))
    if unreadable:
        yield from unreadable
        return
    yield from amount_problems("jobs.grace_amount", jobs.grace_amount)
    if jobs.late_start_most is not None:
        yield from amount_problems("jobs.late_start_most", jobs.late_start_most)


def credit_warnings(terms: Terms) -> Iterator[Problem]:
    """Yield what is allowed and likely a mistake: credit that nothing uses, or that nothing gives.

    They keep nothing from being published.
    """
    used = {price.credit.code for price in terms.prices if price.credit}
    given = {each.unit.code for each in terms.packs}
    given |= {each.unit.code for each in terms.allotments}
    yield from _unused(terms.packs, "packs", used)
    yield from _unused(terms.allotments, "allotments", used)
    for index, price in enumerate(terms.prices):
        if price.credit and price.beyond_credit_amount is None and price.credit.code not in given:
            message = (
                f"Nothing of this version sells or grants {price.credit}: a customer without "
                "credit from elsewhere cannot be billed."
            )
            yield Problem("credit_not_given", f"prices[{index}].credit", message)
    promised = any(each.late_start_percent for each in terms.service_classes)
    if terms.jobs.late_start_most is not None and not promised:
        message = "No service class gives anything back for a late start."
        yield Problem("no_promised_start", "jobs.late_start_most", message)


def _unused(
    rows: Sequence[CreditPack | CreditAllotment], name: str, used: Collection[str]
) -> Iterator[Problem]:
    for index, row in enumerate(rows):
        if row.unit.code not in used and row.unit.code not in CURRENCIES:
            message = f"No price is in {row.unit}, so nothing of this version uses this credit."
            yield Problem("credit_unused", f"{name}[{index}].unit", message)


def _identity(
    rows: Sequence[CreditPack | CreditAllotment], name: str, noun: str
) -> Iterator[Problem]:
    repeated = twice(row.key for row in rows)
    for index, row in enumerate(rows):
        path = f"{name}[{index}]"
        if not row.key:
            message = f"The {noun} has no key: give it a short one, unique in the version."
            yield Problem("no_key", f"{path}.key", message)
        if index in repeated:
            message = f"Two {noun}s have the key {row.key!r}: give this one another."
            yield Problem("duplicate_key", f"{path}.key", message)
        if not row.name:
            message = f"The {noun} has no name: give it the one customers read."
            yield Problem("no_name", f"{path}.name", message)


def _granted(field: str, found: Decimal, unit: CreditUnit) -> Iterator[Problem]:
    if found <= ZERO:
        message = f"{number(found)} {unit} is no credit: state more than zero."
        yield Problem("credit_not_positive", field, message)
    else:
        yield from _too_fine(field, found, unit if unit.code not in CURRENCIES else unit.code)


def _too_fine(field: str, found: Decimal, unit: Unit) -> Iterator[Problem]:
    if round_money(found, currency=unit) != found:
        digits = minor_units(unit)
        message = (
            f"{number(found)} {unit} is finer than {unit} is: state at most {digits} decimals."
        )
        yield Problem("finer_than_unit", field, message)


def _lapse(path: str, row: CreditPack | CreditAllotment) -> Iterator[Problem]:
    if row.expires_months is not None and row.expires_months < 1:
        message = "Credit cannot lapse before it can be used: state 1 month or more, or none."
        yield Problem("count_not_positive", f"{path}.expires_months", message)
