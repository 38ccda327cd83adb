"""Keep the rollups: what each meter of each customer came to on each of its days.

The horizon makes it exact. A run takes the events of the transactions from the last horizon up to
the oldest one that still runs, and moves the horizon in the same transaction: no event is counted
twice or left out, whatever order its numbers become visible in, and however often a run dies.
"""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction

from usage.horizon import current_horizon
from usage.locks import lock_rollup_state
from usage.meters import (
    HIGHEST,
    LEVELS,
    ROLLED,
    MeterSpec,
    load_meters,
    metered_events,
    meters_json,
)
from usage.models import RollupState

EVENTS_PER_STEP = 500_000


class RollupsOutOfStep(Exception):
    """The rollups count transactions that this database cluster has not begun yet."""

    code = "rollups_out_of_step"


class RollReport(NamedTuple):
    """What a run did: rollup rows written, the new horizon, and whether that is all there was."""

    rows: int
    horizon: int
    is_caught_up: bool


def roll_up(
    *, now: datetime, seconds_max: float = 600, events_per_step: int = EVENTS_PER_STEP
) -> RollReport:
    """Bring the rollups up to date, in steps of bounded size, for at most `seconds_max`.

    A meter that is new or was changed is first computed over all its history.
    Raises RollupsOutOfStep.
    """
    deadline = time.monotonic() + seconds_max
    rows = 0
    while True:
        step = _roll_step(now=now, events_max=events_per_step)
        rows += step.rows
        if step.is_caught_up or time.monotonic() > deadline:
            return step._replace(rows=rows)


def rebuild_rollups(
    *, now: datetime, meter_ids: Sequence[int] | None = None, seconds_max: float = 600
) -> RollReport:
    """Compute the rollups of these meters (of all) anew from the events.

    From the moment it begins, readings take those meters from the events, so they are exact
    throughout.
    """
    with transaction.atomic():
        state = lock_rollup_state()
        if meter_ids is None:
            state.meters = {}
            state.horizon = min(state.horizon, current_horizon())
        for meter_id in meter_ids or ():
            state.meters.pop(str(meter_id), None)
            _drop([meter_id])
        state.save(update_fields=["meters", "horizon"])
    return roll_up(now=now, seconds_max=seconds_max)


def _roll_step(*, now: datetime, events_max: int) -> RollReport:
    with transaction.atomic():
        state = lock_rollup_state()
        end = current_horizon()
        if state.horizon > end:
            raise RollupsOutOfStep(
                "The rollups are ahead of this database cluster's transactions: it was reset or "
                "replaced. Run “manage.py rebuild_rollups”."
            )
        _tune()
        meters = [meter for meter in load_meters() if meter.aggregation in ROLLED]
        rows = _follow_meters(state, meters)
        bound = _bound(start=state.horizon, end=end, events_max=events_max)
        rows += _add(meters, start=state.horizon, end=bound)
        state.horizon = bound
        if bound == end:
            state.rolled_at = now
        state.save(update_fields=["meters", "horizon", "rolled_at"])
    return RollReport(rows, bound, bound == end)


def _tune() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '192MB'")


def _follow_meters(state: RollupState, meters: Sequence[MeterSpec]) -> int:
    """Drop the rollups of meters that changed or are gone, and compute the changed and the new."""
    wanted = {str(meter.id): meter.fingerprint for meter in meters}
    if state.meters == wanted:
        return 0
    if state.meters:
        _drop([int(key) for key, known in state.meters.items() if wanted.get(key) != known])
    else:
        _drop_all()
    fresh = [meter for meter in meters if state.meters.get(str(meter.id)) != meter.fingerprint]
    state.meters = wanted
    return _add(fresh, start=None, end=state.horizon)


def _drop(meter_ids: Sequence[int]) -> None:
    if meter_ids:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM usage_rollup WHERE meter_id = ANY(%s)", [list(meter_ids)])


def _drop_all() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM usage_rollup")


