"""Prove what customers' rows of spend say of jobs: count and add up the jobs themselves."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from billing.locks import lock_spend
from billing.models import Spend
from billing.spend.pending import hold_again
from billing.statements.preview import NoSubscription
from plans import rating
from plans.models import Customer
from usage.job_quantities import added, read, stored
from usage.models import Job


@dataclass(frozen=True, slots=True)
class SpendFault:
    """What a row says of a customer's jobs, and what they come to."""

    customer: str
    what: str
    says: str
    is_really: str


def verify_spend(*, now: datetime, repair: bool = False) -> Iterator[SpendFault]:
    """Yield where a row differs from its customer's jobs; with ``repair`` it is put right.

    A customer at a time, under its lock: jobs may go on meanwhile.
    """
    for customer in Customer.objects.filter(spend__isnull=False).order_by("pk").iterator():
        with transaction.atomic():
            row = lock_spend(customer_ids=[customer.pk])[customer.pk]
            truth = _truth(customer, row, now=now)
            faults = [
                SpendFault(customer.key, name, str(getattr(row, name)), str(value))
                for name, value in truth.items()
                if getattr(row, name) != value
            ]
            if faults and repair:
                for name, value in truth.items():
                    setattr(row, name, value)
                row.save(update_fields=list(truth))
        yield from faults


def _truth(customer: Customer, row: Spend, *, now: datetime) -> dict[str, Any]:
    running = Job.objects.filter(customer=customer, ended_at=None)
    by_class = Counter(running.values_list("job_class__key", flat=True))
    unrated = Job.objects.filter(customer=customer, rated_at=None)
    held = unrated.values_list("held_quantities", flat=True)
    pending = stored(added(*(read(rows) for rows in held)))
    truth: dict[str, Any] = {
        "running": by_class.total(),
        "running_by_class": dict(by_class),
        "pending": pending,
        "held": row.held,
    }
    wanted = Spend(customer_id=row.pk, usage=row.usage, rated_at=row.rated_at, pending=pending)
    try:
        hold_again(wanted, customer=customer, at=now)
        truth["held"] = wanted.held
    except (NoSubscription, rating.RatingError):
        pass  # Nothing prices the customer's jobs now: what is held stays.
    return truth
