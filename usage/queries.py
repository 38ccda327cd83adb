"""What was used: the one place that reads quantities. Callers do not care where a number lies.

Rollups hold every event stored before the horizon; the events stored since are added from the
event table, and so are the hours by which a window does not begin or end at the customer's
midnight. All of it is one statement, so that it is one snapshot.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection, transaction

from plans.models.meters import Aggregation
from plans.rating.money import ZERO, plus
from usage import reading_sql, sql
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
    "Difference",
    "EventCursor",
    "EventSearch",
    "EventsPage",
    "FoundEvent",
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
    for _ in range(_ATTEMPTS):
        found = _read_at_once(windows)
        if found is not None:
            return found
    # Rollups run without a pause: let them wait for this reading.
    with transaction.atomic():
        hold_rollup_state()
        found = _read_at_once(windows)
    if found is None:
        raise ReadingKeepsMoving("A meter is being changed. Try again in a moment.")
    return found


def _read_at_once(windows: Sequence[Window]) -> UsageRead | None:
    """Read in one statement; None where the rollups or meters changed just before it.

    The statement is written for the horizon and the meters that were known before, and says
    itself what it saw of them.
    """
    known = _load_known()
    statement, parameters = reading_sql.usage(known, windows=_columns(windows))
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows = cursor.fetchall()
    horizon, token = rows[0][:2]
    if token != known.token:
        return None
    found = [row[2:] for row in rows if row[2] is not None]
    return UsageRead(_readings(found, known.meters), horizon)


def _load_known() -> Known:
    with connection.cursor() as cursor:
        cursor.execute(reading_sql.KNOWN)
        horizon, meters, token = cursor.fetchone()
    return Known(load_meters(), json.loads(meters), horizon, token)


def _columns(windows: Iterable[Window]) -> list[str]:
    """Return the windows as array literals, column by column; those without an instant left out.

    The planner counts the elements of a literal, and so plans for many windows or for one.
    """
    rows = [window for window in windows if window.start < window.end]
    return [
        "{" + ",".join(str(row.ref) for row in rows) + "}",
        "{" + ",".join(str(row.customer_id) for row in rows) + "}",
        "{" + ",".join(row.start.isoformat() for row in rows) + "}",
        "{" + ",".join(row.end.isoformat() for row in rows) + "}",
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
    return json.dumps(
        [
            {"r": ref, "c": customer_id, "s": str(start), "e": str(end), "h": horizon}
            for ref, customer_id, start, end, horizon in spans
        ]
    )


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
