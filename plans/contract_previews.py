"""What a contract says, in words, and what it makes of examples: for its pages."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from plans.rating import Cell, Usage, Used, rate_beside
from plans.rating.charge import number
from plans.rating.money import ZERO, plus, total
from plans.rating.outcome_conditions import in_words
from plans.rating.outcomes import (
    VERIFIED,
    Naming,
    OutcomeTerms,
    assess,
    fee_prices,
    quantities,
    without_floor,
)
from plans.rating.words import money, summary

_BY = {
    "rule": "The contract's rule verifies at once.",
    "customer": "The customer verifies within {hours} hours",
    "reviewer": "A reviewer verifies within {hours} hours",
    "sample": "A reviewer looks at {percent}% within {hours} hours",
}


class ExampleRow(NamedTuple):
    """An example, what the rules make of it, and what it comes to by itself."""

    said: str
    verdict: str
    amount: str


class Preview(NamedTuple):
    """A contract in words, and its examples with what they come to together."""

    words: tuple[str, ...]
    examples: tuple[ExampleRow, ...]
    together: str


def amount_of(
    terms: OutcomeTerms, naming: Naming, *, outcomes: Iterable[tuple[Decimal, bool]]
) -> Decimal:
    """Return what outcomes, each a value and whether a bonus is due, come to in one period.

    By themselves: with the fee's tiers and its cap, without a floor and without others of the
    period, and with what is held back.
    """
    sums: dict[str, Decimal] = {}
    for value, has_bonus in outcomes:
        for released in (False, True):
            found = quantities(terms, value=value, has_bonus=has_bonus, sign=1, released=released)
            for measure, quantity in found.items():
                sums[measure] = plus(sums.get(measure, ZERO), quantity)
    used = [
        Used(without_floor(price), Usage(cells=(Cell((VERIFIED,), sums.get(measure, ZERO)),)))
        for measure, price in fee_prices(terms, naming)
    ]
    lines = (rate_beside(*each, others=used, currency=naming.currency) for each in used)
    return total(line.amount for found in lines for line in found)


def in_sentences(terms: OutcomeTerms, naming: Naming) -> tuple[str, ...]:
    """Return a contract as sentences: success, who verifies, disputes, and the fee."""
    said = ["Every claim is a success."]
    if terms.success is not None:
        said = [f"It is a success where {in_words(terms.success)}."]
    said.append(_verification(terms))
    if terms.dispute_days:
        said.append(f"A verified outcome can be disputed for {terms.dispute_days} days.")
    if terms.fee.kind == "share":
        rate = f"{number(terms.fee.rate)} {naming.currency}"
        said.append(f"The value of an outcome is its “{terms.fee.quantity_field}” at {rate} each.")
    if terms.fee.bonus_when is not None:
        said.append(f"The bonus is due where {in_words(terms.fee.bonus_when)}.")
    for _, price in fee_prices(terms, naming):
        said.append(f"{price.name}: {summary(price, currency=naming.currency)}.")
        if price.bonus_of:
            said.append(
                "What a period costs at least or at most holds for fee and bonus together: the "
                "bonus has the room that the fee leaves, and counts towards the least."
            )
    if terms.fee.holdback_days:
        said.append(f"What is held back is released {terms.fee.holdback_days} days later.")
    return tuple(said)


def _verification(terms: OutcomeTerms) -> str:
    said = terms.verification
    begins = _BY[said.by].format(hours=said.window_hours, percent=f"{said.sample_percent:f}")
    if said.by == "rule":
        return begins
    if said.by == "sample":
        rest = "the rate of the sample is applied to the rest" if said.apply_rate else (
            "the rest is verified at once"
        )  # fmt: skip
        begins = f"{begins}; {rest}"
    return f"{begins}; silence means {said.silence}."


def preview(
    terms: OutcomeTerms, naming: Naming, *, examples: Sequence[tuple[str, dict[str, Any], Any]]
) -> Preview:
    """Return a contract in words beside examples: (as typed, evidence, value)."""
    rows, good = [], []
    for said, evidence, value in examples:
        found = assess(terms, evidence=evidence, value=value)
        if found.problems:
            first = found.problems[0]
            rows.append(ExampleRow(said, f"Refused at {first.field}: {first.message}", ""))
        elif not found.is_success:
            rows.append(ExampleRow(said, found.reason, ""))
        else:
            outcome = (found.value, found.has_bonus)
            good.append(outcome)
            amount = amount_of(terms, naming, outcomes=[outcome])
            verdict = "A success, with the bonus." if found.has_bonus else "A success."
            rows.append(ExampleRow(said, verdict, money(amount, currency=naming.currency)))
    amount = amount_of(terms, naming, outcomes=good)
    together = money(amount, currency=naming.currency) if good else ""
    return Preview(in_sentences(terms, naming), tuple(rows), together)
