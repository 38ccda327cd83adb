"""Find the periods that have ended and open a statement for each, as rows that are due."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection

from billing.locks import Scope
from plans import rating
from plans.arrays import array

DRAFT_HOUR = 2
CUSTOMERS_PER_PAGE = 5_000
PERIODS_MAX = 120


class Cycle(NamedTuple):
    """One subscription as far as the calendar of its customer's statements is concerned."""

    customer_id: int
    starts_at: datetime
    ends_at: datetime | None
    anchor: date | None
    zone: str
    currency: str
    grace_hours: int
    billed_until: datetime | None
    clock_at: datetime | None = None


class Opening(NamedTuple):
    """A statement to open."""

    customer_id: int
    start: datetime
    end: datetime
    currency: str
    draft_due_at: datetime
    finalise_due_at: datetime


def open_statements(*, until: datetime, scope: Scope) -> int:
    """Open a statement for every period that ended by ``until``; return how many are new.

    Works through the customers in pages; opening twice, or at the same time, opens nothing twice.
    """
    opened, after = 0, 0
    while cycles := _cycles(after=after, until=until, scope=scope):
        after = cycles[-1].customer_id
        openings = [
            opening
            for _, group in groupby(cycles, key=lambda cycle: cycle.customer_id)
            for opening in due_periods(list(group), until=until)
        ]
        opened += _insert(openings)
    if opened > CUSTOMERS_PER_PAGE // 5:
        _take_stock()
    return opened


def _take_stock() -> None:
    """Let the planner know of many new rows now; it would find out minutes later by itself."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE billing_statement")


def due_periods(cycles: Sequence[Cycle], *, until: datetime) -> Iterator[Opening]:
    """Yield the periods of one customer that have ended and have no statement, oldest first.

    ``cycles`` are its subscriptions in the order of time. Two that share an anchor share a period;
    a change of anchor ends a period early, so that no time is billed twice or left out. A test
    clock bounds what has ended. At most ``PERIODS_MAX`` are yielded at a time.
    """
    until = min(until, cycles[0].clock_at or until)
    reached = cycles[0].billed_until
    yielded = 0
    for index, cycle in enumerate(cycles):
        following = cycles[index + 1] if index + 1 < len(cycles) else None
        cursor = cycle.starts_at if reached is None else max(cycle.starts_at, reached)
        while cycle.ends_at is None or cursor < cycle.ends_at:
            period = rating.billing_period(anchor=cycle.anchor, zone=cycle.zone, at=cursor)
            start = period.start if reached is None else max(period.start, reached)
            end = _early_end(cycle, following, period.end)
            if end > until or yielded == PERIODS_MAX:
                return
            yield _opening(cycle, start, end)
            yielded += 1
            reached = cursor = end


def _early_end(cycle: Cycle, following: Cycle | None, end: datetime) -> datetime:
    """Return where the period ends: where the next subscription counts its months otherwise."""
    changes = following is not None and following.anchor != cycle.anchor
    if changes and following is not None and following.starts_at < end:
        return following.starts_at
    return end


def _opening(cycle: Cycle, start: datetime, end: datetime) -> Opening:
    return Opening(
        customer_id=cycle.customer_id,
        start=start,
        end=end,
        currency=cycle.currency,
        draft_due_at=draft_due(end, zone=cycle.zone),
        finalise_due_at=end + timedelta(hours=cycle.grace_hours),
    )


def draft_due(end: datetime, *, zone: str) -> datetime:
    """Return the first 02:00 in the customer's zone that is not before the period's end."""
    local = end.astimezone(ZoneInfo(zone))
    due = local.replace(hour=DRAFT_HOUR, minute=0, second=0, microsecond=0)
    if due < local:
        due += timedelta(days=1)
    return due


def _cycles(*, after: int, until: datetime, scope: Scope) -> list[Cycle]:
    """Return a page of customers' subscriptions that may have a period to open."""
    with connection.cursor() as cursor:
        cursor.execute(
            """WITH page AS (
                   SELECT c.id, c.time_zone, c.currency, c.grace_hours, c.clock_at,
                          (SELECT max(period_end) FROM billing_statement b
                           WHERE b.customer_id = c.id) AS billed_until
                   FROM plans_customer c
                   WHERE c.id > %(after)s AND (%(ids)s::bigint[] IS NULL OR c.id = ANY(%(ids)s))
                     AND EXISTS (SELECT FROM plans_subscription s
                                 WHERE s.customer_id = c.id AND s.starts_at < %(until)s)
                   ORDER BY c.id LIMIT %(limit)s)
               SELECT p.id, s.starts_at, s.ends_at, s.anchor_date, p.time_zone, p.currency,
                      p.grace_hours, p.billed_until, p.clock_at
               FROM page p JOIN plans_subscription s ON s.customer_id = p.id
               WHERE s.starts_at < %(until)s
               ORDER BY p.id, s.starts_at""",
            {
                "after": after,
                "until": until,
                "ids": None if scope.customer_ids is None else list(scope.customer_ids),
                "limit": CUSTOMERS_PER_PAGE,
            },
        )
        return [Cycle(*row) for row in cursor.fetchall()]


def _insert(openings: Iterable[Opening]) -> int:
    listed = list(openings)
    if not listed:
        return 0
    customers, starts, ends, currencies, drafts, finals = zip(*listed, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO billing_statement (customer_id, period_start, period_end, currency,
                   draft_due_at, finalise_due_at, status, total, adjustments_total, line_count,
                   facts, lines_hash, horizon, previous_hash, content_hash, parked_code,
                   parked_reason)
               SELECT o.*, 'due', 0, 0, 0, '', '', 0, '', '', '', ''
               FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::text[],
                           %s::timestamptz[], %s::timestamptz[]) AS o
               ON CONFLICT DO NOTHING""",
            [
                array(customers),
                array(starts),
                array(ends),
                list(currencies),
                array(drafts),
                array(finals),
            ],
        )
        return int(cursor.rowcount)
