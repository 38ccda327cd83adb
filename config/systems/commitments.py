"""What systems with a commitment need: the commitment, made as finance makes it."""

from datetime import date, datetime

from plans.catalogue.systems import Committed
from plans.models import Customer
from plans.operations.commitments import CommitmentTerms, approve_commitment, draft_commitment
from plans.rating.commitments import Instalment


def commit(said: Committed, *, customer: Customer, start: date, now: datetime) -> None:
    """Draft a customer's commitment from the start on, and approve it."""
    terms = CommitmentTerms(
        name=said.name,
        start=start,
        instalments=[Instalment(said.months, said.amount)],
        kind=said.kind,
        discount_percent=said.discount_percent,
        rollover_percent=said.rollover_percent,
        rollover_months=said.rollover_months,
    )
    row = draft_commitment(customer=customer, key=said.key, terms=terms, by=None)
    approve_commitment(commitment=row, by=None, now=now)
