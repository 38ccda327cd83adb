"""Packs, allotments and job terms in a few words, for lists, summaries and comparisons."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from plans.rating.charge import number
from plans.rating.credit_terms import CreditAllotment, CreditPack
from plans.rating.job_terms import AboveHold, HoldAt, JobTerms
from plans.rating.money import CURRENCIES, EXACT, ZERO, CreditUnit, Unit, over
from plans.rating.words import counted, money

# Each term of jobs: its field, its name for people, and its value in words.
JobRow = tuple[str, str, str]

_LAST_DECIMAL: Final = Decimal("0.000001")
_PACK_PRIORITY: Final = 100
_ALLOTMENT_PRIORITY: Final = 50
_HELD: Final[dict[HoldAt, str]] = {
    "low": "the low end of the estimate",
    "expected": "what is expected",
    "high": "the high end of the estimate",
}
_ABOVE: Final[dict[AboveHold, str]] = {
    "charge": "all of it is charged",
    "cap": "the job costs no more than its hold",
    "block": "all of it is charged, and no further job starts until it is paid for",
}


def pack_words(pack: CreditPack, *, currency: str) -> str:
    """Say what a pack holds and costs: "1,000 TOKN for 10.00 USD, 0.01 USD each"."""
    words = f"{_credits(pack.credits, pack.unit)} for {money(pack.amount, currency=currency)}"
    if pack.amount > ZERO and pack.credits > ZERO:
        words += f", {each_words(pack)} {currency} each"
    return "".join((words, *_pack_terms(pack)))


def each_words(pack: CreditPack) -> str:
    """Write what a credit of a pack costs, to six decimals; empty where it has no credits."""
    if pack.credits <= ZERO:
        return ""
    each = over(pack.amount, pack.credits)
    rounded = EXACT.quantize(each, _LAST_DECIMAL)
    return number(rounded) if rounded == each else f"about {number(rounded)}"


def _pack_terms(pack: CreditPack) -> Iterator[str]:
    if pack.expires_months is not None:
        yield f", lapses {counted(pack.expires_months, 'month')} after the purchase"
    if pack.needs_payment:
        yield ", usable once paid"
    yield _priority(pack.priority, _PACK_PRIORITY)


def allotment_words(allotment: CreditAllotment) -> str:
    """Say what an allotment grants, until when, what is carried on, and what it pays for."""
    return "".join(_allotment_words(allotment))


def _allotment_words(allotment: CreditAllotment) -> Iterator[str]:
    yield f"{_credits(allotment.amount, allotment.unit)} a period"
    if allotment.expires_months is None:
        yield ", lapses at the period's end"
    else:
        yield f", lapses after {counted(allotment.expires_months, 'month')}"
    if allotment.rollover_percent:
        yield f", {_rollover_words(allotment)}"
    if allotment.meters:
        yield f", for {', '.join(allotment.meters)} only"
    if allotment.job_classes:
        yield f", for jobs of class {', '.join(allotment.job_classes)} only"
    yield _priority(allotment.priority, _ALLOTMENT_PRIORITY)


def _rollover_words(allotment: CreditAllotment) -> str:
    words = f"at most {number(allotment.rollover_percent)}% is carried on"
    if allotment.rollover_months is None:
        return f"{words} for ever"
    words += f" for {counted(allotment.rollover_months, 'month')}"
    return words if allotment.rollovers == 1 else f"{words}, up to {allotment.rollovers} times"


def job_rows(jobs: JobTerms, *, currency: str) -> tuple[JobRow, ...]:
    """Return each term of jobs in words."""
    attempts = "the successful one" if jobs.bill_attempts == "successful" else "all of them"
    most = jobs.late_start_most
    return (
        ("bill_attempts", "attempts billed of a job that succeeds", attempts),
        ("bill_input_failures", "failures by the input", _billed(jobs.bill_input_failures)),
        ("bill_cancelled", "cancelled jobs", _billed(jobs.bill_cancelled)),
        ("bill_expired", "jobs that fell silent", _billed(jobs.bill_expired)),
        ("hold_at", "held when a job is admitted", _HELD[jobs.hold_at]),
        ("above_hold", "beyond the hold", _ABOVE[jobs.above_hold]),
        (
            "grace_amount",
            "a running job may go beyond a budget by",
            money(jobs.grace_amount, currency=currency) if jobs.grace_amount else "nothing",
        ),
        (
            "late_start_most",
            "service credits for late starts, at most",
            "no bound" if most is None else f"{money(most, currency=currency)} a period",
        ),
    )


def _billed(billed: bool) -> str:
    return "billed for what they used" if billed else "not billed"


def _credits(amount: Decimal, unit: CreditUnit) -> str:
    counted_in: Unit = unit.code if unit.code in CURRENCIES else unit
    return money(amount, currency=counted_in)


def _priority(priority: int, usual: int) -> str:
    return "" if priority == usual else f", priority {priority}"
