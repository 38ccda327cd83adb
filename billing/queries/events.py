"""The usage events behind a line of a statement, page by page."""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from billing.models import Statement, StatementLine
from billing.queries.explained import ExplainedLine, cell_words
from billing.queries.jobs import job_of_event
from billing.queries.pages import Head, explained_line, head_of
from billing.wording import Quantity, moment
from plans.models import Workspace
from usage.queries import CountedEvent, EventCursor, EventsPage, events_page

EVENTS_PER_PAGE = 100
COUNTED_MAX = 10_000


class BadCursor(ValueError):
    """The cursor is none that a page has given out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One event, with what it adds to the meter; times are in the customer's zone."""

    at: str
    received: str
    source: str
    event_id: str
    job: UUID | None
    workspace: str
    dimensions: str
    value: Quantity | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineEvents:
    """A page of the events behind a line; ``after`` asks for the page that follows, "" is none."""

    head: Head
    line: ExplainedLine
    rows: tuple[EventRow, ...]
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LineCount:
    """A line and how many events are behind it, counted up to ``COUNTED_MAX``."""

    head: Head
    line: ExplainedLine
    events: int
    has_more: bool


def line_events_page(*, statement: Statement, position: int, after: str = "") -> LineEvents:
    """Return the events that a line of a statement holds, in the order of their time.

    A line of a matrix holds those of its cells, any other all of its meter in its span. Raises
    StatementLine.DoesNotExist, also for a line without a meter, and BadCursor.
    """
    line = explained_line(statement=statement, position=position)
    if line.meter is None:
        raise StatementLine.DoesNotExist
    page = _events(statement, line, after=_cursor_from(after), limit=EVENTS_PER_PAGE)
    return LineEvents(
        head=head_of(statement),
        line=line,
        rows=_rows(page, line=line, zone=statement.customer.time_zone),
        after=_cursor_text(page.after),
    )


def line_with_count(*, statement: Statement, position: int) -> LineCount:
    """Return a line with the number of its events. Raises StatementLine.DoesNotExist."""
    line = explained_line(statement=statement, position=position)
    count, after = 0, None
    while line.meter is not None and count < COUNTED_MAX:
        page = _events(statement, line, after=after, limit=1000)
        count, after = count + len(page.events), page.after
        if after is None:
            break
    return LineCount(head=head_of(statement), line=line, events=count, has_more=after is not None)


def _events(
    statement: Statement, line: ExplainedLine, *, after: EventCursor | None, limit: int
) -> EventsPage:
    assert line.meter is not None
    return events_page(
        customer_id=statement.customer_id,
        meter_id=line.meter.id,
        start=line.span.start,
        end=line.span.end,
        dimensions=frozenset(line.cells) or None,
        after=after,
        limit=limit,
    )


def _rows(page: EventsPage, *, line: ExplainedLine, zone: str) -> tuple[EventRow, ...]:
    ids = {event.workspace_id for event in page.events if event.workspace_id}
    names = dict(Workspace.objects.filter(id__in=ids).values_list("id", "name"))
    return tuple(_row(event, line=line, zone=zone, workspaces=names) for event in page.events)


def _row(
    event: CountedEvent, *, line: ExplainedLine, zone: str, workspaces: dict[int, str]
) -> EventRow:
    value = event.quantity
    return EventRow(
        at=moment(event.time, zone=zone),
        received=moment(event.recorded_at, zone=zone),
        source=event.source,
        event_id=event.event_id,
        job=job_of_event(source=event.source, event_id=event.event_id),
        workspace=workspaces[event.workspace_id] if event.workspace_id else "",
        dimensions=cell_words(event.dimensions, meter=line.meter),
        value=None if value is None else Quantity(value, line.unit),
    )


def _cursor_text(cursor: EventCursor | None) -> str:
    if cursor is None:
        return ""
    text = msgspec.json.encode(tuple(cursor))
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def _cursor_from(text: str) -> EventCursor | None:
    """Raise BadCursor for a text that ``_cursor_text`` did not write."""
    if not text:
        return None
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        found = msgspec.json.decode(
            base64.urlsafe_b64decode(padded), type=tuple[datetime, str, str]
        )
    except (UnicodeEncodeError, binascii.Error, msgspec.DecodeError) as error:
        raise BadCursor(text) from error
    cursor = EventCursor(*found)
    if cursor.time.tzinfo is None or "\0" in cursor.source + cursor.event_id:
        raise BadCursor(text)
    return cursor
