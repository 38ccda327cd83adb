"""The statements behind `usage.queries`, put together from what the meters in use need."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from plans.models.meters import Aggregation
from usage.meters import ROLLED, MeterSpec, metered_events, meters_json


class Known(NamedTuple):
    """What was known when a reading began: meters, their fingerprints in the rollups, horizon."""

    meters: list[MeterSpec]
    rolled: dict[str, str]
    horizon: int
    token: str


class Part(NamedTuple):
    """A piece of SQL with its parameters."""

    sql: str
    parameters: list[Any]


# Changes whenever the rollups, their horizon or any meter do.
_STATE_OF_THINGS = """md5(concat(
    (SELECT s::text FROM usage_rollupstate s),
    (SELECT string_agg(m::text, ',' ORDER BY m.id) FROM plans_meter m)))"""

KNOWN = f"""
SELECT coalesce(max(horizon), 0), coalesce(max(meters::text), '{{}}'), {_STATE_OF_THINGS}
FROM usage_rollupstate
"""  # noqa: S608

# A day is taken from the rollups where it lies in the window whole: `f` to `l`. Days are told by
# the events' own local date, never by computed midnights, which a clock change may double.
_WINDOWS = """
asked AS MATERIALIZED (
    SELECT w.r, w.c, w.s, w.e, c.time_zone AS tz,
        (w.s AT TIME ZONE c.time_zone)::date AS first,
        ((w.s - interval '1 us') AT TIME ZONE c.time_zone)::date AS before,
        ((w.e - interval '1 us') AT TIME ZONE c.time_zone)::date AS last,
        (w.e AT TIME ZONE c.time_zone)::date AS after
    FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[]) AS w (r, c, s, e)
    JOIN plans_customer c ON c.id = w.c
),
w AS MATERIALIZED (
    SELECT r, c, s, e, tz, before < first AS opens, after > last AS closes,
        first + (before >= first)::int AS f, last - (after <= last)::int AS l
    FROM asked
)"""

_EVENTS = """w JOIN usage_event e ON e.customer_id = w.c AND e."time" >= {start}
    AND e."time" < {end}"""
_LOCAL_DAY = '(e."time" AT TIME ZONE w.tz)::date'
# Longer than any day of any zone.
_DAY = "interval '50 hours'"
_OUT = "ref, meter_id, workspace_id, dimensions, quantity"


def usage(known: Known, *, windows: Sequence[str]) -> tuple[str, list[Any]]:
    """Return the statement of `read_usage`.

    Its rows are (horizon, token, ref, meter id, workspace id, dimensions, quantity, mark), where
    the part from ref on is null in the only row of a reading without usage.
    """
    rolled = [m for m in known.meters if known.rolled.get(str(m.id)) == m.fingerprint]
    rolled = [m for m in rolled if m.aggregation in ROLLED]
    fresh = [m for m in known.meters if m not in rolled]
    parts = [
        *_totals(rolled, fresh, known.horizon),
        *_latest(rolled, fresh, known.horizon),
        *_weighted(rolled, fresh, known.horizon),
        *_unique(fresh),
    ]
    found = "\nUNION ALL\n".join(part.sql for part in parts) or _NOTHING
    statement = f"""
