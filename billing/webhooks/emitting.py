"""Store what endpoints are to be told of, in the transaction in which it happens."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from billing.models import EventType, WebhookEvent
from plans.arrays import array


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """A fact to tell of. The same ``key`` is told once; ``data`` is what receivers read."""

    key: str
    type: EventType
    customer_id: int
    happened_at: datetime
    data: Mapping[str, Any]


_DELIVERIES = """
INSERT INTO billing_webhookdelivery (event_id, endpoint_id, status, attempts, next_at)
SELECT v.id, e.id, 'pending', 0, v.happened_at
FROM billing_webhookevent v JOIN billing_webhookendpoint e
  ON (e.customer_id IS NULL OR e.customer_id = v.customer_id) AND v.type = ANY(e.event_types)
WHERE v.key = ANY(%s) AND e.disabled_at IS NULL
ORDER BY v.id, e.id
ON CONFLICT DO NOTHING
"""


def emit(events: Sequence[NewEvent]) -> None:
    """Store events that some endpoint asked for, and a delivery for each such endpoint.

    Nothing is sent here: a pending delivery is found by Beat, within seconds. An event that no
    endpoint wants leaves no row. An event with a known key is not told again.
    """
    wanted = _wanted({event.type for event in events}, {event.customer_id for event in events})
    chosen = [
        event
        for event in events
        if (event.type, None) in wanted or (event.type, event.customer_id) in wanted
    ]
    if not chosen:
        return
    WebhookEvent.objects.bulk_create([_row(event) for event in chosen], ignore_conflicts=True)
    with connection.cursor() as cursor:
        cursor.execute(_DELIVERIES, [[event.key for event in chosen]])


def _wanted(types: set[EventType], customers: set[int]) -> set[tuple[str, int | None]]:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT DISTINCT t.type, e.customer_id
               FROM billing_webhookendpoint e, unnest(e.event_types) AS t(type)
               WHERE e.disabled_at IS NULL AND t.type = ANY(%s)
                 AND (e.customer_id IS NULL OR e.customer_id = ANY(%s::bigint[]))""",
            [[each.value for each in types], array(customers)],
        )
        return set(cursor.fetchall())


def _row(event: NewEvent) -> WebhookEvent:
    payload = {
        "type": event.type.value,
        "timestamp": event.happened_at.isoformat(),
        "data": dict(event.data),
    }
    return WebhookEvent(
        key=event.key,
        type=event.type,
        customer_id=event.customer_id,
        happened_at=event.happened_at,
        payload=json.dumps(payload, ensure_ascii=False, separators=(",", ":")),
    )
