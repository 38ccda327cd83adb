"""What a customer has spent so far and holds, with its budgets beside it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.models import Spend
from billing.spend.rating import read_spend
from plans.models import Budget, Customer
from plans.rating.money import ZERO, minus, plus
from usage.totals import UnknownCustomer


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceSpend:
    """What a workspace ("" for none) has spent on usage, and what its jobs hold."""

    workspace: str
    spent: Decimal
    held: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSpend:
    """A budget of the customer, or of a workspace, and what of it is spent and held."""

    workspace: str
    amount: Decimal
    stops: bool
    spent: Decimal
    held: Decimal

    @property
    def left(self) -> Decimal:
        """Return what is left of it; below zero where more is spent."""
        return minus(self.amount, plus(self.spent, self.held))


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentSpend:
    """The running period as far as usage has come, and what jobs hold, in one currency.

    ``spent`` is all that the statement would say if the period ended now, ``usage_spent`` the
    usage of it. ``as_of`` is when it was rated: usage since is not in, its jobs' holds are.
    ``problem`` says why it is older, or what it leaves out.
    """

    customer: str
    currency: str
    zone: str
    period_start: datetime | None
    period_end: datetime | None
    spent: Decimal
    usage_spent: Decimal
    held: Decimal
    workspaces: tuple[WorkspaceSpend, ...]
    budgets: tuple[BudgetSpend, ...]
    running_jobs: int
    as_of: datetime
    problem_code: str
    problem: str


def current_spend(*, key: str, now: datetime) -> CurrentSpend:
    """Return a customer's spend as it was last rated, or rated now where that is of another period.

    Nothing is written. Raises UnknownCustomer.
    """
    customer = Customer.objects.filter(key=key).first()
    if customer is None:
        raise UnknownCustomer(f"There is no customer “{key}”.")
    return spend_of(customer, now=now)


def spend_of(customer: Customer, *, now: datetime) -> CurrentSpend:
    """Return a customer's spend; see ``current_spend``."""
    row = Spend.objects.filter(pk=customer.pk).first() or Spend(customer=customer)
    if row.rated_at is None or (row.period_end is not None and row.period_end <= now):
        read_spend(row, now=now)
    spent, held = amounts_in(row.by_workspace), amounts_in(row.held_by_workspace)
    return CurrentSpend(
        customer=customer.key,
        currency=customer.currency,
        zone=customer.time_zone,
        period_start=row.period_start,
        period_end=row.period_end,
        spent=row.spent,
        usage_spent=row.usage_spent,
        held=row.held,
        workspaces=tuple(
            WorkspaceSpend(workspace=key, spent=spent.get(key, ZERO), held=held.get(key, ZERO))
            for key in sorted(spent.keys() | held.keys())
        ),
        budgets=tuple(_budgets(row, spent=spent, held=held)),
        running_jobs=row.running,
        as_of=row.rated_at or now,
        problem_code=row.problem_code,
        problem=row.problem,
    )


def amounts_in(stored: Mapping[str, str]) -> dict[str, Decimal]:
    """Return the amounts of a row's split by workspace key."""
    return {key: Decimal(amount) for key, amount in stored.items()}


def _budgets(
    row: Spend, *, spent: Mapping[str, Decimal], held: Mapping[str, Decimal]
) -> Iterator[BudgetSpend]:
    budgets = Budget.objects.filter(customer_id=row.pk).select_related("workspace")
    for budget in budgets.order_by("workspace__key"):
        key = budget.workspace.key if budget.workspace else ""
        yield BudgetSpend(
            workspace=key,
            amount=budget.amount,
            stops=budget.stops,
            spent=spent.get(key, ZERO) if budget.workspace else row.spent,
            held=held.get(key, ZERO) if budget.workspace else row.held,
        )
