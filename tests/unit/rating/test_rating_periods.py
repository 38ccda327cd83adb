"""Billing periods: months of a zone and of an anchor, across leap days and changing clocks."""

import itertools
from datetime import UTC, date, datetime, timedelta, timezone
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.rating.periods import (
    EmptyPeriod,
    NaiveDatetime,
    PartOutsidePeriod,
    Period,
    UnknownZone,
    anchored_month,
    billing_period,
    calendar_month,
    fee_dates,
    local_midnight,
    months_after,
    share,
)

ZONES = [
    "UTC",
    "Europe/London",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Havana",
    "Asia/Tokyo",
    "Asia/Kolkata",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kiritimati",
]
instants = st.datetimes(datetime(2001, 1, 1), datetime(2030, 12, 31), timezones=st.just(UTC))
anchors = st.dates(date(2001, 1, 1), date(2030, 12, 31))
zones = st.sampled_from(ZONES)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def period(start, end):
    return Period(utc(start), utc(end))


def test_a_period_holds_its_start_and_not_its_end():
    november = period("2026-11-01", "2026-12-01")
    assert november.contains(utc("2026-11-01"))
    assert november.contains(utc("2026-11-30T23:59:59.999999"))
    assert not november.contains(utc("2026-12-01"))
    assert not november.contains(utc("2026-10-31T23:59:59"))


def test_an_instant_of_another_zone_is_compared_as_an_instant():
    november = period("2026-11-01", "2026-12-01")
    tokyo = ZoneInfo("Asia/Tokyo")
    assert not november.contains(datetime(2026, 11, 1, 8, 59, tzinfo=tokyo))
    assert november.contains(datetime(2026, 11, 1, 9, 0, tzinfo=tokyo))


def test_a_period_keeps_its_bounds_in_utc():
    plus_two = timezone(timedelta(hours=2))
    found = Period(datetime(2026, 1, 1, tzinfo=plus_two), datetime(2026, 1, 2, tzinfo=plus_two))
    assert found == period("2025-12-31T22:00", "2026-01-01T22:00")
    assert found.start.tzinfo is UTC


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (datetime(2026, 1, 1), datetime(2026, 2, 1, tzinfo=UTC)),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1)),
    ],
)
def test_a_period_refuses_a_naive_bound(start, end):
    with pytest.raises(NaiveDatetime, match="no time zone") as caught:
        Period(start, end)
    assert caught.value.code == "naive_datetime"


@pytest.mark.parametrize("end", ["2026-01-01", "2025-12-31"])
def test_a_period_refuses_to_be_empty(end):
    with pytest.raises(EmptyPeriod) as caught:
        period("2026-01-01", end)
    assert caught.value.code == "empty_period"


def test_naive_instants_are_refused_everywhere():
    naive = datetime(2026, 1, 15)
    with pytest.raises(NaiveDatetime):
        period("2026-01-01", "2026-02-01").contains(naive)
    with pytest.raises(NaiveDatetime):
        calendar_month(zone="UTC", at=naive)
    with pytest.raises(NaiveDatetime):
        anchored_month(anchor=date(2026, 1, 1), zone="UTC", at=naive)


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        (("2026-01-05", "2026-01-07"), ("2026-01-05", "2026-01-07")),
        (("2025-12-01", "2026-01-07"), ("2026-01-01", "2026-01-07")),
        (("2026-01-05", "2026-03-07"), ("2026-01-05", "2026-02-01")),
        (("2025-12-01", "2026-03-01"), ("2026-01-01", "2026-02-01")),
        (("2026-02-01", "2026-03-01"), None),
        (("2025-12-01", "2026-01-01"), None),
        (("2027-02-01", "2027-03-01"), None),
    ],
)
def test_intersection(other, shared):
    january, other = period("2026-01-01", "2026-02-01"), period(*other)
    expected = None if shared is None else period(*shared)
    assert january.intersect(other) == expected
    assert other.intersect(january) == expected
    assert january.overlaps(other) is (expected is not None)


@pytest.mark.parametrize(
    ("zone", "at", "start", "end"),
    [
        ("UTC", "2026-11-15", "2026-11-01", "2026-12-01"),
        ("UTC", "2026-12-31T23:59:59", "2026-12-01", "2027-01-01"),
        ("UTC", "2028-02-29", "2028-02-01", "2028-03-01"),
        ("Asia/Tokyo", "2026-10-31T15:00", "2026-10-31T15:00", "2026-11-30T15:00"),
        ("Asia/Tokyo", "2026-10-31T14:59:59", "2026-09-30T15:00", "2026-10-31T15:00"),
        ("America/New_York", "2026-11-15", "2026-11-01T04:00", "2026-12-01T05:00"),
        ("America/New_York", "2026-03-15", "2026-03-01T05:00", "2026-04-01T04:00"),
        ("Asia/Kolkata", "2026-06-10", "2026-05-31T18:30", "2026-06-30T18:30"),
    ],
)
def test_a_calendar_month_starts_at_the_zones_midnight(zone, at, start, end):
    assert calendar_month(zone=zone, at=utc(at)) == period(start, end)
    assert billing_period(anchor=None, zone=zone, at=utc(at)) == period(start, end)


