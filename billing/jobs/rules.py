"""A customer's account and terms as the values that admission decides on."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from billing.jobs.reading import Account
from billing.spend.margin import Standing
from plans import rating
from plans.rating.money import ZERO, minus, plus, total
from usage.admission import Allowance, BudgetState, Limits, Load, MoneyState
from usage.job_quantities import Quantities, by_meter, read

_DAY = timedelta(days=1)


class Windows(NamedTuple):
    """The hour and the day of the customer's zone that hold an instant."""

    hour_start: datetime
    hour_end: datetime
    day_start: datetime
    day_end: datetime


def windows(at: datetime, *, zone: str) -> Windows:
    """Return the local hour and the local day that hold an instant."""
    return _windows(at.replace(second=0, microsecond=0), zone)


# Asked by every job, and the same for all jobs of a minute.
@lru_cache(maxsize=1024)
def _windows(minute: datetime, zone: str) -> Windows:
    local = minute.astimezone(ZoneInfo(zone))
    hour_start = minute - timedelta(minutes=local.minute, seconds=local.second)
    return Windows(
        hour_start=hour_start,
        hour_end=hour_start + timedelta(hours=1),
        day_start=rating.local_midnight(local.date(), zone=zone),
        day_end=rating.local_midnight(local.date() + _DAY, zone=zone),
    )


def limits_of(account: Account, terms: rating.Terms, standing: Standing, *, at: datetime) -> Limits:
    """Return what the plan and the budgets allow."""
    return Limits(
        features=frozenset(terms.features),
        service_classes=frozenset(one.key for one in terms.service_classes),
        limits=terms.limits,
        allowances=tuple(_allowances(account, standing)),
        budgets=tuple(budgets_of(account, at)),
    )


def load_of(account: Account, now: Windows) -> Load:
    """Return what runs, and what was admitted in this hour and day."""
    same_hour = account.hour_start == now.hour_start
    same_day = account.day_start == now.day_start
    return Load(
        running=account.running_by_class,
        hour_jobs=account.hour_jobs if same_hour else {},
        day_jobs=account.day_jobs if same_day else {},
        hour_ends_at=now.hour_end,
        day_ends_at=now.day_end,
    )


def money_of(
    account: Account, now: Windows, *, at: datetime, period_ends_at: datetime,
    credit: Mapping[str, Decimal],
) -> MoneyState:  # fmt: skip
    """Return what was spent today, held amounts included, and which credit is free."""
    spent = plus(minus(spent_now(account, at), spent_before_today(account, now, at)), account.held)
    return MoneyState(
        period_ends_at=period_ends_at,
        day_spent=max(ZERO, spent),
        credit=credit,
        unpaid=account.unpaid,
    )


def spent_now(account: Account, at: datetime) -> Decimal:
    """Return what the running period has come to; a period that is over is not the running one."""
    return account.spent if _is_running(account, at) else ZERO


def spent_before_today(account: Account, now: Windows, at: datetime) -> Decimal:
    """Return what the running period had come to when the day began."""
    if not _is_running(account, at):
        return ZERO
    return account.day_spent_before if account.day_start == now.day_start else account.spent


def _is_running(account: Account, at: datetime) -> bool:
    return account.period_end is not None and at < account.period_end


def budgets_of(account: Account, at: datetime) -> Iterator[BudgetState]:
    """Yield the budgets that a job of the account counts against."""
    for budget in account.budgets:
        if budget.workspace:
            spent = Decimal(account.by_workspace.get(budget.workspace, "0"))
            spent = spent if _is_running(account, at) else ZERO
            held = Decimal(account.held_by_workspace.get(budget.workspace, "0"))
        else:
            spent, held = spent_now(account, at), account.held
        yield BudgetState(
            amount=budget.amount,
            spent=spent,
            held=held,
            workspace=budget.workspace,
            stops=budget.stops,
            throttle_percent=budget.throttle_percent,
            throttle_to=budget.throttle_to,
        )


def _allowances(account: Account, standing: Standing) -> Iterator[Allowance]:
    capped = [
        price
        for price in standing.bounded
        if price.overage.policy in ("refuse", "upgrade") and price.meter
    ]
    if not capped:
        return
    for price in capped:
        yield Allowance(
            price=price.key,
            most=price.allowance,
            used=used_of(account, standing, price.meter or ""),
            renewed_at=max(segment.whole_end for segment in standing.segments),
            upgrade_to=price.overage.upgrade_to,
        )


def used_of(account: Account, standing: Standing, meter: str) -> Decimal:
    """Return what is used of a meter or held, in its units."""
    pending = by_meter(read(account.pending))
    return plus(_used(standing, meter), pending.get(meter, ZERO))


def _used(standing: Standing, meter: str) -> Decimal:
    return total(
        quantity
        for segment in standing.segments
        for usage in segment.usage
        if usage.meter == meter
        for _, quantity in usage.cells
    )


def by_price(quantities: Quantities, prices: Collection[rating.Price]) -> dict[str, Decimal]:
    """Return what a job would use of each price that reads one of its meters, by price key."""
    if not prices:
        return {}
    asked = by_meter(quantities)
    return {price.key: asked[price.meter] for price in prices if price.meter in asked}
