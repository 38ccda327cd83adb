"""Find stored events for a person who looks for them: newest first, bounded, never counted."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection

from plans.models import Subject


class FoundEvent(NamedTuple):
    """A stored event, whole."""

    time: datetime
    source: str
    event_id: str
    type: str
    customer: str
    workspace: str | None
    recorded_at: datetime
    properties: dict[str, Any]


class EventSearch(NamedTuple):
    """What to look for: a customer's or workspace's key, or a source with an id, or all of them."""

    subject: str = ""
    source: str = ""
    event_id: str = ""
    type: str = ""
    before: datetime | None = None


class SearchTooWide(Exception):
    """A search needs a subject, or a source together with an id: nothing else has an index."""

    code = "search_too_wide"


_FIND = """
SELECT e."time", e.source, e.event_id, e.type, c.key, w.key, e.recorded_at, e.properties::text
FROM {source} JOIN plans_customer c ON c.id = e.customer_id
LEFT JOIN plans_workspace w ON w.id = e.workspace_id
WHERE {where}
ORDER BY e."time" DESC, e.source, e.event_id LIMIT %s
"""
_BY_KEY = """usage_eventkey k JOIN usage_event e ON e.customer_id = k.customer_id
    AND e."time" = k."time" AND e.source = k.source AND e.event_id = k.event_id"""


def find_events(search: EventSearch, *, limit: int = 100) -> list[FoundEvent]:
    """Return the newest events that fit, at most `limit`; `before` asks for older ones.

    Raises SearchTooWide.
    """
    by_key = bool(search.source and search.event_id)
    if not by_key and not search.subject:
        raise SearchTooWide("Give a customer or workspace, or a source together with an id.")
    where, parameters = _conditions(search, key_alias="k" if by_key else "e")
    statement = _FIND.format(
        source=_BY_KEY if by_key else "usage_event e", where=" AND ".join(where)
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [*parameters, limit])
        return [_event(row) for row in cursor.fetchall()]


def _event(row: tuple[Any, ...]) -> FoundEvent:
    time, source, event_id, type_, customer, workspace, recorded_at, properties = row
    return FoundEvent(
        time=time,
        source=source,
        event_id=event_id,
        type=type_,
        customer=customer,
        workspace=workspace,
        recorded_at=recorded_at,
        properties=json.loads(properties, parse_float=Decimal),
    )


def _conditions(search: EventSearch, *, key_alias: str) -> tuple[list[str], list[Any]]:
    said: list[tuple[str, Any]] = []
    if search.source:
        said.append((f"{key_alias}.source = %s", search.source))
    if search.event_id:
        said.append((f"{key_alias}.event_id = %s", search.event_id))
    if search.type:
        said.append(("e.type = %s", search.type))
    if search.before:
        said.append(('e."time" < %s', search.before))
    if search.subject:
        subject = Subject.objects.filter(key=search.subject).first()
        said.append(("e.customer_id = %s", subject.customer_id if subject else None))
        if subject and subject.workspace_id:
            said.append(("e.workspace_id = %s", subject.workspace_id))
    return [condition for condition, _ in said], [value for _, value in said]


def estimate_events() -> int:
    """Return about how many events are stored, from the planner's statistics."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint FROM pg_inherits i"
            " JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'usage_event'::regclass"
        )
        row: tuple[int] = cursor.fetchone()
    return row[0]
