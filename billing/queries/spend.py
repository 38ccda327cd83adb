"""What has been spent so far and is held, against the budgets, by workspace and by job class."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db import connection

from billing.alerts.due import reaches
from billing.alerts.noticing import Use, forecast, part_of, use_of
from billing.models import BudgetAlert, Spend, SpendDay
from billing.wording import Money, Quantity, Span, day_of, moment
from plans.models import Budget, Customer, Workspace

JOBS_MAX: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """One share at which a budget alerts, and when that was, "" where it was not."""

    percent: int
    at: str
    sent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """A budget and what counts against it; ``spent_at`` and ``held_width`` are percent of a bar.

    ``ends`` is the day on which it is used up at the pace of the last days, "" where it lasts.
    """

    name: str
    workspace_key: str
    amount: Money
    spent: Money
    held: Money
    left: Money
    percent: str
    spent_at: str
    held_width: str
    is_over: bool
    is_throttled: bool
    stops: bool
    throttle: str
    throttle_to: int
    thresholds: Sequence[Threshold]
    ends: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A workspace's, or a class's, share of it."""

    name: str
    spent: Money
    held: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassPart(Part):
    """What the jobs of a class that were admitted in the period came to, and hold."""

    key: str
    jobs: Quantity
    succeeded: Quantity
    open: Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendPage:
    """A customer's running period; ``span`` is None while it was never rated."""

    span: Span | None
    total: Money
    spent: Money
    held: Money
    running: int
    as_of: str
    problem: str
    budgets: Sequence[BudgetState]
    unlimited: Sequence[tuple[str, str]]
    workspaces: Sequence[Part]
    classes: Sequence[ClassPart]
    classes_cut: bool


def spend_page(*, customer: Customer, now: datetime) -> SpendPage:
    """Return what a customer has spent and holds in its running period."""
    spend = Spend.objects.filter(pk=customer.pk).first() or Spend(customer=customer)
    currency = customer.currency
    span = None
    if spend.period_start is not None and spend.period_end is not None:
        span = Span(spend.period_start, spend.period_end, customer.time_zone)
    budgets = list(budget_states(customer=customer, now=now))
    workspaces = list(customer.workspaces.order_by("name"))
    classes, cut = _classes(customer, since=spend.period_start)
    return SpendPage(
        span=span,
        total=_money(spend.spent + spend.held, currency),
        spent=_money(spend.spent, currency),
        held=_money(spend.held, currency),
        running=spend.running,
        as_of=moment(spend.rated_at, zone=customer.time_zone) if spend.rated_at else "",
        problem=spend.problem,
        budgets=budgets,
        unlimited=_unlimited(customer, workspaces, budgets),
        workspaces=_workspaces(spend, workspaces, currency=currency),
        classes=classes,
        classes_cut=cut,
    )


def budget_states(*, customer: Customer, now: datetime) -> Iterator[BudgetState]:
    """Return a customer's budgets, its own first, each with what counts against it."""
    found = Budget.objects.filter(customer=customer).select_related("customer", "workspace")
    budgets = sorted(found, key=lambda each: each.workspace.name if each.workspace else "")
    spend = Spend.objects.filter(pk=customer.pk).first()
    alerts = list(_alerts(customer, spend))
    days = list(SpendDay.objects.filter(customer=customer).order_by("day", "period_start"))
    for budget in budgets:
        use = use_of(budget, spend=spend)
        own = [each for each in alerts if each.workspace_id == budget.workspace_id]
        ends = forecast(budget, use=use, days=days, now=now) if use else None
        yield _state(budget, use=use, alerts=own, ends=ends)


def _alerts(customer: Customer, spend: Spend | None) -> Iterator[BudgetAlert]:
    if spend is not None and spend.period_start is not None:
        rows = BudgetAlert.objects.filter(
            customer=customer,
            period_start=spend.period_start,
            kind=BudgetAlert.Kind.THRESHOLD,
            rearmed_at=None,
        )
        yield from rows


