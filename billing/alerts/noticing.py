"""Find the budgets that reached a share or will end early, and store a row for each message."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from billing.alerts.due import DueAlerts, SpentOn, daily_pace, due_alerts, ends_at
from billing.alerts.words import event_of
from billing.models import BudgetAlert, Spend, SpendDay
from billing.webhooks.emitting import emit
from plans import locks
from plans.clock import clocks_of
from plans.models import Budget

DAYS_KEPT: Final = timedelta(days=40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What counts against a budget in its period: spent, and held by jobs."""

    period_start: datetime
    period_end: datetime
    spent: Decimal
    held: Decimal

    @property
    def total(self) -> Decimal:
        """Return spent plus held."""
        return self.spent + self.held


def use_of(budget: Budget, *, spend: Spend | None) -> Use | None:
    """Return what counts against a budget; None while the period was never rated.

    A customer's budget counts all that its statement will say, a workspace's the usage of it.
    """
    if spend is None or spend.period_start is None or spend.period_end is None:
        return None
    workspace = budget.workspace
    return Use(
        period_start=spend.period_start,
        period_end=spend.period_end,
        spent=spend.spent if workspace is None else part_of(spend.by_workspace, workspace.key),
        held=spend.held if workspace is None else part_of(spend.held_by_workspace, workspace.key),
    )


def part_of(parts: dict[str, str], key: str) -> Decimal:
    """Return a workspace's part of what ``Spend`` splits by their keys."""
    return Decimal(str(parts.get(key, 0)))


def alert_spend(*, customer_ids: Collection[int], now: datetime) -> list[int]:
    """Store the alerts that are due for customers, and return those that have any to send.

    To be called when their spend was rated or their holds have grown, and safe to call twice or
    at once: each alert is stored once. It also notes what the day came to, for forecasts. A test
    customer stands at its own clock.
    """
    clocks = clocks_of(customer_ids)
    keep_days(customer_ids=customer_ids)
    found = _store_all([each for each in customer_ids if each not in clocks], now=now)
    for customer_id, at in clocks.items():
        found += _store_all([customer_id], now=at)
    return sorted(found)


def _store_all(customer_ids: Collection[int], *, now: datetime) -> list[int]:
    if not customer_ids:
        return []
    candidates = _with_something_due(_load(customer_ids), now=now)
    return [each for each in sorted(candidates) if _store_due(each, now=now)]


def customers_to_look_at(*, after: int, limit: int) -> list[int]:
    """Return the next customers, by id, that have a budget and a rated period."""
    rows = Budget.objects.filter(customer_id__gt=after, customer__spend__period_start__isnull=False)
    ids = rows.order_by("customer_id").values_list("customer_id", flat=True).distinct()
    return list(ids[:limit])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """All that decides over the alerts of some customers, by customer."""

    budgets: Sequence[Budget]
    spend: dict[int, Spend]
    sent: dict[int, list[BudgetAlert]]
    days: dict[int, list[SpendDay]]


def _load(customer_ids: Collection[int], *, budgets: Sequence[Budget] | None = None) -> _Known:
    if budgets is None:
        found = Budget.objects.filter(customer_id__in=customer_ids)
        budgets = list(found.select_related("customer", "workspace").order_by("pk"))
    ids = {budget.customer_id for budget in budgets}
    spend = Spend.objects.in_bulk(ids)
    starts = {row.period_start for row in spend.values() if row.period_start is not None}
    sent: dict[int, list[BudgetAlert]] = defaultdict(list)
    for alert in BudgetAlert.objects.filter(
        customer_id__in=ids, period_start__in=starts, rearmed_at=None
    ):
        sent[alert.customer_id].append(alert)
    days: dict[int, list[SpendDay]] = defaultdict(list)
    for row in SpendDay.objects.filter(customer_id__in=ids).order_by("day", "period_start"):
        days[row.customer_id].append(row)
    return _Known(budgets=budgets, spend=spend, sent=sent, days=days)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """What is to be written of one budget."""

    budget: Budget
    use: Use
    thresholds: DueAlerts
    ends: datetime | None
    sent: dict[int, BudgetAlert]

    @property
    def is_nothing(self) -> bool:
        return self.thresholds.is_nothing and self.ends is None


def _with_something_due(known: _Known, *, now: datetime) -> set[int]:
    return {each.budget.customer_id for each in _decide(known, now=now) if not each.is_nothing}


