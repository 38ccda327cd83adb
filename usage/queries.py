"""What was used: the one place that reads quantities. Callers do not care where a number lies.

Rollups hold every event stored before the horizon; the events stored since are added from the
event table, and so are the hours by which a window does not begin or end at the customer's
midnight. All of it is one statement, so that it is one snapshot.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

import msgspec
from django.db import connection, transaction

from plans.arrays import array
from plans.models.meters import Aggregation
from plans.rating import local_midnight
from plans.rating.money import ZERO, plus
from usage import reading_sql, sql
from usage.late_starts import LateJob, read_late_jobs
from usage.listing import CountedEvent, EventCursor, EventsPage, events_page
from usage.locks import hold_rollup_state
from usage.meters import HIGHEST, MeterSpec, load_meters
from usage.reading_sql import Known
from usage.searching import (
    EventSearch,
    FoundEvent,
    SearchTooWide,
    estimate_events,
    find_events,
)
from usage.verifying import Difference, verify_rollups

__all__ = [
    "CountedEvent",
    "DayWindow",
    "Difference",
    "EventCursor",
    "EventSearch",
    "EventsPage",
    "FoundEvent",
    "LateJob",
    "Reading",
    "ReadingKeepsMoving",
    "SearchTooWide",
    "Span",
    "UsageRead",
    "Waiting",
    "Window",
    "estimate_events",
    "events_page",
    "find_events",
    "read_day_levels",
    "read_late_jobs",
    "read_transactions",
    "read_usage",
    "touched_since",
    "verify_rollups",
    "waiting_quarantine",
]


class Window(NamedTuple):
    """A span ``[start, end)`` of one customer's usage, under the caller's own reference."""

    ref: int
    customer_id: int
    start: datetime
    end: datetime


class Reading(NamedTuple):
    """One meter over one window.

    ``cells``: quantity by the values of the meter's dimensions, in the meter's order, sorted.
    ``workspaces``: the share of each workspace id (None: the customer itself), sorted; for a
    meter that takes a maximum or counts unique values the shares need not add up to the whole.
    """

    cells: tuple[tuple[tuple[str, ...], Decimal], ...]
    workspaces: tuple[tuple[int | None, Decimal], ...]


class UsageRead(NamedTuple):
    """Readings by window reference and meter id, and the horizon at which they were read."""

    readings: dict[int, dict[int, Reading]]
    horizon: int


class DayWindow(NamedTuple):
    """So many local days of one customer from ``first`` on, under the caller's own reference."""

    ref: int
    customer_id: int
    zone: str
    first: date
    days: int


class Span(NamedTuple):
    """A span of a customer's time that was read at ``horizon``, under the caller's reference."""

    ref: int
    customer_id: int
    start: datetime
    end: datetime
    horizon: int


class ReadingKeepsMoving(Exception):
    """The meters changed under every attempt to read; try again."""

    code = "reading_keeps_moving"
    http_status = 503


_ATTEMPTS = 3
_FEW = 50_000
_Row = tuple[int, int, int | None, list[str], Decimal, str]


def read_usage(windows: Sequence[Window]) -> UsageRead:
    """Read all meters over all windows in a fixed number of queries.

    A level (`time_weighted`) is weighed up to the window's end, also where that lies ahead: end a
    window of a running period at the present. Raises ReadingKeepsMoving.
    """
    return _steadily(lambda: _read_at_once(windows))


_T = TypeVar("_T")


def _steadily(read: Callable[[], _T | None]) -> _T:
    """Return what ``read`` does, which is None where the rollups or meters changed under it."""
    for _ in range(_ATTEMPTS):
        found = read()
        if found is not None:
            return found
    # Rollups run without a pause: let them wait for this reading.
    with transaction.atomic():
        hold_rollup_state()
        found = read()
    if found is None:
        raise ReadingKeepsMoving("A meter is being changed. Try again in a moment.")
    return found