WITH {_WINDOWS}
SELECT (SELECT usage_snapshot_horizon()), {_STATE_OF_THINGS}, found.*
FROM (SELECT) AS once LEFT JOIN ({found}) AS found ON true
"""  # noqa: S608
    return statement, [*windows, *(each for part in parts for each in part.parameters)]


_NOTHING = """SELECT NULL::bigint AS ref, NULL::bigint, NULL::bigint, NULL::text[], NULL::numeric,
    NULL::text WHERE false"""


def _only(meters: Sequence[MeterSpec], *aggregations: str) -> list[MeterSpec]:
    return [meter for meter in meters if meter.aggregation in aggregations]


def _of(meters: Sequence[MeterSpec]) -> str:
    """Write out ids, which come from our own table, so that the planner can fold them."""
    return f"= ANY ('{{{','.join(str(meter.id) for meter in meters)}}}'::bigint[])"


def _totals(rolled: Sequence[MeterSpec], fresh: Sequence[MeterSpec], horizon: int) -> list[Part]:
    """Counts, sums and maxima: the same rows, joined in another way."""
    kinds = (Aggregation.COUNT, Aggregation.SUM, Aggregation.MAX)
    rolled, fresh = _only(rolled, *kinds), _only(fresh, *kinds)
    if not rolled and not fresh:
        return []
    rows = _rows(rolled, fresh, horizon, with_time=False)
    highest = _only([*rolled, *fresh], Aggregation.MAX)
    total = "sum(quantity)"
    if highest:
        total = f"CASE WHEN meter_id {_of(highest)} THEN max(quantity) ELSE sum(quantity) END"
    return [
        Part(
            f"""SELECT ref, meter_id, workspace_id, dimensions, trim_scale({total}), NULL::text
FROM ({rows.sql}) AS totals GROUP BY ref, meter_id, workspace_id, dimensions""",  # noqa: S608
            rows.parameters,
        )
    ]


def _latest(rolled: Sequence[MeterSpec], fresh: Sequence[MeterSpec], horizon: int) -> list[Part]:
    rolled, fresh = _only(rolled, Aggregation.LATEST), _only(fresh, Aggregation.LATEST)
    if not rolled and not fresh:
        return []
    rows = _rows(rolled, fresh, horizon, with_time=True)
    return [
        Part(
            f"""SELECT * FROM (
    SELECT DISTINCT ON (ref, meter_id, workspace_id, dimensions)
        ref, meter_id, workspace_id, dimensions, trim_scale(quantity), NULL::text
    FROM ({rows.sql}) AS latest
    ORDER BY ref, meter_id, workspace_id, dimensions, at DESC, quantity DESC) AS one""",  # noqa: S608
            rows.parameters,
        )
    ]


def _rows(
    rolled: Sequence[MeterSpec], fresh: Sequence[MeterSpec], horizon: int, *, with_time: bool
) -> Part:
    """Return rollups of whole days, events since, events of part days; and all of `fresh`.

    The planner thinks of `BETWEEN` that it leaves hardly any row, and then sorts what it should
    hash: so the last day is compared as one of an array.
    """
    parts = []
    if rolled:
        at = ", u.latest_at AS at" if with_time else ""
        parts.append(
            Part(
                f"""SELECT w.r AS ref, u.meter_id, u.workspace_id, u.dimensions, u.quantity{at}
FROM w CROSS JOIN LATERAL (
    SELECT * FROM usage_rollup u WHERE u.customer_id = w.c AND u.day >= w.f
        AND u.day <= ANY (ARRAY[w.l]) AND u.meter_id {_of(rolled)} OFFSET 0) AS u""",  # noqa: S608
                [],
            )
        )
        tail = f"e.xid >= {horizon} AND {_LOCAL_DAY} BETWEEN w.f AND w.l"
        parts.append(_events(rolled, where=tail, with_time=with_time))
        parts.append(
            _events(
                rolled,
                where=f"NOT w.opens AND {_LOCAL_DAY} < w.f",
                end=f"least(w.e, w.s + {_DAY})",
                with_time=with_time,
            )
        )
        parts.append(
            _events(
                rolled,
                where=f"NOT w.closes AND {_LOCAL_DAY} > w.l AND {_LOCAL_DAY} >= w.f",
                start=f"greatest(w.s, w.e - {_DAY})",
                with_time=with_time,
            )
        )
    if fresh:
        parts.append(_events(fresh, where="true", with_time=with_time))
    return Part(
        "\nUNION ALL\n".join(part.sql for part in parts),
        [each for part in parts for each in part.parameters],
    )


def _events(
    meters: Sequence[MeterSpec],
    *,
    where: str,
    with_time: bool,
    start: str = "w.s",
    end: str = "w.e",
) -> Part:
    at = ", at" if with_time else ""
    metered = metered_events(
        meters=meters,
        columns='w.r AS ref, e.workspace_id, e."time" AS at',
        source=_EVENTS.format(start=start, end=end),
        where=where,
    )
    return Part(
        f"SELECT {_OUT}{at} FROM ({metered}) AS metered",  # noqa: S608
        [meters_json(meters)],
    )


def _unique(fresh: Sequence[MeterSpec]) -> list[Part]:
    """Different values of the whole by dimensions, and of each workspace besides."""
    meters = _only(fresh, Aggregation.UNIQUE_COUNT)
    if not meters:
        return []
    rows = _events(meters, where="true", with_time=False)
    return [
        Part(
            f"""SELECT ref, meter_id, workspace_id, dimensions, count(DISTINCT quantity)::numeric,
    CASE WHEN grouping(workspace_id) = 1 THEN 'cell' ELSE 'workspace' END
