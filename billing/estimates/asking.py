"""An estimate as services ask for it: by keys, with the budgets that it would exceed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from billing.estimates.values import Estimate
from billing.estimating import estimate
from billing.spend.queries import BudgetSpend, spend_of
from plans import rating
from plans.models import Customer, JobClass, Workspace
from usage.totals import UnknownCustomer


class UnknownWorkspace(Exception):
    """The customer has no workspace of this key."""

    code = "unknown_workspace"
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
    """A job that is asked about, by keys."""

    customer: str
    job_class: str
    input_size: Decimal
    workspace: str = ""
    dimensions: Mapping[str, str] = field(default_factory=dict)
    service_class: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedEstimate:
    """The answer: the estimate, and the budgets that its high end would exceed."""

    customer: str
    job_class: str
    input_size: Decimal
    estimate: Estimate
    over_budgets: tuple[BudgetSpend, ...]


def ask_for_estimate(*, asked: Asked, now: datetime) -> AskedEstimate:
    """Return what a job will cost, and which budgets would not hold it.

    Raises UnknownCustomer, UnknownWorkspace, UnknownJobClass, NoSubscription and NotPriceable.
    """
    customer = Customer.objects.filter(key=asked.customer).first()
    if customer is None:
        raise UnknownCustomer(f"There is no customer “{asked.customer}”.")
    job_class = JobClass.objects.filter(key=asked.job_class).first()
    if job_class is None:
        raise UnknownJobClass(f"There is no job class “{asked.job_class}”.")
    try:
        found = estimate(
            customer=customer,
            workspace=_workspace(customer, asked.workspace),
            job_class=job_class,
            input_size=asked.input_size,
            dimensions=asked.dimensions,
            service_class=asked.service_class,
            at=now,
        )
    except rating.RatingError as error:
        raise NotPriceable(str(error)) from error
    return AskedEstimate(
        customer=customer.key,
        job_class=job_class.key,
        input_size=asked.input_size,
        estimate=found,
        over_budgets=tuple(
            budget
            for budget in spend_of(customer, now=now).budgets
            if budget.workspace in ("", asked.workspace) and budget.left < found.high
        ),
    )


def _workspace(customer: Customer, key: str) -> Workspace | None:
    if not key:
        return None
    workspace = Workspace.objects.filter(customer=customer, key=key).first()
    if workspace is None:
        raise UnknownWorkspace(f"{customer.name} has no workspace “{key}”.")
    return workspace