@pytest.mark.parametrize(
    ("anchor", "at", "start", "end"),
    [
        ("2026-01-31", "2026-01-31", "2026-01-31", "2026-02-28"),
        ("2026-01-31", "2026-02-27", "2026-01-31", "2026-02-28"),
        ("2026-01-31", "2026-02-28", "2026-02-28", "2026-03-31"),
        ("2026-01-31", "2026-03-30", "2026-02-28", "2026-03-31"),
        ("2026-01-31", "2026-03-31", "2026-03-31", "2026-04-30"),
        ("2026-01-31", "2028-02-28", "2028-01-31", "2028-02-29"),
        ("2026-01-31", "2028-02-29", "2028-02-29", "2028-03-31"),
        ("2026-01-30", "2026-03-01", "2026-02-28", "2026-03-30"),
        ("2028-02-29", "2029-02-28", "2029-02-28", "2029-03-29"),
        ("2026-01-15", "2026-12-20", "2026-12-15", "2027-01-15"),
        ("2026-01-15", "2025-12-20", "2025-12-15", "2026-01-15"),
        ("2026-03-31", "2026-02-28", "2026-02-28", "2026-03-31"),
        ("2026-03-31", "2026-02-27", "2026-01-31", "2026-02-28"),
    ],
)
def test_a_month_is_counted_from_its_anchor(anchor, at, start, end):
    anchor = date.fromisoformat(anchor)
    assert anchored_month(anchor=anchor, zone="UTC", at=utc(at)) == period(start, end)
    assert billing_period(anchor=anchor, zone="UTC", at=utc(at)) == period(start, end)


def test_an_anchored_month_starts_at_local_midnight():
    found = anchored_month(anchor=date(2026, 1, 31), zone="America/New_York", at=utc("2026-03-01"))
    assert found == period("2026-02-28T05:00", "2026-03-31T04:00")


@given(anchors, zones, instants)
def test_anchored_months_tile_time(anchor, zone, at):
    month = anchored_month(anchor=anchor, zone=zone, at=at)
    assert month.contains(at)
    after = anchored_month(anchor=anchor, zone=zone, at=month.end)
    before = anchored_month(anchor=anchor, zone=zone, at=month.start - timedelta(microseconds=1))
    assert after.start == month.end
    assert before.end == month.start
    assert anchored_month(anchor=anchor, zone=zone, at=month.start) == month


@given(anchors, st.integers(0, 240))
def test_anchored_months_never_drift(anchor, months):
    month = anchored_month(anchor=anchor, zone="UTC", at=utc(anchor.isoformat()))
    for _ in range(months % 48):
        month = anchored_month(anchor=anchor, zone="UTC", at=month.end)
    last_day = (month.start.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    assert month.start.day == min(anchor.day, last_day.day)


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("UTC", "2026-06-01", "2026-06-01T00:00"),
        ("Asia/Tokyo", "2026-06-01", "2026-05-31T15:00"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00"),
        ("Asia/Beirut", "2022-03-27", "2022-03-26T22:00"),
        ("America/Havana", "2022-11-06", "2022-11-06T04:00"),
        ("America/Toronto", "1919-03-31", "1919-03-31T04:30"),
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00"),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00"),
    ],
    ids=[
        "plain",
        "ahead of utc",
        "skipped, the day starts at 01:00",
        "skipped, the day starts at 01:00 in March",
        "struck twice, the first counts",
        "in the middle of a gap",
        "a day that did not exist",
        "the day after it",
    ],
)
def test_local_midnight_is_the_first_instant_of_the_day(zone, day, expected):
    assert local_midnight(date.fromisoformat(day), zone=zone) == utc(expected)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd"])
def test_an_unknown_zone_is_refused(zone):
    with pytest.raises(UnknownZone, match="time zone") as caught:
        local_midnight(date(2026, 1, 1), zone=zone)
    assert caught.value.code == "unknown_time_zone"


