"""Rate what customers have spent so far, and let go of the holds that stood for it.

A reading is of one instant: it holds the usage of just those settled jobs that it sees settled.
Their holds end in the transaction that writes the amounts, and no others do. So *spent + held*
never falls below what is owed, and nothing is counted twice for a moment either.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.db import transaction

from billing.locks import lock_spend
from billing.models import Spend
from billing.spend.holds import Released, release_holds, settled_jobs
from billing.spend.pending import hold_again
from billing.spend.periods import running_periods
from billing.spend.storing import store_spend
from billing.spend.values import Spent, running_segments, spent_of, usage_text
from billing.statements.build import build
from billing.statements.facts import Loaded, Period, load_facts
from billing.statements.preview import NoSubscription
from billing.statements.values import Facts
from plans import rating
from plans.clock import clocks_of
from plans.models import Customer
from plans.overrides import TermsBook
from plans.rating.money import EXACT, minus
from usage.arrivals import first_usage_ahead
from usage.horizon import one_snapshot, transactions_seen
from usage.job_quantities import read, stored, without

UNPRICED = "unpriced_usage"
# A test clock stands still: what was used at its very time has been used.
_INSTANT = timedelta(microseconds=1)


class Problem(NamedTuple):
    """Why a customer's spend could not be rated, or what its rating leaves out."""

    code: str
    message: str


class RatedSpend(NamedTuple):
    """One customer's period so far, as a reading found it.

    ``seen`` tells readings apart by age, ``settled`` are the jobs whose usage is in. ``ahead_at``
    is when usage is that was stored and is not in, because it lies ahead.
    """

    period: Period
    spent: Spent
    usage: str
    horizon: int
    seen: int
    settled: tuple[int, ...]
    ahead_at: datetime | None
    note: Problem | None


@dataclass(slots=True)
class SpendReport:
    """What a rating did: who was rated, whose could not be and why, how many holds ended."""

    rated: list[int] = field(default_factory=list)
    problems: dict[int, Problem] = field(default_factory=dict)
    holds_ended: int = 0

    def add(self, other: "SpendReport") -> None:
        """Add what another rating did."""
        self.rated += other.rated
        self.problems |= other.problems
        self.holds_ended += other.holds_ended


def rate_spend(*, customer_ids: Collection[int], now: datetime) -> SpendReport:
    """Rate the customers' running periods as far as usage has come, in a fixed number of queries.

    By the road of a statement: facts, build. Writes ``Spend``, and in the same transaction ends
    the holds of the jobs that the reading knows. Where usage cannot be priced the row says why and
    keeps its amounts and holds. What a later reading wrote stays. Customers to test with are each
    rated at their own time. No transaction may be open: it would hold back the horizon, and what is
    read would not be of one instant.
    """
    clocks = clocks_of(customer_ids)
    report = _rate([each for each in customer_ids if each not in clocks], now=now)
    for customer_id, at in clocks.items():
        report.add(_rate([customer_id], now=at + _INSTANT))
    return report


def _rate(customer_ids: Collection[int], *, now: datetime) -> SpendReport:
    if not customer_ids:
        return SpendReport()
    rated, problems = _read(customer_ids, now=now)
    return _write(rated, problems, now=now)


def read_spend(row: Spend, *, now: datetime) -> None:
    """Put what a customer's period comes to now into its row, and store nothing."""
    rated, problems = _read([row.pk], now=now)
    for one in rated.values():
        _take_up(row, one, now=now)
    for problem in problems.values():
        _note(row, problem, now=now)


def note_problem(customer_id: int, problem: Problem, *, now: datetime) -> SpendReport:
    """Say on a customer's row why it could not be rated; its amounts and holds stay."""
    return _write({}, {customer_id: problem}, now=now)


def _read(
    customer_ids: Collection[int], *, now: datetime
) -> tuple[dict[int, RatedSpend], dict[int, Problem]]:
    with one_snapshot():
        periods = running_periods(customer_ids=customer_ids, now=now)
        loaded = load_facts(list(periods.values()), usage_until=now)
        rated, problems = _rated(loaded, periods=periods, now=now)
    for customer_id in set(customer_ids) - periods.keys():
        message = f"There is no subscription at {now:%Y-%m-%d %H:%M} UTC."
        problems[customer_id] = Problem(NoSubscription.code, message)
    return rated, problems


