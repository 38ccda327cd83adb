"""What systems with a commitment need: the commitment as finance makes it, and its credit's end."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db.models import Sum

from billing import tasks as billing_tasks
from billing.ledger.postings import EXPIRED, USED
from billing.models import CreditGrant, LedgerEntry
from plans.catalogue.systems import Committed, System
from plans.models import Customer
from plans.operations.clock import advance_clock
from plans.operations.commitments import CommitmentTerms, approve_commitment, draft_commitment
from plans.rating.commitments import Instalment
from plans.rating.periods import months_after

_AFTER_MIDNIGHT: Final = timedelta(hours=3)


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


def clock_of(system: System) -> datetime | None:
    """Return where the clock of a system's customer stands at first; None: it lives in real time.

    Where credit lapses between statements, the customer has to live through it in order.
    """
    return None if system.lapsed is None else _midnight(system.month)


def close_by_clock(
    system: System,
    customer: Customer,
    *,
    close: Callable[[int], None],
    wait: Callable[[Callable[[], bool], str], None],
) -> None:
    """Close the term, if there is one, let its credit lapse, and the same with the months after it.

    ``close`` closes the months that are over until there are so many statements.
    """
    whole = len(system.expected)
    for months in (system.commitment.months, whole) if system.commitment else (whole,):
        end = _midnight(months_after(system.month, months))
        advance_clock(customer=customer, to=end + _AFTER_MIDNIGHT)
        close(months)
        billing_tasks.expire_credit.delay()
        lapsing = CreditGrant.objects.filter(
            pool__customer=customer, expires_at__lte=end, remaining__gt=0
        )
        wait(lambda lapsing=lapsing: not lapsing.exists(), "credit that lapses")  # type: ignore[misc]


def lapsed_differences(system: System, customer: Customer) -> Iterator[str]:
    """Yield how the end of the commitment's credit differs from what it must be."""
    if system.lapsed is None:
        return
    grants = CreditGrant.objects.filter(pool__customer=customer)
    first, rolled = grants.filter(rolled_from=None).get(), grants.exclude(rolled_from=None).get()
    pairs = [
        ("drawn", _moved(first, USED), system.lapsed.drawn),
        ("rolled over", rolled.amount, system.lapsed.rolled),
        ("expired", _moved(first, EXPIRED), system.lapsed.expired),
        ("drawn of it", _moved(rolled, USED), system.lapsed.rolled_drawn),
        ("expired of it", _moved(rolled, EXPIRED), system.lapsed.rolled_expired),
    ]
    for name, has, wants in pairs:
        if has != wants:
            yield f"{name}: {has.normalize():f} instead of {wants.normalize():f}"


def _moved(grant: CreditGrant, kind: str) -> Decimal:
    entries = LedgerEntry.objects.filter(grant=grant, account__kind=kind)
    return -(entries.aggregate(total=Sum("amount"))["total"] or Decimal(0))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
