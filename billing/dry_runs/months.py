"""The months that a dry run looks at. Pure."""

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

_INSTANT = timedelta(microseconds=1)
_ZONES_APART = timedelta(days=1)
_LONGEST_PERIOD = timedelta(days=32)


class Months(NamedTuple):
    """Calendar months, named by the first days of the first and of the last one."""

    first: date
    last: date

    def __str__(self) -> str:
        if self.first == self.last:
            return f"{self.first:%B %Y}"
        return f"{self.first:%B %Y} to {self.last:%B %Y}"

    @property
    def length(self) -> int:
        """Return how many months they are."""
        return (self.last.year - self.first.year) * 12 + self.last.month - self.first.month + 1

    @property
    def ends_at(self) -> datetime:
        """Return the end of the last month in UTC."""
        return _utc(next_month(self.last))

    @property
    def earliest(self) -> datetime:
        """Return an instant before which none of their periods starts, in any zone."""
        return _utc(self.first) - _LONGEST_PERIOD - _ZONES_APART

    @property
    def first_end(self) -> datetime:
        """Return an instant before which none of their periods ends, in any zone."""
        return _utc(self.first) - _ZONES_APART

    @property
    def latest(self) -> datetime:
        """Return an instant after which none of their periods ends, in any zone."""
        return self.ends_at + _ZONES_APART

    def hold(self, end: datetime, *, zone: str) -> bool:
        """Say whether a period that ends then belongs to these months: by its last local day.

        So a calendar month belongs to itself, and a month from an anchor to the one it ends in.
        """
        last_day = (end.astimezone(UTC) - _INSTANT).astimezone(ZoneInfo(zone)).date()
        return self.first <= last_day < next_month(self.last)


def next_month(month: date) -> date:
    """Return the first day of the month after."""
    return (month.replace(day=1) + timedelta(days=31)).replace(day=1)


def month_before(month: date) -> date:
    """Return the first day of the month before."""
    return (month.replace(day=1) - timedelta(days=1)).replace(day=1)


def ended_months(*, now: datetime, most: int) -> list[date]:
    """Return the months that have ended (UTC), the last one first, by their first days."""
    found = [month_before(now.astimezone(UTC).date())]
    while len(found) < most:
        found.append(month_before(found[-1]))
    return found


def _utc(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