FROM ({rows.sql}) AS seen
GROUP BY GROUPING SETS ((ref, meter_id, dimensions), (ref, meter_id, dimensions, workspace_id))""",  # noqa: S608
            rows.parameters,
        )
    ]


def _weighted(rolled: Sequence[MeterSpec], fresh: Sequence[MeterSpec], horizon: int) -> list[Part]:
    """Each level times the seconds until the next; the level before the window is carried in."""
    rolled = _only(rolled, Aggregation.TIME_WEIGHTED)
    fresh = _only(fresh, Aggregation.TIME_WEIGHTED)
    if not rolled and not fresh:
        return []
    parts = []
    if rolled:
        parts.append(_events(rolled, where="true", with_time=True))
        parts += _carried_in(rolled, horizon)
    if fresh:
        parts.append(_events(fresh, where="true", with_time=True, start="'-infinity'"))
    rows = "\nUNION ALL\n".join(part.sql for part in parts)
    return [
        Part(
            f"""SELECT ref, meter_id, workspace_id, dimensions,
    trim_scale(sum(quantity * extract(epoch FROM upto - since))), NULL::text
FROM (
    SELECT ref, meter_id, workspace_id, dimensions, quantity, greatest(at, w.s) AS since,
        greatest(lead(at, 1, w.e) OVER series, w.s) AS upto
    FROM ({rows}) AS levels JOIN w ON w.r = levels.ref
    WINDOW series AS (
        PARTITION BY ref, meter_id, workspace_id, dimensions ORDER BY at, quantity)
) AS spans
GROUP BY ref, meter_id, workspace_id, dimensions""",  # noqa: S608
            [each for part in parts for each in part.parameters],
        )
    ]


def _carried_in(meters: Sequence[MeterSpec], horizon: int) -> list[Part]:
    """Return levels from before the windows: rollups of earlier days, and events they lack."""
    rolled = f"""SELECT w.r AS ref, u.meter_id, u.workspace_id, u.dimensions, u.quantity,
    u.latest_at AS at
FROM w JOIN usage_rollup u ON u.customer_id = w.c AND u.day < w.f AND u.latest_at < w.s
WHERE u.meter_id {_of(meters)}"""  # noqa: S608
    since = _events(
        meters, where=f"e.xid >= {horizon}", with_time=True, start="'-infinity'", end="w.s"
    )
    same_day = _events(
        meters,
        where=f"NOT w.opens AND {_LOCAL_DAY} = w.f - 1",
        with_time=True,
        start=f"w.s - {_DAY}",
        end="w.s",
    )
    return [Part(rolled, []), since, same_day]


def day_levels(
    known: Known, *, meter_ids: Collection[int], windows: Sequence[str]
) -> tuple[str, list[Any]]:
    """Return the statement of `read_day_levels`.

    Its rows are (horizon, token, ref, meter id, day, quantity, workspace id, dimensions): the last
    level of each series on each day of the window, and without a day the one that is carried in,
    in order. From ref on all is null in the only row of a reading without levels.
    """
    meters = [m for m in _only(known.meters, Aggregation.TIME_WEIGHTED) if m.id in meter_ids]
    rolled = [m for m in meters if known.rolled.get(str(m.id)) == m.fingerprint]
    fresh = [m for m in meters if m not in rolled]
    parts = []
    if rolled:
        parts += [_rows(rolled, [], known.horizon, with_time=True)]
        parts += _carried_in(rolled, known.horizon)
    if fresh:
        parts.append(_events(fresh, where="true", with_time=True, start="'-infinity'"))
    rows = "\nUNION ALL\n".join(part.sql for part in parts) or _NO_LEVELS
    statement = f"""