def _decide(known: _Known, *, now: datetime) -> Iterable[_Due]:
    for budget in known.budgets:
        use = use_of(budget, spend=known.spend.get(budget.customer_id))
        if use is None or now >= use.period_end:
            continue
        own = [
            alert
            for alert in known.sent[budget.customer_id]
            if alert.workspace_id == budget.workspace_id and alert.period_start == use.period_start
        ]
        sent = {alert.percent: alert for alert in own if alert.kind == BudgetAlert.Kind.THRESHOLD}
        thresholds = due_alerts(
            amount=budget.amount,
            used=use.total,
            percents=budget.alert_percents,
            sent={percent: alert.standing_amount for percent, alert in sent.items()},
        )
        told = any(alert.kind == BudgetAlert.Kind.FORECAST for alert in own)
        days = known.days[budget.customer_id]
        ends = None if told else forecast(budget, use=use, days=days, now=now)
        yield _Due(budget=budget, use=use, thresholds=thresholds, ends=ends, sent=sent)


def forecast(
    budget: Budget, *, use: Use, days: Sequence[SpendDay], now: datetime
) -> datetime | None:
    """Return when a budget is used up at the pace of the last days; None where it is not."""
    zone = ZoneInfo(budget.customer.time_zone)
    workspace = budget.workspace
    spent = [
        SpentOn(
            day=row.day,
            first_day=row.period_start.astimezone(zone).date(),
            spent=row.usage_spent
            if workspace is None
            else part_of(row.by_workspace, workspace.key),
        )
        for row in days
    ]
    pace = daily_pace(spent, today=now.astimezone(zone).date())
    if pace is None:
        return None
    return ends_at(
        amount=budget.amount, used=use.total, pace=pace, now=now, period_end=use.period_end
    )


@transaction.atomic
def _store_due(customer_id: int, *, now: datetime) -> bool:
    """Decide again under the lock of the budgets, and store; say whether anything is to be sent."""
    budgets = locks.budgets_of(customer_id=customer_id)
    known = _load([customer_id], budgets=budgets)
    stored = 0
    for due in _decide(known, now=now):
        _move(due, now=now)
        new = [*_threshold_rows(due, now=now), *_forecast_rows(due, now=now)]
        stored += len(BudgetAlert.objects.bulk_create(new))
        emit([event_of(alert) for alert in new])
    return stored > 0


def _move(due: _Due, *, now: datetime) -> None:
    rearmed = [due.sent[percent].pk for percent in due.thresholds.rearmed]
    standing = [due.sent[percent].pk for percent in due.thresholds.standing]
    if rearmed:
        BudgetAlert.objects.filter(pk__in=rearmed, rearmed_at=None).update(rearmed_at=now)
    if standing:
        BudgetAlert.objects.filter(pk__in=standing).update(standing_amount=due.budget.amount)


def _threshold_rows(due: _Due, *, now: datetime) -> list[BudgetAlert]:
    rows = [_row(due, now=now) for _ in due.thresholds.due]
    for row, percent in zip(rows, due.thresholds.due, strict=True):
        row.kind, row.percent = BudgetAlert.Kind.THRESHOLD, percent
    return rows


def _forecast_rows(due: _Due, *, now: datetime) -> list[BudgetAlert]:
    if due.ends is None:
        return []
    row = _row(due, now=now)
    row.kind = BudgetAlert.Kind.FORECAST
    row.ends_on = due.ends.astimezone(ZoneInfo(due.budget.customer.time_zone)).date()
    return [row]


def _row(due: _Due, *, now: datetime) -> BudgetAlert:
    budget, use = due.budget, due.use
    return BudgetAlert(
        customer=budget.customer,
        workspace=budget.workspace,
        period_start=use.period_start,
        period_end=use.period_end,
        budget_amount=budget.amount,
        standing_amount=budget.amount,
        spent=use.spent,
        held=use.held,
        stops=budget.stops,
        email=budget.email or budget.customer.email,
        created_at=now,
    )


_KEEP_DAYS = """
INSERT INTO billing_spendday AS d (customer_id, period_start, day, usage_spent, by_workspace)
SELECT s.customer_id, s.period_start, (s.rated_at AT TIME ZONE c.time_zone)::date, s.usage_spent,
       s.by_workspace
FROM billing_spend s JOIN plans_customer c ON c.id = s.customer_id
WHERE s.customer_id = ANY(%s) AND s.period_start <= s.rated_at AND s.period_end > s.rated_at
ORDER BY s.customer_id
ON CONFLICT (customer_id, day, period_start) DO UPDATE
SET usage_spent = EXCLUDED.usage_spent, by_workspace = EXCLUDED.by_workspace
WHERE (d.usage_spent, d.by_workspace) IS DISTINCT FROM
      (EXCLUDED.usage_spent, EXCLUDED.by_workspace)
"""


def keep_days(*, customer_ids: Collection[int]) -> None:
    """Note what the period of customers had come to on the day, in their zone, of its rating."""
    with connection.cursor() as cursor:
        cursor.execute(_KEEP_DAYS, [sorted(customer_ids)])


def forget_days(*, now: datetime) -> int:
    """Delete what days came to that no forecast looks at any more; return how many rows."""
    deleted, _ = SpendDay.objects.filter(day__lt=(now - DAYS_KEPT).date()).delete()
    return deleted
