"""Decide whether a job may start; pure: values in, values out.

The rules are asked in one order, and the first that says no answers. *Deferred* is what time or
the end of other jobs helps; *refused* is what only a person, or the next period, helps.
Rule: DESIGN section 3, Jobs.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Final, Literal

import msgspec

from plans.rating.prices import Limit, LimitKind

Rule = Literal[
    "feature",
    "service_class",
    "concurrent_jobs",
    "jobs_per_hour",
    "jobs_per_day",
    "spend_per_day",
    "allowance",
    "budget",
    "unpaid",
    "credit",
]
RETRY_WHEN_RUNNING_S: Final = 5
_ZERO: Final = Decimal(0)
_HUNDRED: Final = Decimal(100)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked: a job of a class, and the money that would be held for it.

    ``credit`` is what would be held in pools, by credit unit; ``quantities`` are what it would use
    of prices, by their keys.
    """

    job_class: str
    amount: Decimal
    service_class: str = ""
    features: tuple[str, ...] = ()
    credit: Mapping[str, Decimal] = {}
    quantities: Mapping[str, Decimal] = {}


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """A hard cap: a price's included quantity, what of it is used or held, when it begins anew.

    ``upgrade_to`` is the plan that a customer who needs more is moved to, "" where none is.
    """

    price: str
    most: Decimal
    used: Decimal
    renewed_at: datetime
    upgrade_to: str = ""


class BudgetState(msgspec.Struct, frozen=True, kw_only=True):
    """A budget of a customer, or of a workspace (its key), and what counts against it."""

    amount: Decimal
    spent: Decimal
    held: Decimal
    workspace: str = ""
    stops: bool = True
    throttle_percent: int | None = None
    throttle_to: int = 1

    @property
    def throttles(self) -> bool:
        """Tell whether the share from which fewer jobs run at once is reached."""
        if self.throttle_percent is None:
            return False
        return (self.spent + self.held) * _HUNDRED >= self.amount * self.throttle_percent


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan and the customer allow."""

    features: frozenset[str] = frozenset()
    service_classes: frozenset[str] = frozenset()
    limits: tuple[Limit, ...] = ()
    allowances: tuple[Allowance, ...] = ()
    budgets: tuple[BudgetState, ...] = ()


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What runs now, and what was admitted in this hour and day, by job class."""

    running: Mapping[str, int]
    hour_jobs: Mapping[str, int]
    day_jobs: Mapping[str, int]
    hour_ends_at: datetime
    day_ends_at: datetime