WITH {_WINDOWS}
SELECT (SELECT usage_snapshot_horizon()), {_STATE_OF_THINGS}, found.*
FROM (SELECT) AS once LEFT JOIN (
    SELECT DISTINCT ON (ref, meter_id, workspace_id, dimensions, day)
        ref, meter_id, day, trim_scale(quantity) AS quantity, workspace_id, dimensions
    FROM (
        SELECT levels.*,
            CASE WHEN at >= w.s THEN (at AT TIME ZONE w.tz)::date END AS day
        FROM ({rows}) AS levels JOIN w ON w.r = levels.ref) AS dated
    ORDER BY ref, meter_id, workspace_id, dimensions, day NULLS FIRST, at DESC, quantity DESC
) AS found ON true
"""  # noqa: S608
    return statement, [*windows, *(each for part in parts for each in part.parameters)]


_NO_LEVELS = """SELECT NULL::bigint AS ref, NULL::bigint AS meter_id, NULL::bigint AS workspace_id,
    NULL::text[] AS dimensions, NULL::numeric AS quantity, NULL::timestamptz AS at WHERE false"""


def transactions(meters: Sequence[MeterSpec], *, windows: Sequence[str]) -> tuple[str, list[Any]]:
    """Return the statement of `read_transactions`: rows of (ref, meter id, quantity), in order."""
    metered = metered_events(
        meters=meters,
        columns='w.r AS ref, e."time" AS at, e.source, e.event_id',
        source=_EVENTS.format(start="w.s", end="w.e"),
        where="true",
    )
    statement = f"""
WITH {_WINDOWS}
SELECT ref, meter_id, trim_scale(quantity) FROM ({metered}) AS metered
ORDER BY ref, meter_id, at, source, event_id
"""  # noqa: S608
    return statement, [*windows, meters_json(meters)]


_SPANS = """jsonb_to_recordset(%(spans)s::jsonb) AS p
    (r bigint, c bigint, s timestamptz, e timestamptz, h bigint)"""
_SINCE = """usage_event WHERE xid >= %(horizon)s AND "time" >= %(start)s AND "time" < %(bound)s"""

# How many events were stored since any of the spans was read, counted up to a limit. `bound` is
# where the month of the latest end begins, so that only partitions of past months are looked at,
# into which little comes any more.
COUNT_SINCE = f"SELECT count(*) FROM (SELECT FROM {_SINCE} LIMIT %(limit)s) AS found"  # noqa: S608

# Few: look at them, and at the spans' last hours beyond the bound customer by customer.
TOUCHED_FEW = f"""
WITH late AS MATERIALIZED (SELECT customer_id, "time", xid FROM {_SINCE})
SELECT p.r FROM {_SPANS} JOIN late ON late.customer_id = p.c
    AND late."time" >= p.s AND late."time" < p.e AND late.xid >= p.h
UNION
SELECT p.r FROM {_SPANS}
WHERE p.e > %(bound)s AND EXISTS (
    SELECT FROM usage_event e WHERE e.customer_id = p.c AND e."time" >= greatest(p.s, %(bound)s)
        AND e."time" < p.e AND e.xid >= p.h)
"""  # noqa: S608

# Many: look through each customer's time.
TOUCHED_MANY = f"""
SELECT p.r FROM {_SPANS}
WHERE EXISTS (
    SELECT FROM usage_event e
    WHERE e.customer_id = p.c AND e."time" >= p.s AND e."time" < p.e AND e.xid >= p.h)
"""  # noqa: S608