def _read_at_once(windows: Sequence[Window]) -> UsageRead | None:
    """Read in one statement; None where the rollups or meters changed just before it."""
    known = _load_known()
    statement, parameters = reading_sql.usage(known, windows=_columns(windows))
    rows = _rows_at(known, statement, parameters)
    if rows is None:
        return None
    found = [row[2:] for row in rows if row[2] is not None]
    return UsageRead(_readings(found, known.meters), rows[0][0])


def _rows_at(known: Known, statement: str, parameters: Sequence[Any]) -> list[Any] | None:
    """Return a statement's rows; None where what it saw is not what it was written for.

    The statement is written for the horizon and the meters that were known before, and says
    itself what it saw of them.
    """
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows = cursor.fetchall()
    return rows if rows[0][1] == known.token else None


def _load_known() -> Known:
    with connection.cursor() as cursor:
        cursor.execute(reading_sql.KNOWN)
        horizon, meters, token = cursor.fetchone()
    return Known(load_meters(), json.loads(meters), horizon, token)


def _columns(windows: Iterable[Window]) -> list[str]:
    """Return the windows as array literals; those without an instant left out."""
    return _literals([window for window in windows if window.start < window.end])


def _literals(rows: Sequence[Window]) -> list[str]:
    """Return the windows as array literals, column by column."""
    return [
        array([row.ref for row in rows]),
        array([row.customer_id for row in rows]),
        array([row.start for row in rows]),
        array([row.end for row in rows]),
    ]


def _readings(rows: Iterable[_Row], meters: Sequence[MeterSpec]) -> dict[int, dict[int, Reading]]:
    parts: dict[tuple[int, int], list[_Row]] = defaultdict(list)
    for row in rows:
        parts[row[0], row[1]].append(row)
    highest = {meter.id for meter in meters if meter.aggregation in HIGHEST}
    readings: dict[int, dict[int, Reading]] = defaultdict(dict)
    for (ref, meter_id), found in parts.items():
        readings[ref][meter_id] = _reading(found, join=max if meter_id in highest else plus)
    return dict(readings)


def _reading(rows: Sequence[_Row], *, join: Callable[[Decimal, Decimal], Decimal]) -> Reading:
    """Bring together a meter's parts by dimensions and workspace.

    A part is marked `cell` or `workspace` where it is for one of them alone: unique values of the
    whole are not the sum of those of the workspaces.
    """
    if len(rows) == 1 and rows[0][5] is None:
        _, _, workspace, values, quantity, _ = rows[0]
        return Reading(((tuple(values), quantity),), ((workspace, quantity),))
    cells: dict[tuple[str, ...], Decimal] = {}
    workspaces: dict[int | None, Decimal] = {}
    for _, _, workspace, values, quantity, mark in rows:
        if mark != "workspace":
            key = tuple(values)
            cells[key] = join(cells[key], quantity) if key in cells else quantity
        if mark != "cell":
            workspaces[workspace] = plus(workspaces.get(workspace, ZERO), quantity)
    return Reading(
        tuple(sorted(cells.items())),
        tuple(sorted(workspaces.items(), key=lambda item: (item[0] is not None, item[0] or 0))),
    )


def read_transactions(
    windows: Sequence[Window], *, meter_ids: Sequence[int]
) -> dict[tuple[int, int], tuple[Decimal, ...]]:
    """Return each event's value in the order of time by (window reference, meter id)."""
    wanted = set(meter_ids)
    meters = [
        meter
        for meter in load_meters()
        if meter.id in wanted and meter.aggregation != Aggregation.UNIQUE_COUNT
    ]
    if not windows or not meters:
        return {}
    statement, parameters = reading_sql.transactions(meters, windows=_columns(windows))
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        values: dict[tuple[int, int], list[Decimal]] = defaultdict(list)
        for ref, meter_id, quantity in cursor.fetchall():
            values[ref, meter_id].append(quantity)
    return {key: tuple(found) for key, found in values.items()}


def read_day_levels(
    windows: Sequence[DayWindow], *, meter_ids: Collection[int], until: datetime | None = None
) -> dict[tuple[int, int], tuple[Decimal, ...]]:
    """Return the level at the end of each day by (window reference, meter id).

    For time-weighted meters: a level stands until the next, also from before the window, and those
    of workspaces and dimension values are added up. Events from ``until`` on are left out, and the
    level before is carried on to the window's end. A meter without any level there is left out.
    One statement, whatever the number of windows. Raises ReadingKeepsMoving.
    """
    wanted = [window for window in windows if window.days > 0]
    if not wanted or not meter_ids:
        return {}
    return _steadily(lambda: _day_levels_at_once(wanted, meter_ids=meter_ids, until=until))


