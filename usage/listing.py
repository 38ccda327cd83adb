"""The events behind a quantity, page by page."""

import json
from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection

from plans.models.meters import Aggregation
from usage.meters import MeterSpec, load_meters, metered_events, meters_json


class EventCursor(NamedTuple):
    """Where a page of events ended: the key of the last event that was looked at."""

    time: datetime
    source: str
    event_id: str


class CountedEvent(NamedTuple):
    """An event with what it adds to a meter; None for a meter that counts unique values."""

    time: datetime
    source: str
    event_id: str
    workspace_id: int | None
    recorded_at: datetime
    properties: dict[str, Any]
    dimensions: tuple[str, ...]
    quantity: Decimal | None


class EventsPage(NamedTuple):
    """Events in the order of time, and the cursor of the page that follows; None at the end."""

    events: tuple[CountedEvent, ...]
    after: EventCursor | None


class _Scan(NamedTuple):
    """The stretch of one customer's events of one type that a query looks at."""

    meter: MeterSpec
    customer_id: int
    start: datetime
    end: datetime
    after: EventCursor | None
    upto: EventCursor | None = None

    def where(self) -> tuple[str, list[Any]]:
        """Return the condition on `e`, with its parameters."""
        said = 'e.customer_id = %s AND e.type = %s AND e."time" >= %s AND e."time" < %s'
        parameters: list[Any] = [
            self.customer_id, self.meter.definition["y"], self.start, self.end,
        ]  # fmt: skip
        for sign, key in ((">", self.after), ("<=", self.upto)):
            if key is not None:
                said += f' AND (e."time", e.source, e.event_id) {sign} (%s, %s, %s)'
                said += f' AND e."time" {sign[0]}= %s'
                parameters += [*key, key.time]
        return said, parameters


EVENTS_PER_SCAN = 2_000
_SCANS_MAX = 10


def events_page(
    *,
    customer_id: int,
    meter_id: int,
    start: datetime,
    end: datetime,
    dimensions: Collection[tuple[str, ...]] | None = None,
    after: EventCursor | None = None,
    limit: int = 50,
) -> EventsPage:
    """Return a page of the events that a meter counted in ``[start, end)``, of some cells or all.

    Looks at a bounded number of events: where few of them count, a page may be short, or even
    empty, and still not be the last one. That is told by its cursor alone.
    """
    meter = next(each for each in load_meters() if each.id == meter_id)
    found: list[CountedEvent] = []
    for _ in range(_SCANS_MAX):
        scan = _Scan(meter, customer_id, start, end, after)
        after = _end_of(scan)
        found += _counted(scan._replace(upto=after), dimensions=dimensions)
        if len(found) > limit or after is None:
            break
    if len(found) > limit:
        last = found[limit - 1]
        after = EventCursor(last.time, last.source, last.event_id)
    return EventsPage(tuple(found[:limit]), after)


def _end_of(scan: _Scan) -> EventCursor | None:
    """Return the last event of one scan; None where it reaches the end."""
    where, parameters = scan.where()
    with connection.cursor() as cursor:
        cursor.execute(
            f'SELECT e."time", e.source, e.event_id FROM usage_event e WHERE {where}'  # noqa: S608
            ' ORDER BY e."time", e.source, e.event_id OFFSET %s LIMIT 1',
            [*parameters, EVENTS_PER_SCAN - 1],
        )
        row = cursor.fetchone()
    return EventCursor(*row) if row else None


_COLUMNS = (
    'e."time" AS at, e.source, e.event_id, e.workspace_id, e.recorded_at,'
    " e.properties::text AS properties"
)


_PAGE = """
SELECT at, source, event_id, workspace_id, recorded_at, properties, dimensions, quantity
FROM ({metered}) AS metered ORDER BY at, source, event_id
"""


def _counted(scan: _Scan, *, dimensions: Collection[tuple[str, ...]] | None) -> list[CountedEvent]:
    meter = scan.meter
    where, parameters = scan.where()
    metered = metered_events(meters=[meter], columns=_COLUMNS, source="usage_event e", where=where)
    with connection.cursor() as cursor:
        cursor.execute(_PAGE.format(metered=metered), [meters_json([meter]), *parameters])
        found = [_event(row, meter) for row in cursor.fetchall()]
    return [each for each in found if dimensions is None or each.dimensions in dimensions]


def _event(row: tuple[Any, ...], meter: MeterSpec) -> CountedEvent:
    time, source, event_id, workspace_id, recorded_at, properties, values, quantity = row
    return CountedEvent(
        time=time,
        source=source,
        event_id=event_id,
        workspace_id=workspace_id,
        recorded_at=recorded_at,
        properties=json.loads(properties, parse_float=Decimal),
        dimensions=tuple(values),
        quantity=None if meter.aggregation == Aggregation.UNIQUE_COUNT else quantity,
    )
