"""What was used: the one place that reads quantities. Callers do not care where a number lies.

Rollups hold every event stored before the horizon; the events stored since are added from the
event table, and so are the hours by which a window does not begin or end at the customer's
midnight. All of it is one statement, so that it is one snapshot.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple


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


def read_usage(windows: Sequence[Window]) -> UsageRead:
    """Read all meters over all windows in a fixed number of queries."""
    raise NotImplementedError


def read_transactions(
    windows: Sequence[Window], *, meter_ids: Sequence[int]
) -> dict[tuple[int, int], tuple[Decimal, ...]]:
    """Return each event's value in the order of time by (window reference, meter id)."""
    raise NotImplementedError


class Span(NamedTuple):
    """A span of a customer's time that was read at ``horizon``, under the caller's reference."""

    ref: int
    customer_id: int
    start: datetime
    end: datetime
    horizon: int


def touched_since(spans: Sequence[Span]) -> set[int]:
    """Return the references of the spans for which events were stored after they were read.

    May name a span that was in truth read whole (an event stored while it was read), never miss one.
    """
    raise NotImplementedError