def _state(
    budget: Budget, *, use: Use | None, alerts: Sequence[BudgetAlert], ends: datetime | None
) -> BudgetState:
    customer, zero = budget.customer, Decimal(0)
    spent, held = (use.spent, use.held) if use else (zero, zero)
    used, amount = spent + held, budget.amount
    sent = {alert.percent: moment(alert.created_at, zone=customer.time_zone) for alert in alerts}
    top = max(amount, used) * max([100, *budget.alert_percents]) / 100
    throttle = budget.throttle_percent
    return BudgetState(
        name=budget.workspace.name if budget.workspace else customer.name,
        workspace_key=budget.workspace.key if budget.workspace else "",
        amount=_money(amount, customer.currency),
        spent=_money(spent, customer.currency),
        held=_money(held, customer.currency),
        left=_money(max(zero, amount - used), customer.currency),
        percent=f"{used * 100 / amount:.0f}%",
        spent_at=f"{max(zero, spent) * 100 / top:.2f}",
        held_width=f"{max(zero, held) * 100 / top:.2f}",
        is_over=reaches(used, 100, amount=amount),
        is_throttled=throttle is not None and reaches(used, throttle, amount=amount),
        stops=budget.stops,
        throttle="" if throttle is None else f"{throttle}%",
        throttle_to=budget.throttle_to,
        thresholds=[
            Threshold(
                percent=percent, at=f"{amount * percent / top:.2f}", sent=sent.get(percent, "")
            )
            for percent in budget.alert_percents
        ],
        ends=day_of(ends, zone=customer.time_zone) if ends else "",
    )


def _unlimited(
    customer: Customer, workspaces: Sequence[Workspace], budgets: Sequence[BudgetState]
) -> list[tuple[str, str]]:
    """Return name and key of what has no budget yet; the customer itself has the key ""."""
    limited = {budget.workspace_key for budget in budgets}
    whole = [(customer.name, "")] if "" not in limited else []
    return whole + [(each.name, each.key) for each in workspaces if each.key not in limited]


def _workspaces(spend: Spend, workspaces: Sequence[Workspace], *, currency: str) -> list[Part]:
    named = [(each.name, each.key) for each in workspaces]
    keys = {"", *spend.by_workspace, *spend.held_by_workspace}
    if not workspaces or not keys - {""}:
        return []
    parts = [
        Part(
            name=name,
            spent=_money(part_of(spend.by_workspace, key), currency),
            held=_money(part_of(spend.held_by_workspace, key), currency),
        )
        for name, key in [*named, ("No workspace", "")]
    ]
    return [part for part in parts if part.spent.amount or part.held.amount]


_CLASSES = """
SELECT k.key, k.name, count(*), count(*) FILTER (WHERE j.state = 'succeeded'),
       count(*) FILTER (WHERE j.ended_at IS NULL), coalesce(sum(j.amount), 0), sum(j.held)
FROM (SELECT job_class_id, state, ended_at, amount, held, admitted_at FROM usage_job
      WHERE customer_id = %s ORDER BY id DESC LIMIT %s) j
JOIN plans_jobclass k ON k.id = j.job_class_id
WHERE j.admitted_at >= %s
GROUP BY k.key, k.name ORDER BY 6 DESC, 7 DESC, 2
"""


def _classes(customer: Customer, *, since: datetime | None) -> tuple[list[ClassPart], bool]:
    """Return the period's jobs by class, and whether there are more than are counted."""
    if since is None:
        return [], False
    with connection.cursor() as cursor:
        cursor.execute(_CLASSES, [customer.pk, JOBS_MAX, since])
        rows: list[Any] = cursor.fetchall()
    currency = customer.currency
    parts = [
        ClassPart(
            key=key,
            name=name,
            jobs=Quantity(Decimal(jobs)),
            succeeded=Quantity(Decimal(succeeded)),
            open=Quantity(Decimal(running)),
            spent=_money(amount, currency),
            held=_money(held, currency),
        )
        for key, name, jobs, succeeded, running, amount, held in rows
    ]
    return parts, sum(row[2] for row in rows) >= JOBS_MAX


def _money(amount: Decimal, currency: str) -> Money:
    return Money(amount.normalize() + 0, currency)
