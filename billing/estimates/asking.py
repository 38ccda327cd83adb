"""An estimate as services ask for it: by keys, with the budgets that it would exceed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from billing.estimates.values import Estimate
from billing.estimating import estimate
from billing.models import Spend
from billing.spend.queries import BudgetSpend, spend_of
from plans import rating
from plans.models import Customer, JobClass, Subject, Workspace


class UnknownSubject(Exception):
    """No customer and no workspace has this key."""

    code = "unknown_subject"
    http_status = 404


class UnknownJobClass(Exception):
    """There is no job class of this key."""

    code = "unknown_job_class"
    http_status = 404


class NotPriceable(Exception):
    """The plan does not price such a job; the message says what it misses."""

    code = "not_priceable"
    http_status = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A job that is asked about; ``subject`` is the key of a customer or a workspace."""

    subject: str
    job_class: str
    input_size: Decimal = Decimal(1)
    dimensions: Mapping[str, str] = field(default_factory=dict)
    service_class: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedEstimate:
    """The answer: the estimate, and the budgets that its high end would exceed."""

    asked: Asked
    estimate: Estimate
    over_budgets: tuple[BudgetSpend, ...]


def ask_for_estimate(*, asked: Asked, now: datetime) -> AskedEstimate:
    """Return what a job will cost, and which budgets would not hold it.

    ``now`` is the real time: customers to test with are answered at their own.
    Raises UnknownSubject, UnknownJobClass, NoSubscription and NotPriceable.
    """
    customer, workspace = _subject(asked.subject)
    job_class = JobClass.objects.filter(key=asked.job_class).first()
    if job_class is None:
        raise UnknownJobClass(f"There is no job class “{asked.job_class}”.")
    at, row = customer.clock_at or now, Spend.objects.filter(pk=customer.pk).first()
    try:
        found = estimate(
            customer=customer,
            workspace=workspace,
            job_class=job_class,
            input_size=asked.input_size,
            dimensions=asked.dimensions,
            service_class=asked.service_class,
            spend=row,
            at=at,
        )
    except rating.RatingError as error:
        raise NotPriceable(str(error)) from error
    scopes = {"", workspace.key} if workspace else {""}
    return AskedEstimate(
        asked=asked,
        estimate=found,
        over_budgets=tuple(
            budget
            for budget in spend_of(customer, now=at, row=row).budgets
            if budget.workspace in scopes and budget.left < found.high
        ),
    )


def _subject(key: str) -> tuple[Customer, Workspace | None]:
    """Return the customer of a key, and the workspace where it is one's: they share their keys."""
    found = Subject.objects.filter(key=key).select_related("customer", "workspace").first()
    if found is None:
        raise UnknownSubject(f"There is no customer and no workspace “{key}”.")
    return found.customer, found.workspace