def _rated(
    loaded: Loaded, *, periods: Mapping[int, Period], now: datetime
) -> tuple[dict[int, RatedSpend], dict[int, Problem]]:
    book = TermsBook(loaded.terms, loaded.agreed)
    terms, agreed = book.terms, book.agreed
    ahead = first_usage_ahead(customer_ids=periods, of=now)
    settled, seen = settled_jobs(customer_ids=periods, until=now), transactions_seen()
    rated: dict[int, RatedSpend] = {}
    problems = {
        customer_id: Problem(error.code, str(error)) for customer_id, error in loaded.errors.items()
    }
    for customer_id, facts in loaded.facts.items():
        try:
            draft = build(facts, terms=terms, agreed=agreed, strict=False)
        except rating.RatingError as error:
            problems[customer_id] = Problem(error.code, str(error))
            continue
        rated[customer_id] = RatedSpend(
            period=periods[customer_id],
            spent=spent_of(facts, draft),
            usage=usage_text(running_segments(facts, at=now)),
            horizon=loaded.horizon,
            seen=seen,
            settled=tuple(settled.get(customer_id, ())),
            ahead_at=ahead.get(customer_id),
            note=_unpriced(facts),
        )
    return rated, problems


def _unpriced(facts: Facts) -> Problem | None:
    if not facts.unpriced:
        return None
    meters = ", ".join(key for key, _ in facts.unpriced)
    return Problem(UNPRICED, f"The plan does not price {meters}, so it is not in the amount.")


def _write(
    rated: Mapping[int, RatedSpend], problems: dict[int, Problem], *, now: datetime
) -> SpendReport:
    with transaction.atomic():
        rows = lock_spend(customer_ids=[*rated, *problems])
        newer = {key for key, one in rated.items() if rows[key].seen > one.seen}
        found = {key: one for key, one in rated.items() if key not in newer}
        known = [job_id for one in found.values() for job_id in one.settled]
        released = release_holds(job_ids=known, now=now)
        _take_off(rows, released)
        for customer_id, one in found.items():
            _take_up(rows[customer_id], one, now=now)
            hold_again(rows[customer_id], customer=_customer(one.period), at=now)
        for customer_id, problem in problems.items():
            _note(rows[customer_id], problem, now=now)
        store_spend([rows[key] for key in (*found, *problems)])
    return SpendReport(rated=list(rated), problems=problems, holds_ended=len(released))


def _take_off(rows: Mapping[int, Spend], released: Iterable[Released]) -> None:
    for job in released:
        row = rows[job.customer_id]
        gone = read(json.loads(job.quantities))
        row.pending = stored(without(read(row.pending), gone))
        held = minus(Decimal(row.held_by_workspace.get(job.workspace, "0")), job.held)
        row.held_by_workspace[job.workspace] = f"{EXACT.normalize(held):f}"
        if held <= 0:
            del row.held_by_workspace[job.workspace]


def _customer(period: Period) -> Customer:
    """Return a period's customer as pricing asks for it, without another query."""
    return Customer(
        id=period.customer_id,
        key=period.customer_key,
        name=period.customer_key,
        currency=period.currency,
        time_zone=period.zone,
    )


def _take_up(row: Spend, one: RatedSpend, *, now: datetime) -> None:
    _begin_day(row, one, now=now)
    row.period_start, row.period_end = one.period.start, one.period.end
    row.spent, row.usage_spent = one.spent.spent, one.spent.usage_spent
    row.by_workspace = {key: str(amount) for key, amount in one.spent.by_workspace.items()}
    row.usage, row.rated_at = one.usage, now
    row.horizon, row.seen = one.horizon, one.seen
    row.ahead_at = one.ahead_at
    row.problem_code, row.problem = one.note or ("", "")


def _begin_day(row: Spend, one: RatedSpend, *, now: datetime) -> None:
    """Keep what the period had come to when the day began; fees that are due at once are no day's.

    Periods begin with a local day.
    """
    zone = one.period.zone
    today = rating.local_midnight(now.astimezone(ZoneInfo(zone)).date(), zone=zone)
    if row.period_start != one.period.start:
        row.day_spent_before = minus(one.spent.spent, one.spent.usage_spent)
        if row.day_start is not None and row.day_start < today:
            row.day_jobs = {}
        row.day_start = today
    elif row.day_start is None or row.day_start < today:
        row.day_start, row.day_jobs, row.day_spent_before = today, {}, row.spent


def _note(row: Spend, problem: Problem, *, now: datetime) -> None:
    row.problem_code, row.problem = problem
    row.rated_at = now
