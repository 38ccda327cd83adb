"""What outcomes that are not billed yet, or are contested, would come to. Only ``rate()`` says."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from plans.contracts import contracts_by_id
from plans.rating import Cell, Usage, rate
from plans.rating.money import ZERO, plus
from plans.rating.outcomes import (
    VERIFIED,
    Naming,
    OutcomeTerms,
    fee_prices,
    quantities,
    without_floor,
)
from usage.models import Outcome


class Amount(NamedTuple):
    """Money of one currency."""

    amount: Decimal
    currency: str


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
    total = ZERO
    for measure, price in fee_prices(terms, naming):
        usage = Usage(cells=(Cell((VERIFIED,), sums.get(measure, ZERO)),))
        for line in rate(without_floor(price), usage, currency=naming.currency):
            total = plus(total, line.amount)
    return total


def amounts(outcomes: Sequence[Outcome]) -> dict[int, Amount]:
    """Return what each of a few outcomes comes to by itself, by id."""
    contracts = contracts_by_id({outcome.contract_id for outcome in outcomes})
    found = {}
    for outcome in outcomes:
        contract = contracts[outcome.contract_id]
        version = next(each for each in contract.versions if each.id == outcome.version_id)
        amount = amount_of(
            version.terms, contract.naming, outcomes=[(outcome.value, outcome.has_bonus)]
        )
        found[outcome.pk] = Amount(amount, contract.currency)
    return found
