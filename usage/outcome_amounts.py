"""What outcomes that are not billed yet, or are contested, would come to. Only ``rate()`` says."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from plans.contract_previews import amount_of
from plans.contracts import naming_of, terms_of_version
from usage.models import Outcome


class Amount(NamedTuple):
    """Money of one currency."""

    amount: Decimal
    currency: str


def amounts(outcomes: Sequence[Outcome]) -> dict[int, Amount]:
    """Return what each of a few outcomes, read with its version's contract, comes to by itself."""
    found = {}
    for outcome in outcomes:
        naming, terms = naming_of(outcome.version.contract), terms_of_version(outcome.version)
        amount = amount_of(terms, naming, outcomes=[(outcome.value, outcome.has_bonus)])
        found[outcome.pk] = Amount(amount, naming.currency)
    return found