@pytest.mark.parametrize(
    ("first_day", "last_day", "expected"),
    [
        ("2026-11-16", "2026-12-01", Fraction(15, 30)),
        ("2026-11-01", "2026-11-02", Fraction(1, 30)),
        ("2026-11-01", "2026-12-01", Fraction(1)),
        ("2026-11-01", "2026-11-15", Fraction(14, 30)),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_between_midnights_a_share_is_days_over_days(zone, first_day, last_day, expected):
    """New York's 1 November 2026 has 25 hours, and weighs as much as any other day."""
    month = calendar_month(zone=zone, at=utc("2026-11-15"))
    part = Period(
        local_midnight(date.fromisoformat(first_day), zone=zone),
        local_midnight(date.fromisoformat(last_day), zone=zone),
    )
    assert share(part, of=month, zone=zone) == expected


def test_half_a_day_is_half_a_days_share():
    month = calendar_month(zone="Asia/Tokyo", at=utc("2026-11-15"))
    noon = datetime(2026, 11, 16, 12, tzinfo=ZoneInfo("Asia/Tokyo"))
    assert share(Period(month.start, noon), of=month, zone="Asia/Tokyo") == Fraction(31, 60)


def test_a_part_outside_the_period_is_refused():
    month = period("2026-11-01", "2026-12-01")
    with pytest.raises(PartOutsidePeriod) as caught:
        share(period("2026-11-15", "2026-12-02"), of=month, zone="UTC")
    assert caught.value.code == "part_outside_period"


@given(instants, zones, st.lists(st.floats(0, 1, exclude_min=True, exclude_max=True), max_size=5))
def test_the_shares_of_the_parts_of_a_period_sum_to_one(at, zone, cuts):
    month = calendar_month(zone=zone, at=at)
    length = month.end - month.start
    inner = {month.start + length * cut for cut in cuts} - {month.start, month.end}
    edges = [month.start, *sorted(inner), month.end]
    shares = [
        share(Period(start, end), of=month, zone=zone) for start, end in itertools.pairwise(edges)
    ]
    assert sum(shares) == 1
    assert all(each > 0 for each in shares)


@pytest.mark.parametrize("zone", ["America/New_York", "America/Havana", "Australia/Lord_Howe"])
def test_time_weighs_something_even_while_clocks_strike_an_hour_twice(zone):
    start = local_midnight(date(2026, 10, 1), zone=zone)
    year = Period(start, local_midnight(date(2027, 10, 1), zone=zone))
    edges = [start + timedelta(minutes=30 * step) for step in range(48 * 60)]
    found = [share(Period(a, b), of=year, zone=zone) for a, b in itertools.pairwise(edges)]
    assert min(found) > 0


def _month(year, month, zone="UTC"):
    return calendar_month(zone=zone, at=datetime(year, month, 15, tzinfo=UTC))


@pytest.mark.parametrize(
    ("every_months", "within", "due"),
    [
        (12, (2026, 1), [date(2026, 1, 31)]),
        (12, (2026, 2), []),
        (12, (2027, 1), [date(2027, 1, 31)]),
        (12, (2025, 1), []),
        (1, (2026, 2), [date(2026, 2, 28)]),
        (1, (2026, 3), [date(2026, 3, 31)]),
        (3, (2026, 4), [date(2026, 4, 30)]),
        (3, (2026, 5), []),
        (3, (2026, 7), [date(2026, 7, 31)]),
        (25, (2028, 2), [date(2028, 2, 29)]),
    ],
)
def test_a_fee_is_due_at_the_start_and_every_so_many_months_after_it(every_months, within, due):
    start = datetime(2026, 1, 31, 14, 30, tzinfo=UTC)
    found = fee_dates(start, every_months=every_months, zone="UTC", within=_month(*within))
    assert list(found) == due


def test_the_first_fee_is_due_at_the_start_and_not_at_its_midnight():
    start = datetime(2026, 1, 31, 14, 30, tzinfo=UTC)
    before = Period(datetime(2026, 1, 1, tzinfo=UTC), start)
    opening = Period(start, datetime(2026, 2, 1, tzinfo=UTC))
    assert fee_dates(start, every_months=12, zone="UTC", within=before) == ()
    assert fee_dates(start, every_months=12, zone="UTC", within=opening) == (date(2026, 1, 31),)


def test_a_fee_is_due_on_the_zones_day():
    start = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
    within = _month(2026, 2, "Europe/Berlin")
    assert fee_dates(start, every_months=6, zone="Europe/Berlin", within=within) == (
        date(2026, 2, 1),
    )
    assert fee_dates(start, every_months=6, zone="UTC", within=within) == (date(2026, 1, 31),)


def test_fees_recur_every_month_at_most():
    with pytest.raises(ValueError, match="not every 0"):
        fee_dates(
            datetime(2026, 1, 1, tzinfo=UTC), every_months=0, zone="UTC", within=_month(2026, 1)
        )


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    st.integers(1, 36),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]),
    st.lists(st.integers(0, 5000), min_size=1, max_size=8, unique=True),
)
def test_every_fee_is_due_once_however_the_time_is_cut(start, every_months, zone, cuts):
    end = start + timedelta(days=5001)
    bounds = [start, *(start + timedelta(days=cut, hours=7) for cut in sorted(cuts)), end]
    terms = {"every_months": every_months, "zone": zone}
    pieces = [
        day
        for one, other in itertools.pairwise(bounds)
        for day in fee_dates(start, within=Period(one, other), **terms)
    ]
    assert pieces == list(fee_dates(start, within=Period(start, end), **terms))
    first = start.astimezone(ZoneInfo(zone)).date()
    assert pieces == [months_after(first, index * every_months) for index in range(len(pieces))]
    after = months_after(first, len(pieces) * every_months)
    assert local_midnight(after, zone=zone) >= end
