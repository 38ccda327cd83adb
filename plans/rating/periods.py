"""Billing periods: half-open spans of time, months counted from an anchor, shares of a period."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from itertools import count
from zoneinfo import ZoneInfo

from plans.rating.money import RatingError

_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)
_FIRST_OF_A_MONTH = date(2000, 1, 1)


class NaiveDatetime(RatingError):
    """A datetime came without a time zone."""

    code = "naive_datetime"


class EmptyPeriod(RatingError):
    """A period ends before, or just as, it starts."""

    code = "empty_period"


class UnknownZone(RatingError):
    """The time zone is not in the IANA database."""

    code = "unknown_time_zone"


class PartOutsidePeriod(RatingError):
    """The part of a period reaches beyond the period."""

    code = "part_outside_period"


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open span `[start, end)` of aware datetimes, kept in UTC.

    Raises NaiveDatetime, and EmptyPeriod where `end` is not after `start`.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", _utc(self.start))
        object.__setattr__(self, "end", _utc(self.end))
        if self.end <= self.start:
            raise EmptyPeriod(f"The period from {self.start} to {self.end} has no length.")

    def contains(self, at: datetime) -> bool:
        """Say whether the instant lies in the period; its end does not."""
        return self.start <= _utc(at) < self.end

    def overlaps(self, other: "Period") -> bool:
        """Say whether the two periods share any time; touching is not sharing."""
        return self.start < other.end and other.start < self.end

    def intersect(self, other: "Period") -> "Period | None":
        """Return the time that both periods share, or None."""
        if not self.overlaps(other):
            return None
        return Period(max(self.start, other.start), min(self.end, other.end))


def calendar_month(*, zone: str, at: datetime) -> Period:
    """Return the calendar month of the zone that holds `at`, its bounds as UTC datetimes.

    Raises NaiveDatetime, UnknownZone. Rule: DESIGN section 3, Time.
    """
    return anchored_month(anchor=_FIRST_OF_A_MONTH, zone=zone, at=at)


def anchored_month(*, anchor: date, zone: str, at: datetime) -> Period:
    """Return the month, counted from the anchor date, that holds `at`; its bounds in UTC.

    The n-th month starts at local midnight n months after the anchor, on the anchor's day or on
    the month's last day if that is earlier: from 31 January to 28 February to 31 March. It is
    counted from the anchor each time, also backwards, so it never drifts.

    Raises NaiveDatetime, UnknownZone. Rule: DESIGN section 3, Time.
    """
    at = _utc(at)
    local = at.astimezone(_zone(zone))
    month = (local.year - anchor.year) * 12 + local.month - anchor.month
    if at < _month_start(anchor, month, zone):
        month -= 1
    elif at >= _month_start(anchor, month + 1, zone):
        month += 1
    return Period(_month_start(anchor, month, zone), _month_start(anchor, month + 1, zone))


def billing_period(*, anchor: date | None, zone: str, at: datetime) -> Period:
    """Return the billing period that holds `at`: the anchor's month, or the calendar month.

    Raises NaiveDatetime, UnknownZone. Rule: DESIGN section 3, Late usage.
    """
    if anchor is None:
        return calendar_month(zone=zone, at=at)
    return anchored_month(anchor=anchor, zone=zone, at=at)


def months_after(anchor: date, months: int) -> date:
    """Return the date so many months after the anchor, or before it, clamped to the month's end."""
    years, month = divmod(anchor.month - 1 + months, 12)
    year = anchor.year + years
    return date(year, month + 1, min(anchor.day, monthrange(year, month + 1)[1]))


def local_date(at: datetime, *, zone: str) -> date:
    """Return the day of the zone that holds the instant. Raises NaiveDatetime, UnknownZone."""
    return _utc(at).astimezone(_zone(zone)).date()


def fee_dates(start: datetime, *, every_months: int, zone: str, within: Period) -> tuple[date, ...]:
    """Return the days in a period on which a fee for `every_months` months ahead is due.

    They are the day of the subscription's start in the zone and those every so many months after
    it, clamped and counted from it each time. The first is due at the start itself, the others at
    their local midnight; a day lies in the period if that instant does.

    Raises ValueError for a number of months below 1, NaiveDatetime, UnknownZone.
    """
    if every_months < 1:
        raise ValueError(f"A fee recurs every month or more seldom, not every {every_months}.")
    first = local_date(start, zone=zone)
    since = local_date(within.start, zone=zone)
    passed = (since.year - first.year) * 12 + since.month - first.month
    found = []
    for nth in count(max(0, passed // every_months)):
        day = months_after(first, nth * every_months)
        at = _local_midnight(day, zone) if nth else _utc(start)
        if at >= within.end:
            break
        if within.contains(at):
            found.append(day)
    return tuple(found)


def share(part: Period, *, of: Period, zone: str) -> Fraction:
    """Return which share of a period a part of it is, counting every local day of the zone as one.

    A day of 23 or 25 hours weighs as much as any other, and an hour of it in proportion to its own
    length; so between midnights the share is days over days, and the shares of parts that make
    up the period add up to 1 whatever the clocks do.

    Raises PartOutsidePeriod, UnknownZone.
    """
    if part.start < of.start or part.end > of.end:
        raise PartOutsidePeriod(f"{part.start} to {part.end} is not within {of.start} to {of.end}.")
    if part == of:
        return Fraction(1)
    return _days(part, zone) / _days(of, zone)


def local_midnight(day: date, *, zone: str) -> datetime:
    """Return, in UTC, the first instant of a day in a zone.

    That is midnight; the earlier one where the clocks strike it twice; and the first instant
    after the gap where the clocks skip it. Raises UnknownZone.
    """
    return _local_midnight(day, zone)


def _utc(at: datetime) -> datetime:
    if at.tzinfo is UTC:
        return at
    if at.utcoffset() is None:
        raise NaiveDatetime(f"{at} has no time zone.")
    return at.astimezone(UTC)


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise UnknownZone(f"{name!r} is not a time zone of the IANA database.") from error


@lru_cache(maxsize=16384)
def _local_midnight(day: date, zone: str) -> datetime:
    zone_info = _zone(zone)
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone_info)
    at = midnight.astimezone(UTC)
    if at.astimezone(zone_info).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return at
    return _end_of_gap(midnight.replace(fold=1).astimezone(UTC), at, zone_info)


def _end_of_gap(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Find the second, after `before` and not past `after`, at which the zone's clocks change."""
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) // 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


# Whole books of customers share few anchors, zones and months.
@lru_cache(maxsize=16_384)
def _month_start(anchor: date, months: int, zone: str) -> datetime:
    return _local_midnight(months_after(anchor, months), zone)


def _days(period: Period, zone: str) -> Fraction:
    return _position(period.end, zone) - _position(period.start, zone)


def _position(at: datetime, zone: str) -> Fraction:
    """Return the instant as a number of local days, the time of day as a fraction of its day."""
    day = at.astimezone(_zone(zone)).date()
    if at >= _local_midnight(day + _DAY, zone):
        day += _DAY
    start, end = _local_midnight(day, zone), _local_midnight(day + _DAY, zone)
    elapsed = Fraction((at - start) // _MICROSECOND, (end - start) // _MICROSECOND)
    return day.toordinal() + elapsed