def _day_levels_at_once(
    windows: Sequence[DayWindow], *, meter_ids: Collection[int], until: datetime | None
) -> dict[tuple[int, int], tuple[Decimal, ...]] | None:
    known = _load_known()
    spans = [_days_as_window(window, until=until) for window in windows]
    statement, parameters = reading_sql.day_levels(
        known, meter_ids=meter_ids, windows=_literals(spans)
    )
    rows = _rows_at(known, statement, parameters)
    if rows is None:
        return None
    found = [row[2:] for row in rows if row[2] is not None]
    return _levels_by_day(found, windows={window.ref: window for window in windows})


def _days_as_window(window: DayWindow, *, until: datetime | None) -> Window:
    start = local_midnight(window.first, zone=window.zone)
    end = local_midnight(window.first + timedelta(days=window.days), zone=window.zone)
    if until is not None:
        start, end = min(start, until), min(end, until)
    return Window(window.ref, window.customer_id, start, end)


_LevelRow = tuple[int, int, date | None, Decimal, int | None, list[str]]


def _levels_by_day(
    rows: Sequence[_LevelRow], *, windows: Mapping[int, DayWindow]
) -> dict[tuple[int, int], tuple[Decimal, ...]]:
    """Carry each series' levels forward day by day, and add the series up."""
    sums: dict[tuple[int, int], list[Decimal]] = {}
    for (ref, meter_id, _, _), series in groupby(rows, key=lambda row: (*row[:2], row[4], row[5])):
        window = windows[ref]
        days = sums.setdefault((ref, meter_id), [ZERO] * window.days)
        changes = [(_place(day, window), level) for _, _, day, level, _, _ in series]
        ends = [*(place for place, _ in changes[1:]), window.days]
        for (place, level), end in zip(changes, ends, strict=True):
            for index in range(place, end):
                days[index] = plus(days[index], level)
    return {key: tuple(days) for key, days in sums.items()}


def _place(day: date | None, window: DayWindow) -> int:
    """Return which day of the window a level is the last of; 0 for what was there before."""
    if day is None:
        return 0
    return min(max((day - window.first).days, 0), window.days)


def touched_since(spans: Sequence[Span]) -> set[int]:
    """Return the references of the spans for which events were stored after they were read.

    May name a span that was in truth read whole (an event stored while it was read), never miss
    one.
    """
    if not spans:
        return set()
    end = max(span.end for span in spans)
    values: dict[str, Any] = {
        "spans": _spans_json(spans),
        "horizon": min(span.horizon for span in spans),
        "start": min(span.start for span in spans),
        "bound": end.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0),
        "limit": _FEW + 1,
    }
    with connection.cursor() as cursor:
        cursor.execute(reading_sql.COUNT_SINCE, values)
        (since,) = cursor.fetchone()
        few = since <= _FEW
        cursor.execute(reading_sql.TOUCHED_FEW if few else reading_sql.TOUCHED_MANY, values)
        return {ref for (ref,) in cursor.fetchall()}


def _spans_json(spans: Iterable[Span]) -> str:
    content = [
        {"r": ref, "c": customer_id, "s": start.isoformat(), "e": end.isoformat(), "h": horizon}
        for ref, customer_id, start, end, horizon in spans
    ]
    return msgspec.json.encode(content).decode()


class Waiting(NamedTuple):
    """Events that wait in quarantine for one cause: the unknown subject or type, or a code."""

    code: str
    name: str
    events: int
    since: datetime


def waiting_quarantine(*, limit: int = 20) -> list[Waiting]:
    """Return what the quarantine waits for, the most events first."""
    with connection.cursor() as cursor:
        cursor.execute(sql.WAITING, [limit])
        return [Waiting(*row) for row in cursor.fetchall()]
