"""Whom a dry run looks at: the subscribers of a plan, and the periods that closing would open."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from django.db import connection

from billing.dry_runs.months import Months
from billing.statements.opening import PERIODS_MAX, Cycle, Opening, due_periods


class Sample(NamedTuple):
    """The subscribers of a plan, all or those with the keys, in some months.

    ``ended_by`` is when the dry run was asked for: periods that had not ended then are left out.
    """

    plan_id: int
    customer_keys: tuple[str, ...]
    months: Months
    ended_by: datetime


class Tested(NamedTuple):
    """A customer of the sample and its periods in the months; none where it has no such period."""

    customer_id: int
    key: str
    currency: str
    zone: str
    periods: tuple[Opening, ...]


class _Row(NamedTuple):
    """A subscription of a customer of the sample."""

    key: str
    is_of_plan: bool
    cycle: Cycle


_CANDIDATES = """
FROM plans_customer c
WHERE (%(keys)s::text[] = '{}' OR c.key = ANY(%(keys)s)) AND c.id > %(after)s
  AND EXISTS (SELECT FROM plans_subscription s WHERE s.customer_id = c.id AND s.plan_id = %(plan)s
              AND s.starts_at < %(until)s AND (s.ends_at IS NULL OR s.ends_at > %(since)s))
"""

_PAGE = f"""
WITH page AS (
    SELECT c.id, c.key, c.time_zone, c.currency, c.grace_hours,
           (SELECT max(period_end) FROM billing_statement b
            WHERE b.customer_id = c.id AND b.period_end <= %(first_end)s) AS billed_until
    {_CANDIDATES} ORDER BY c.id LIMIT %(limit)s)
SELECT p.key, s.plan_id = %(plan)s, p.id, s.starts_at, s.ends_at, s.anchor_date, p.time_zone,
       p.currency, p.grace_hours, p.billed_until
FROM page p JOIN plans_subscription s ON s.customer_id = p.id
WHERE s.starts_at < %(until)s
ORDER BY p.id, s.starts_at
"""  # noqa: S608 - both parts are constants


def count_candidates(sample: Sample) -> int:
    """Return about how many customers the sample has: a few may turn out to have no period."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) {_CANDIDATES}", _values(sample, after=0, limit=0))
        (count,) = cursor.fetchone()
        return int(count)


def subscribed_keys(sample: Sample) -> set[str]:
    """Return the keys of the sample's customers."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT c.key {_CANDIDATES}", _values(sample, after=0, limit=0))
        return {key for (key,) in cursor.fetchall()}


def tested_after(sample: Sample, *, after: int, limit: int) -> list[Tested]:
    """Return the next customers of the sample beyond an id, in the order of ids, with periods."""
    with connection.cursor() as cursor:
        cursor.execute(_PAGE, _values(sample, after=after, limit=limit))
        rows = [_Row(key, is_of_plan, Cycle(*rest)) for key, is_of_plan, *rest in cursor.fetchall()]
    return [
        _tested(list(group), sample=sample)
        for _, group in groupby(rows, key=lambda row: row.cycle.customer_id)
    ]


def _values(sample: Sample, *, after: int, limit: int) -> dict[str, Any]:
    return {
        "plan": sample.plan_id,
        "keys": list(sample.customer_keys),
        "since": sample.months.earliest,
        "first_end": sample.months.first_end,
        "until": min(sample.months.latest, sample.ended_by),
        "after": after,
        "limit": limit,
    }


def _tested(rows: Sequence[_Row], *, sample: Sample) -> Tested:
    of_customer = rows[0].cycle
    until = min(sample.months.latest, sample.ended_by)
    periods = tuple(
        period
        for period in _periods([row.cycle for row in rows], until=until)
        if sample.months.hold(period.end, zone=of_customer.zone)
    )
    is_on_plan = any(row.is_of_plan and _shares_time(row.cycle, periods) for row in rows)
    return Tested(
        customer_id=of_customer.customer_id,
        key=rows[0].key,
        currency=of_customer.currency,
        zone=of_customer.zone,
        periods=periods if is_on_plan else (),
    )


def _periods(cycles: Sequence[Cycle], *, until: datetime) -> Iterator[Opening]:
    """Yield what closing would open, also where that is more than it opens at a time."""
    while True:
        found = list(due_periods(cycles, until=until))
        yield from found
        if len(found) < PERIODS_MAX:
            return
        cycles = [cycle._replace(billed_until=found[-1].end) for cycle in cycles]


def _shares_time(cycle: Cycle, periods: Sequence[Opening]) -> bool:
    return any(
        cycle.starts_at < period.end and (cycle.ends_at is None or cycle.ends_at > period.start)
        for period in periods
    )
