"""Where a subscription's part of a period is cut: pins over versions in force, and phases."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.statements.cutting import NoVersionInForce, Piece, Stretch, pieces, stretches
from plans import rating

APRIL = datetime(2025, 4, 1, tzinfo=UTC)
MAY = datetime(2025, 5, 1, tzinfo=UTC)
OLD, NEW = 1, 2


def on(day: int) -> datetime:
    return datetime(2025, 4, day, tzinfo=UTC)


def priced(in_force: list[Stretch], pins: list[Stretch]) -> list[tuple[int, int, int]]:
    """Return version, first day and day after the last, of the days of April."""
    found = stretches(start=APRIL, end=MAY, in_force=in_force, pins=pins)
    return [(version, (start - APRIL).days + 1, (end - APRIL).days + 1)
            for version, start, end in found]  # fmt: skip


CHANGE = [Stretch(OLD, APRIL, on(11)), Stretch(NEW, on(11), MAY)]


@pytest.mark.parametrize(
    ("pins", "expected"),
    [
        ([], [(OLD, 1, 11), (NEW, 11, 31)]),
        # Kept on the old one from the change on, or from before it: no cut but where it ends.
        ([Stretch(OLD, on(11), on(21))], [(OLD, 1, 21), (NEW, 21, 31)]),
        ([Stretch(OLD, on(3), on(21))], [(OLD, 1, 21), (NEW, 21, 31)]),
        ([Stretch(OLD, on(15), on(21))],
         [(OLD, 1, 11), (NEW, 11, 15), (OLD, 15, 21), (NEW, 21, 31)]),
        ([Stretch(OLD, APRIL - timedelta(days=90), MAY + timedelta(days=90))], [(OLD, 1, 31)]),
        ([Stretch(3, on(5), on(7)), Stretch(4, on(7), on(25))],
         [(OLD, 1, 5), (3, 5, 7), (4, 7, 25), (NEW, 25, 31)]),
        # Outside the period, or touching it, changes nothing.
        ([Stretch(3, MAY, MAY + timedelta(days=3)), Stretch(4, on(1) - timedelta(days=9), APRIL)],
         [(OLD, 1, 11), (NEW, 11, 31)]),
    ],
)  # fmt: skip
def test_a_pin_wins_over_the_version_in_force(pins, expected) -> None:
    assert priced(CHANGE, pins) == expected


def test_a_pin_fills_a_gap_between_versions() -> None:
    in_force = [Stretch(OLD, APRIL, on(11)), Stretch(NEW, on(21), MAY)]
    with pytest.raises(NoVersionInForce, match="2025-04-11 00:00 UTC"):
        priced(in_force, [])
    with pytest.raises(NoVersionInForce, match="2025-04-19 00:00 UTC"):
        priced(in_force, [Stretch(OLD, on(11), on(19))])
    assert priced(in_force, [Stretch(OLD, on(11), on(21))]) == [(OLD, 1, 21), (NEW, 21, 31)]


@pytest.mark.parametrize(
    ("in_force", "at"),
    [
        ([], "2025-04-01"),
        ([Stretch(OLD, on(2), MAY)], "2025-04-01"),
        ([Stretch(OLD, APRIL, on(30))], "2025-04-30"),
    ],
)
def test_a_gap_is_said(in_force, at) -> None:
    with pytest.raises(NoVersionInForce, match=at):
        priced(in_force, [])


days = st.integers(0, 30)


@st.composite
def spans(draw, first_version: int):
    """Draw spans in order, which may leave gaps and touch."""
    bounds = sorted(draw(st.lists(days, max_size=8, unique=True)))
    versions = draw(st.lists(st.integers(first_version, first_version + 1), min_size=4, max_size=4))
    return [
        Stretch(version, APRIL + timedelta(days=start), APRIL + timedelta(days=end))
        for version, start, end in zip(versions, bounds[::2], bounds[1::2], strict=False)
    ]


def version_on(day: int, found: list[Stretch]) -> int | None:
    at = APRIL + timedelta(days=day)
    return next((each.version for each in found if each.start <= at < each.end), None)


@given(in_force=spans(1), pins=spans(2))
def test_each_day_has_its_pin_or_else_its_version_or_there_is_a_gap(in_force, pins) -> None:
    expected = [version_on(day, pins) or version_on(day, in_force) for day in range(30)]
    try:
        found = stretches(start=APRIL, end=MAY, in_force=in_force, pins=pins)
    except NoVersionInForce:
        assert None in expected
        return
    assert [version_on(day, found) for day in range(30)] == expected
    assert (found[0].start, found[-1].end) == (APRIL, MAY)
    if pins:
        assert all(one.version != two.version for one, two in pairwise(found))


TRIAL = (
    rating.Phase("trial", "Trial", days=14),
    rating.Phase("intro", "Introduction", months=1),
    rating.Phase("steady", "Steady"),
)


def test_phases_cut_only_where_they_change_and_only_versions_that_have_them() -> None:
    found = list(
        pieces(
            [Stretch(OLD, APRIL, on(11)), Stretch(NEW, on(11), MAY)],
            phases={NEW: TRIAL},
            phases_from=on(3),
            zone="UTC",
        )
    )
    assert found == [
        Piece(OLD, APRIL, on(11), ""),
        Piece(NEW, on(11), on(17), "trial"),
        Piece(NEW, on(17), MAY, "intro"),
    ]


@pytest.mark.parametrize(
    ("phases_from", "phase"),
    [(APRIL - timedelta(days=400), "steady"), (MAY + timedelta(days=1), "trial")],
)
def test_a_subscription_may_be_in_one_phase_throughout(phases_from, phase) -> None:
    found = list(
        pieces([Stretch(OLD, APRIL, MAY)], phases={OLD: TRIAL}, phases_from=phases_from, zone="UTC")
    )
    assert found == [Piece(OLD, APRIL, MAY, phase)]


@given(offset=st.integers(-60, 60), zone=st.sampled_from(["UTC", "Asia/Kolkata", "America/Lima"]))
def test_pieces_fill_the_stretch(offset: int, zone: str) -> None:
    start = APRIL + timedelta(days=offset)
    found = list(
        pieces([Stretch(OLD, APRIL, MAY)], phases={OLD: TRIAL}, phases_from=start, zone=zone)
    )
    assert (found[0].start, found[-1].end) == (APRIL, MAY)
    assert all(one.end == two.start for one, two in pairwise(found))
    assert all(each.start < each.end for each in found)