class MoneyState(msgspec.Struct, frozen=True, kw_only=True):
    """What was spent today (held amounts included), and what credit is free, by unit.

    ``unpaid`` is what jobs cost above their hold where the plan admits none before it is paid for.
    """

    period_ends_at: datetime
    day_spent: Decimal = _ZERO
    credit: Mapping[str, Decimal] = {}
    unpaid: Decimal = _ZERO


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """The job may start; so much is held."""

    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turned:
    """A job that may not start: by which rule, its numbers, and when to ask again."""

    rule: Rule
    code: str
    detail: str
    numbers: Mapping[str, str]
    retry_at: datetime | None = None
    retry_after_s: int | None = None
    http_status: ClassVar[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred(_Turned):
    """Not now: the hour, the day or running jobs must end first."""

    http_status: ClassVar[int] = 429


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(_Turned):
    """Not on this plan, budget or credit.

    ``upgrade_to`` is the plan that a customer is moved to who needs more than ``beyond``.
    """

    upgrade_to: str = ""
    beyond: Decimal = _ZERO
    http_status: ClassVar[int] = 402


@dataclass(frozen=True, slots=True, kw_only=True)
class NotGranted(Refused):
    """The plan does not grant what the job needs."""

    http_status: ClassVar[int] = 403


def decide(
    *, request: Request, limits: Limits, load: Load, money: MoneyState
) -> Admitted | Deferred | Refused:
    """Admit a job, or say by which rule it may not start.

    Order: features, service class, concurrent jobs (of the class, then of all), jobs an hour, jobs
    a day, spend a day, hard caps, budgets, what is unpaid, credit.
    """
    for rule in _RULES:
        for turned in rule(request, limits, load, money):
            return turned
    return Admitted(amount=request.amount)


def concurrent_most(limits: Limits, *, job_class: str) -> int | None:
    """Return how many jobs may run at once at most, of a class or of all (""); None: any number.

    A budget that throttles lowers the number for all classes together.
    """
    found = [int(limit.value) for limit in _limits(limits, "concurrent_jobs", job_class)]
    if not job_class:
        found += [budget.throttle_to for budget in limits.budgets if budget.throttles]
    return min(found, default=None)


def _features(
    request: Request, limits: Limits, _load: Load, _money: MoneyState
) -> Iterator[Deferred | Refused]:
    for feature in request.features:
        if feature not in limits.features:
            yield NotGranted(
                rule="feature",
                code="feature_not_granted",
                detail=f"The plan does not grant “{feature}”: choose a plan that does.",
                numbers={"feature": feature},
            )


def _service_class(
    request: Request, limits: Limits, _load: Load, _money: MoneyState
) -> Iterator[Deferred | Refused]:
    asked = request.service_class
    if asked and asked not in limits.service_classes:
        offered = ", ".join(sorted(limits.service_classes)) or "none"
        yield NotGranted(
            rule="service_class",
            code="service_class_not_offered",
            detail=f"The plan does not offer the service class “{asked}”. It offers: {offered}.",
            numbers={"service_class": asked},
        )


def _concurrent(
    request: Request, limits: Limits, load: Load, _money: MoneyState
) -> Iterator[Deferred | Refused]:
    for job_class in (request.job_class, ""):
        most = concurrent_most(limits, job_class=job_class)
        running = _count(load.running, job_class)
        if most is not None and running >= most:
            throttled = not job_class and any(budget.throttles for budget in limits.budgets)
            why = " A budget is nearly used up." if throttled else ""
            yield Deferred(
                rule="concurrent_jobs",
                code="too_many_concurrent_jobs",
                detail=f"{running} {_jobs(job_class)} run now, and at most {most} may.{why}"
                " Ask again when one has ended.",
                numbers={"limit": str(most), "running": str(running), "job_class": job_class},
                retry_after_s=RETRY_WHEN_RUNNING_S,
            )


def _per_hour(
    request: Request, limits: Limits, load: Load, _money: MoneyState
) -> Iterator[Deferred | Refused]:
    yield from _counted(
        request, limits, kind="jobs_per_hour", code="hourly_limit_reached",
        counts=load.hour_jobs, span="hour", ends_at=load.hour_ends_at,
    )  # fmt: skip


def _per_day(
    request: Request, limits: Limits, load: Load, _money: MoneyState
) -> Iterator[Deferred | Refused]:
    yield from _counted(
        request, limits, kind="jobs_per_day", code="daily_limit_reached",
        counts=load.day_jobs, span="day", ends_at=load.day_ends_at,
    )  # fmt: skip


def _counted(
    request: Request,
    limits: Limits,
    *,
    kind: Literal["jobs_per_hour", "jobs_per_day"],
    code: str,
    counts: Mapping[str, int],
    span: str,
    ends_at: datetime,
) -> Iterator[Deferred | Refused]:
    for job_class in (request.job_class, ""):
        admitted = _count(counts, job_class)
        for limit in _limits(limits, kind, job_class):
            if admitted >= limit.value:
                yield Deferred(
                    rule=kind,
                    code=code,
                    detail=f"{admitted} {_jobs(job_class)} were admitted in this {span}, and at"
                    f" most {_plain(limit.value)} may be. Ask again when the next {span} begins.",
                    numbers={
                        "limit": _plain(limit.value),
                        "admitted": str(admitted),
                        "job_class": job_class,
                    },
                    retry_at=ends_at,
                )


def _spend_per_day(
    request: Request, limits: Limits, load: Load, money: MoneyState
) -> Iterator[Deferred | Refused]:
    for limit in _limits(limits, "spend_per_day", ""):
        if money.day_spent + request.amount > limit.value:
            yield Deferred(
                rule="spend_per_day",
                code="daily_spend_reached",
                detail=f"{_plain(money.day_spent)} were spent or are held today, this job needs"
                f" {_plain(request.amount)}, and the limit is {_plain(limit.value)} a day."
                " Ask again tomorrow.",
                numbers={
                    "limit": _plain(limit.value),
                    "spent": _plain(money.day_spent),
                    "amount": _plain(request.amount),
                },
                retry_at=load.day_ends_at,
            )


def _allowances(
    request: Request, limits: Limits, _load: Load, _money: MoneyState
) -> Iterator[Deferred | Refused]:
    for cap in limits.allowances:
        asked = request.quantities.get(cap.price, _ZERO)
        if asked and cap.used + asked > cap.most:
            yield Refused(
                rule="allowance",
                code="allowance_used_up",
                detail=f"{_plain(cap.used)} of the {_plain(cap.most)} that the plan includes are"
                f" used or held, and this job needs {_plain(asked)}. The next period begins at"
                f" {cap.renewed_at:%Y-%m-%d %H:%M} UTC; a larger plan includes more.",
                numbers={
                    "price": cap.price,
                    "limit": _plain(cap.most),
                    "used": _plain(cap.used),
                    "quantity": _plain(asked),
                },
                retry_at=cap.renewed_at,
                upgrade_to=cap.upgrade_to,
                beyond=cap.most,
            )


def _budgets(
    request: Request, limits: Limits, _load: Load, money: MoneyState
) -> Iterator[Deferred | Refused]:
    for budget in limits.budgets:
        if budget.stops and budget.spent + budget.held + request.amount > budget.amount:
            whose = f"of “{budget.workspace}” " if budget.workspace else ""
            yield Refused(
                rule="budget",
                code="budget_exceeded",
                detail=f"The budget {whose}is {_plain(budget.amount)}: {_plain(budget.spent)} are"
                f" spent, {_plain(budget.held)} held, and this job needs"
                f" {_plain(request.amount)}. Raise the budget, or ask again in the next period.",
                numbers={
                    "budget": _plain(budget.amount),
                    "spent": _plain(budget.spent),
                    "held": _plain(budget.held),
                    "amount": _plain(request.amount),
                    "workspace": budget.workspace,
                },
                retry_at=money.period_ends_at,
            )


def _unpaid(
    _request: Request, _limits: Limits, _load: Load, money: MoneyState
) -> Iterator[Deferred | Refused]:
    if money.unpaid > 0:
        yield Refused(
            rule="unpaid",
            code="unpaid_above_hold",
            detail=f"Jobs cost {_plain(money.unpaid)} more than was held for them, and the plan"
            " admits no further job before that is on a finalised statement.",
            numbers={"unpaid": _plain(money.unpaid)},
            retry_at=money.period_ends_at,
        )


def _credit(
    request: Request, _limits: Limits, _load: Load, money: MoneyState
) -> Iterator[Deferred | Refused]:
    for unit, asked in request.credit.items():
        free = money.credit.get(unit, _ZERO)
        if asked > free:
            yield Refused(
                rule="credit",
                code="not_enough_credit",
                detail=f"This job needs {_plain(asked)} {unit}, and {_plain(free)} are available."
                " Buy credit and ask again.",
                numbers={"unit": unit, "amount": _plain(asked), "available": _plain(free)},
            )


_Rules = Callable[[Request, Limits, Load, MoneyState], Iterator[Deferred | Refused]]
_RULES: Final[Sequence[_Rules]] = (
    _features, _service_class, _concurrent, _per_hour, _per_day, _spend_per_day, _allowances,
    _budgets, _unpaid, _credit,
)  # fmt: skip


def _limits(limits: Limits, kind: LimitKind, job_class: str) -> Iterable[Limit]:
    return (one for one in limits.limits if one.kind == kind and one.job_class == job_class)


def _count(counts: Mapping[str, int], job_class: str) -> int:
    return counts.get(job_class, 0) if job_class else sum(counts.values())


def _jobs(job_class: str) -> str:
    return f"jobs of the class “{job_class}”" if job_class else "jobs"


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