def _bound(*, start: int, end: int, events_max: int) -> int:
    """Return where a step ends that begins at `start`: transactions are taken whole."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT xid FROM usage_event WHERE xid >= %s AND xid < %s"
            " ORDER BY xid OFFSET %s LIMIT 1",
            [start, end, events_max],
        )
        row = cursor.fetchone()
    return row[0] + 1 if row else end


def _add(meters: Sequence[MeterSpec], *, start: int | None, end: int) -> int:
    """Add the events stored in `[start, end)` to the rollups of these meters; return the rows."""
    totals = [meter for meter in meters if meter.aggregation not in LEVELS]
    levels = [meter for meter in meters if meter.aggregation in LEVELS]
    rows = 0
    if totals:
        rows += _execute(_totals_sql(totals, start=start), totals, start=start, end=end)
    if levels:
        rows += _execute(_levels_sql(levels, start=start), levels, start=start, end=end)
    return rows


def _execute(statement: str, meters: Sequence[MeterSpec], *, start: int | None, end: int) -> int:
    bounds = [end] if start is None else [start, end]
    with connection.cursor() as cursor:
        cursor.execute(statement, [meters_json(meters), *bounds])
        return int(cursor.rowcount)


_INTO = """
INSERT INTO usage_rollup AS u
    (customer_id, day, meter_id, workspace_id, dimensions, quantity, latest_at, events)"""
_CONFLICT = "ON CONFLICT (customer_id, day, meter_id, workspace_id, dimensions) DO UPDATE"


def _metered(meters: Sequence[MeterSpec], *, start: int | None) -> str:
    return metered_events(
        meters=meters,
        columns='e.customer_id, e.workspace_id, e."time" AS at',
        source="usage_event e JOIN plans_customer c ON c.id = e.customer_id",
        where="e.xid < %s" if start is None else "e.xid >= %s AND e.xid < %s",
        day='(e."time" AT TIME ZONE c.time_zone)::date',
    )


def _totals_sql(meters: Sequence[MeterSpec], *, start: int | None) -> str:
    highest = [meter.id for meter in meters if meter.aggregation in HIGHEST]
    total, joined = "sum(quantity)", "u.quantity + excluded.quantity"
    if highest:
        # Ids come from our own table; written out, the planner folds them.
        of = f"= ANY ('{{{','.join(map(str, highest))}}}'::bigint[])"
        total = f"CASE WHEN meter_id {of} THEN max(quantity) ELSE sum(quantity) END"
        joined = (
            f"CASE WHEN u.meter_id {of} THEN greatest(u.quantity, excluded.quantity)"
            " ELSE u.quantity + excluded.quantity END"
        )
    return f"""{_INTO}
SELECT customer_id, day, meter_id, workspace_id, dimensions, trim_scale({total}), NULL, count(*)
FROM ({_metered(meters, start=start)}) AS metered
GROUP BY customer_id, day, meter_id, workspace_id, dimensions
ORDER BY customer_id, day, meter_id
{_CONFLICT} SET quantity = {joined}, events = u.events + excluded.events
"""  # noqa: S608


def _levels_sql(meters: Sequence[MeterSpec], *, start: int | None) -> str:
    return f"""{_INTO}
SELECT customer_id, day, meter_id, workspace_id, dimensions,
    trim_scale((array_agg(quantity ORDER BY at DESC, quantity DESC))[1]), max(at), count(*)
FROM ({_metered(meters, start=start)}) AS metered
GROUP BY customer_id, day, meter_id, workspace_id, dimensions
ORDER BY customer_id, day, meter_id
{_CONFLICT} SET events = u.events + excluded.events,
    latest_at = greatest(u.latest_at, excluded.latest_at),
    quantity = CASE WHEN (excluded.latest_at, excluded.quantity) > (u.latest_at, u.quantity)
        THEN excluded.quantity ELSE u.quantity END
"""  # noqa: S608
