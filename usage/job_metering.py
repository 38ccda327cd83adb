"""What jobs' reports come to on the meters, before they are events.

By the meters' one SQL (`usage.meters`), over reports instead of stored events. A level that is
weighted by time comes to nothing here: what it is worth depends on what follows.
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from django.db import connection

from plans.models.meters import Aggregation
from plans.rating.money import ZERO, plus
from usage.job_quantities import Cell
from usage.meters import SUMMED, MeterSpec, load_meters, metered_events, meters_json

_REPORTS = "jsonb_to_recordset(%s::jsonb) AS e (n int, source text, type text, properties jsonb)"
SOURCE = "tollgate/jobs"
_encoder = msgspec.json.Encoder(decimal_format="number")


class Reported(NamedTuple):
    """The type and the properties of one report."""

    type: str
    properties: Mapping[str, Any]


def meter_reports(reports: Sequence[Reported]) -> dict[Cell, Decimal]:
    """Return what the reports come to together on each meter that reads them, in their order."""
    meters = _reading(reports)
    by_id = {meter.id: meter for meter in meters}
    found: dict[Cell, Decimal] = {}
    seen: set[tuple[Cell, str]] = set()
    for _, meter_id, values, quantity in _metered(reports, meters):
        meter = by_id[meter_id]
        cell = (meter.key, tuple(values))
        if meter.aggregation == Aggregation.UNIQUE_COUNT:
            repeated = (cell, quantity) in seen
            seen.add((cell, quantity))
            found[cell] = plus(found.get(cell, ZERO), Decimal(0 if repeated else 1))
        elif meter.aggregation != Aggregation.TIME_WEIGHTED:
            found[cell] = _joined(meter, found.get(cell), Decimal(quantity))
    return found


def meter_each(reports: Sequence[Reported]) -> list[dict[Cell, Decimal]]:
    """Return what each report comes to by itself, on meters that count or sum."""
    meters = [one for one in _reading(reports) if one.aggregation in SUMMED]
    by_id = {meter.id: meter.key for meter in meters}
    found: list[dict[Cell, Decimal]] = [{} for _ in reports]
    for n, meter_id, values, quantity in _metered(reports, meters):
        found[n][by_id[meter_id], tuple(values)] = Decimal(quantity)
    return found


def _reading(reports: Sequence[Reported]) -> list[MeterSpec]:
    types = {report.type for report in reports}
    return [one for one in load_meters() if one.definition["y"] in types]


def _joined(meter: MeterSpec, before: Decimal | None, quantity: Decimal) -> Decimal:
    if before is None or meter.aggregation == Aggregation.LATEST:
        return quantity
    if meter.aggregation == Aggregation.MAX:
        return max(before, quantity)
    return plus(before, quantity)


def _metered(
    reports: Sequence[Reported], meters: Sequence[MeterSpec]
) -> list[tuple[int, int, list[str], str]]:
    rows = [{"n": n, "source": SOURCE, "type": each.type, "properties": each.properties}
            for n, each in enumerate(reports)]  # fmt: skip
    found: list[tuple[int, int, list[str], str]] = []
    kinds = {meter.aggregation == Aggregation.UNIQUE_COUNT for meter in meters}
    with connection.cursor() as cursor:
        for unique in kinds:
            kind = [m for m in meters if (m.aggregation == Aggregation.UNIQUE_COUNT) is unique]
            inner = metered_events(meters=kind, columns="e.n AS n", source=_REPORTS, where="true")
            cursor.execute(
                f"SELECT n, meter_id, dimensions, quantity::text FROM ({inner}) AS r ORDER BY n",  # noqa: S608
                [_encoder.encode(rows).decode(), meters_json(kind)],
            )
            found += cursor.fetchall()
    return sorted(found)


def exact_json(text: str) -> Any:
    """Return JSON with its numbers exact."""
    return json.loads(text, parse_float=Decimal)
