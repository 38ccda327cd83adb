"""What the meters make of an event, as SQL over the aliases `e` (usage_event) and `m` (meters).

There is no second implementation: rollups, readings, transactions and checks all evaluate events
by `metered_events`. An event that does not fit a meter (older than the meter, say, and without
its property) is not counted by it; one that comes in while the meter is there is refused instead.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection

from plans.models.meters import Aggregation, Rounding
from usage.sql import filter_texts

# Rollups whose meters carry another number were made by other rules and are made anew.
_RULES_VERSION = 1
_DIMENSIONS_BYTES_MAX = 2400

SUMMED = frozenset({Aggregation.COUNT, Aggregation.SUM})
HIGHEST = frozenset({Aggregation.MAX})
LEVELS = frozenset({Aggregation.LATEST, Aggregation.TIME_WEIGHTED})
_UNROUNDED = frozenset({Aggregation.COUNT, Aggregation.UNIQUE_COUNT})
ROLLED = SUMMED | HIGHEST | LEVELS


class MeterSpec(NamedTuple):
    """A meter as the SQL reads it."""

    id: int
    key: str
    aggregation: str
    definition: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """Return what changes whenever the meter counts differently."""
        said = json.dumps([_RULES_VERSION, self.definition], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:16]


_LOAD = """
SELECT id, key, aggregation, event_type, value_property, dimensions, filters::text, rounding,
    rounding_multiple::text
FROM plans_meter ORDER BY id
"""


def load_meters() -> list[MeterSpec]:
    """Return all meters, by id."""
    with connection.cursor() as cursor:
        cursor.execute(_LOAD)
        return [_spec(row) for row in cursor.fetchall()]


def _spec(row: tuple[Any, ...]) -> MeterSpec:
    meter_id, key, aggregation, event_type, name, dimensions, filters, rounding, multiple = row
    wanted = {
        each: sorted(filter_texts(values))
        for each, values in sorted(json.loads(filters, parse_float=Decimal).items())
    }
    first = next(iter(wanted), None)
    definition: dict[str, Any] = {
        "i": meter_id,
        "y": event_type,
        "k": aggregation,
        "v": name,
        "d": dimensions,
        "n": len(dimensions),
        "fk": first,
        "fv": wanted.pop(first) if first is not None else None,
        "fm": wanted or None,
        "g": rounding if aggregation not in _UNROUNDED else Rounding.NONE.value,
        "o": multiple,
    }
    return MeterSpec(meter_id, key, aggregation, definition)


def meters_json(meters: Iterable[MeterSpec]) -> str:
    """Return the meters as the parameter of `METERS`."""
    return json.dumps([meter.definition for meter in meters])


# The alias `m`; takes one parameter, `meters_json`.
METERS = """jsonb_to_recordset(%s::jsonb) AS m
    (i bigint, y text, k text, v text, d text[], n int, fk text, fv text[], fm jsonb, g text,
     o numeric)"""

# A JSON number, or a string of the form that ingest takes; null for everything else. What the
# reversal of an outcome takes away is below zero: its events are ours, and nobody else's.
_VALUE = """CASE
    WHEN e.properties -> m.v >= '0'::jsonb AND e.properties -> m.v < '1000000000000000000'::jsonb
        THEN round((e.properties -> m.v)::numeric, 12)
    WHEN jsonb_typeof(e.properties -> m.v) = 'string'
        AND e.properties ->> m.v ~ '^[0-9]{1,18}(\\.[0-9]{1,12})?$'
        THEN (e.properties ->> m.v)::numeric
    WHEN e.source = 'tollgate/outcomes' AND jsonb_typeof(e.properties -> m.v) = 'number'
        THEN round((e.properties ->> m.v)::numeric, 12)
    END"""
_FILTER = """(m.fk IS NULL OR e.properties ->> m.fk = ANY (m.fv) AND (m.fm IS NULL OR NOT EXISTS (
    SELECT FROM jsonb_each(m.fm) AS f
    WHERE NOT coalesce(f.value ? (e.properties ->> f.key), false))))"""
_ANY_DIMENSIONS = """ARRAY(
    SELECT coalesce(e.properties ->> u.name, '')
    FROM unnest(m.d) WITH ORDINALITY AS u (name, place) ORDER BY u.place)"""
_ROUNDED = """CASE x.g
    WHEN 'none' THEN x.v
    WHEN 'down' THEN div(x.v, x.o) * x.o
    WHEN 'nearest' THEN div(x.v + x.o * 0.5, x.o) * x.o
    ELSE div(x.v, x.o) * x.o + CASE WHEN mod(x.v, x.o) > 0 THEN x.o ELSE 0 END
    END"""


def metered_events(
    *, meters: Sequence[MeterSpec], columns: str, source: str, where: str, day: str = "NULL::date"
) -> str:
    """Return a SELECT of what each event comes to on each meter that it feeds.

    `source` is a FROM item with the alias `e`, `columns` are further expressions with aliases, and
    `day` the event's day. Gives those columns, then day, meter_id, dimensions, quantity. Takes the
    parameters of `source` and `where` around one `meters_json`: first those of `source`.
    """
    filtered = any(meter.definition["fk"] is not None for meter in meters)
    rounded = any(meter.definition["g"] != Rounding.NONE for meter in meters)
    names = ", ".join("x." + re.split(r"[ .]", part)[-1] for part in columns.split(", "))
    return f"""
SELECT {names}, x.day, x.meter_id, x.dimensions, {_ROUNDED if rounded else "x.v"} AS quantity
FROM (
    SELECT {columns}, {day} AS day, m.i AS meter_id, m.g, m.o,
        {_dimensions(meters)} AS dimensions, {_value(meters)} AS v
    FROM {source} JOIN {METERS} ON m.y = e.type {"AND " + _FILTER if filtered else ""}
    WHERE {where}
    OFFSET 0
) AS x
WHERE x.v IS NOT NULL AND pg_column_size(x.dimensions) <= {_DIMENSIONS_BYTES_MAX}
"""  # noqa: S608


def _value(meters: Sequence[MeterSpec]) -> str:
    kinds = {meter.aggregation for meter in meters}
    if kinds == {Aggregation.COUNT}:
        return "1::numeric"
    if kinds == {Aggregation.UNIQUE_COUNT}:
        return "e.properties ->> m.v"
    if Aggregation.COUNT in kinds:
        return f"CASE WHEN m.k = 'count' THEN 1 ELSE {_VALUE} END"
    return _VALUE


def _dimensions(meters: Sequence[MeterSpec]) -> str:
    """Spell out the few: an array of known length is a third of the price of a subquery."""
    widths = {meter.definition["n"] for meter in meters}
    said = "".join(
        f"WHEN {width} THEN ARRAY[{', '.join(_dimension(n) for n in range(1, width + 1))}]::text[] "
        for width in sorted(widths)
        if width <= 6
    )
    return f"CASE m.n {said}ELSE {_ANY_DIMENSIONS} END"


def _dimension(place: int) -> str:
    return f"coalesce(e.properties ->> m.d[{place}], '')"
