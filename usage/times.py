"""Times as they are sent: an offset may be one that the database does not know."""

from datetime import UTC, datetime

_LAST_YEAR = 9998


class BeyondCalendar(ValueError):
    """The instant lies before the first year or after the last one."""


def in_utc(at: datetime) -> datetime:
    """Return an instant in UTC; a time without an offset stays. Raises BeyondCalendar."""
    if at.tzinfo is None:
        return at
    try:
        found = at.astimezone(UTC)
    except OverflowError as error:
        raise BeyondCalendar(f"{at.isoformat()} lies beyond the calendar.") from error
    if found.year > _LAST_YEAR:
        raise BeyondCalendar(f"{at.isoformat()} lies beyond the calendar.")
    return found
