"""Which days a segment's seats are read for, and which day of its period each is."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D

import pytest

from billing.statements.days import SeatWindow, day_count, day_levels, seat_days, seat_windows
from billing.statements.values import SeatDays, Segment

APRIL = datetime(2025, 4, 1, tzinfo=UTC)
MAY = datetime(2025, 5, 1, tzinfo=UTC)
SEATS, NONE = frozenset({7}), frozenset()


def on(day: int, hour: int = 0) -> datetime:
    return datetime(2025, 4, day, hour, tzinfo=UTC)


def segment(start: datetime, end: datetime, *, version: int = 1, phase: str = "") -> Segment:
    return Segment(version, "digest", start, end, APRIL, MAY, False, (), phase, APRIL)


@pytest.mark.parametrize(
    ("start", "end", "first_day", "days"),
    [
        (APRIL, MAY, 1, 30),
        (on(16), MAY, 16, 15),
        # A day belongs to the segment that holds its end.
        (APRIL, on(16, 12), 1, 15),
        (on(16, 12), MAY, 16, 15),
        (on(16, 3), on(16, 9), 16, 0),
    ],
)
def test_the_days_of_a_segment(start, end, first_day, days) -> None:
    part = segment(start, end)
    assert day_count(part, zone="UTC") == days
    levels = day_levels(SeatDays((D(2),) * days, D(5)), segment=part, zone="UTC")
    assert (levels.first_day, levels.period_days, levels.highest_before) == (first_day, 30, D(5))
    assert len(levels.levels) == days


def test_days_are_those_of_the_zone() -> None:
    lima = [at + timedelta(hours=5) for at in (APRIL, MAY)]
    part = Segment(1, "digest", *lima, *lima, False, (), "", lima[0])
    assert day_count(part, zone="America/Lima") == 30
    assert day_levels(None, segment=part, zone="America/Lima").first_day == 1


def windows(*segments: Segment, meters=None, customers=None) -> list[SeatWindow]:
    customers = customers or [1] * len(segments)
    return seat_windows(
        [(customer, "UTC", one) for customer, one in zip(customers, segments, strict=True)],
        meters=meters or [SEATS] * len(segments),
    )


def test_a_new_version_looks_back_to_where_the_seats_began_to_be_priced() -> None:
    first, second = segment(APRIL, on(11)), segment(on(11), MAY, version=2)
    assert windows(first, second) == [
        SeatWindow(0, date(2025, 4, 1), 10, 0),
        SeatWindow(1, date(2025, 4, 1), 30, 10),
    ]


@pytest.mark.parametrize(
    ("before", "options"),
    [
        (segment(APRIL, on(11), phase="trial"), {}),
        (segment(APRIL, on(9)), {}),
        (segment(APRIL, on(11)), {"customers": [1, 2]}),
        (segment(APRIL, on(11)), {"meters": [NONE, SEATS]}),
    ],
)
def test_it_does_not_look_back_into_what_is_not_of_the_same_kind(before, options) -> None:
    found = windows(before, segment(on(11), MAY, version=2), **options)
    assert found[-1] == SeatWindow(1, date(2025, 4, 11), 20, 0)


def test_what_was_held_before_is_kept_by_its_highest() -> None:
    levels = [D(each) for each in (3, 9, 4, 5)]
    assert seat_days(levels, before=0) == SeatDays((D(3), D(9), D(4), D(5)), D(0))
    assert seat_days(levels, before=2) == SeatDays((D(4), D(5)), D(9))
