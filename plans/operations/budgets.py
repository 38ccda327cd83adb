"""Set, change and remove a customer's own limit on spend, for the whole of it or a workspace."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from django.core.exceptions import ValidationError
from django.db import transaction

from plans import locks
from plans.errors import OperationError, Problem, refusing, validation_problems
from plans.models import Budget, Customer, Subject, Workspace
from plans.models.budgets import usual_alerts
from plans.rating.money import minor_units

ALERTS_MAX: Final = 10
ALERT_PERCENT_MAX: Final = 1000
_FIELDS: Final = (
    "amount",
    "alert_percents",
    "stops",
    "throttle_percent",
    "throttle_to",
    "email",
)


class BudgetInvalid(OperationError):
    """What was said about a budget cannot be; ``problems`` lists all of it."""

    code = "budget_invalid"
    http_status = 422


class BudgetTaken(OperationError):
    """Someone else set the budget at the same moment."""

    code = "budget_taken"
    http_status = 409


class NoBudget(OperationError):
    """The customer, or the workspace, has no budget."""

    code = "no_budget"
    http_status = 404


class UnknownSubject(OperationError):
    """No customer and no workspace has the key."""

    code = "unknown_customer"
    http_status = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetTerms:
    """What a budget says, in the customer's currency; see ``plans.models.Budget``."""

    amount: Decimal
    alert_percents: tuple[int, ...] = tuple(usual_alerts())
    stops: bool = True
    throttle_percent: int | None = None
    throttle_to: int = 1
    email: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose spend a budget limits: a customer's, or that of one of its workspaces."""

    customer: Customer
    workspace: Workspace | None = None

    @property
    def name(self) -> str:
        """Return the name of the part that is limited."""
        return self.workspace.name if self.workspace else self.customer.name


def scope_of(*, key: str) -> Scope:
    """Return what a key names, a customer or a workspace. Raises UnknownSubject."""
    found = Subject.objects.filter(key=key).select_related("customer", "workspace").first()
    if found is None:
        raise UnknownSubject(f"No customer or workspace has the key “{key}”.", field="key")
    return Scope(customer=found.customer, workspace=found.workspace)


def terms_of(budget: Budget) -> BudgetTerms:
    """Return what a stored budget says."""
    return BudgetTerms(
        amount=budget.amount,
        alert_percents=tuple(budget.alert_percents),
        stops=budget.stops,
        throttle_percent=budget.throttle_percent,
        throttle_to=budget.throttle_to,
        email=budget.email,
    )


@transaction.atomic
def set_budget(*, scope: Scope, terms: BudgetTerms) -> Budget:
    """Set the budget of a customer or workspace, or change the one that is there; it holds at once.

    The person and the reason are those of ``plans.acting``; the history keeps them. Terms that are
    in force already write nothing. Raises BudgetInvalid, BudgetTaken.
    """
    problems = tuple(_problems(scope, terms))
    if problems:
        _refuse(problems)
    workspace_id = scope.workspace.pk if scope.workspace else None
    budget = locks.budget_of(customer_id=scope.customer.pk, workspace_id=workspace_id)
    if budget is None:
        budget = Budget(customer=scope.customer, workspace=scope.workspace)
    elif terms_of(budget) == _tidy(terms):
        return budget
    for name in _FIELDS:
        value = getattr(_tidy(terms), name)
        setattr(budget, name, list(value) if name == "alert_percents" else value)
    _clean(budget)
    taken = BudgetTaken("Someone set this budget at the same moment. Look at it, and try again.")
    with refusing({"one_budget_per_scope": taken}):
        budget.save()
    return budget


@transaction.atomic
def remove_budget(*, scope: Scope) -> None:
    """Remove a budget: from now on nothing limits this spend, and no alert is sent.

    Its history stays. Raises NoBudget.
    """
    workspace_id = scope.workspace.pk if scope.workspace else None
    budget = locks.budget_of(customer_id=scope.customer.pk, workspace_id=workspace_id)
    if budget is None:
        raise NoBudget(f"{scope.name} has no budget.")
    budget.delete()


def _tidy(terms: BudgetTerms) -> BudgetTerms:
    """Return the terms as they are kept: alerts in order, once each."""
    return BudgetTerms(
        amount=terms.amount,
        alert_percents=tuple(sorted(set(terms.alert_percents))),
        stops=terms.stops,
        throttle_percent=terms.throttle_percent,
        throttle_to=terms.throttle_to,
        email=terms.email.strip(),
    )


def _problems(scope: Scope, terms: BudgetTerms) -> Iterable[Problem]:
    if scope.workspace is not None and scope.workspace.customer_id != scope.customer.pk:
        yield Problem(
            "foreign_workspace",
            "workspace",
            f"“{scope.workspace.name}” is no workspace of {scope.customer.name}. Choose one of its "
            "own.",
        )
    yield from _amount_problems(terms.amount, currency=scope.customer.currency)
    yield from _alert_problems(terms.alert_percents)
    if terms.throttle_to < 1:
        yield Problem(
            "throttle_to_nothing",
            "throttle_to",
            "At least one job runs at once while a budget throttles. To refuse jobs, let it stop.",
        )


def _amount_problems(amount: Decimal, *, currency: str) -> Iterable[Problem]:
    decimals = minor_units(currency)
    if not amount.is_finite() or amount <= 0:
        yield Problem(
            "budget_positive",
            "amount",
            "A budget is more than nothing. To limit nothing, remove it.",
        )
    elif -int(amount.normalize().as_tuple().exponent) > decimals:
        yield Problem(
            "too_many_decimals",
            "amount",
            f"{currency} has {decimals} decimals. Round the amount.",
        )


def _alert_problems(percents: tuple[int, ...]) -> Iterable[Problem]:
    if len(set(percents)) > ALERTS_MAX:
        yield Problem("too_many_alerts", "alert_percents", f"At most {ALERTS_MAX} alerts.")
    if any(not 1 <= percent <= ALERT_PERCENT_MAX for percent in percents):
        yield Problem(
            "alert_out_of_range",
            "alert_percents",
            f"Alerts are at whole percentages from 1 to {ALERT_PERCENT_MAX}.",
        )


def _clean(budget: Budget) -> None:
    try:
        budget.full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        _refuse(validation_problems(error))


def _refuse(problems: tuple[Problem, ...]) -> None:
    message = " ".join(problem.message for problem in problems)
    raise BudgetInvalid(message, field=problems[0].field, problems=problems)
