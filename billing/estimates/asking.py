"""An estimate as services ask for it: by keys, with the budgets that it would exceed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from billing.estimates.values import Estimate
from billing.jobs.expecting import estimate_on
from billing.jobs.money import customer_of
from billing.jobs.reading import Account, find_account
from billing.jobs.rules import budgets_of
from billing.spend.queries import BudgetSpend, spend_of
from billing.spend.standing import standing_of
from plans import rating


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
    account = find_account(subject=asked.subject, job_class=asked.job_class, at=now)
    if account.class_id is None:
        raise UnknownJobClass(f"There is no job class “{asked.job_class}”.")
    customer, at = customer_of(account), account.at
    try:
        standing = standing_of(customer=customer, at=at, spend=account)
        found = estimate_on(account, asked, standing=standing, at=at)
    except rating.RatingError as error:
        raise NotPriceable(str(error)) from error
    over = [each for each in _budgets(account, at=at) if each.left < found.high]
    over.sort(key=lambda each: (not each.workspace, each.workspace))
    return AskedEstimate(asked=asked, estimate=found, over_budgets=tuple(over))


def _budgets(account: Account, *, at: datetime) -> list[BudgetSpend]:
    """Return the budgets that a job counts against; a period that is not rated is read anew."""
    if account.rated_at is None or (account.period_end is not None and account.period_end <= at):
        scopes = {"", account.workspace}
        found = spend_of(customer_of(account), now=at).budgets
        return [budget for budget in found if budget.workspace in scopes]
    return [
        BudgetSpend(
            workspace=each.workspace,
            amount=each.amount,
            stops=each.stops,
            spent=each.spent,
            held=each.held,
        )
        for each in budgets_of(account, at)
    ]
