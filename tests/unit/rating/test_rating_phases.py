"""Phases: where they begin and end, and how a price stands in one."""

import itertools
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.rating.flat import Flat
from plans.rating.money import total
from plans.rating.per_unit import PerUnit
from plans.rating.periods import NaiveDatetime, UnknownZone
from plans.rating.phases import WHOLE_LIFE, in_phase, phase_at, phase_spans
from plans.rating.prices import Phase, Price
from plans.rating.rate import rate
from plans.rating.usage import Usage
from tests.unit.rating.support import D, decimals, metered, prices, quantities, used

TRIAL = Phase("trial", "Trial", days=14, discount_percent=D(100))
INTRO = Phase("intro", "Introductory", months=3, discount_percent=D(50))
STEADY = Phase("steady", "Steady")
BERLIN = ZoneInfo("Europe/Berlin")


def at(*values, zone=UTC):
    return datetime(*values, tzinfo=zone)


def starts(*phases, start, zone="UTC"):
    """The local days on which the phases after the first begin."""
    found = phase_spans(phases, start=start, zone=zone)
    return [span.start.astimezone(ZoneInfo(zone)).date() for span in found[1:]]


def test_trial_then_introductory_then_steady():
    start = at(2026, 1, 20, 9, 30, zone=BERLIN)
    spans = phase_spans((TRIAL, INTRO, STEADY), start=start, zone="Europe/Berlin")
    assert [(span.phase.key, span.start, span.end) for span in spans] == [
        ("trial", start, at(2026, 2, 3, zone=BERLIN)),
        ("intro", at(2026, 2, 3, zone=BERLIN), at(2026, 5, 3, zone=BERLIN)),
        ("steady", at(2026, 5, 3, zone=BERLIN), None),
    ]


@pytest.mark.parametrize(
    ("lengths", "start", "expected"),
    [
        ([{"months": 1}, {"months": 2}], date(2026, 1, 31), [(2026, 2, 28), (2026, 4, 30)]),
        ([{"months": 1}, {"months": 1}], date(2024, 1, 31), [(2024, 2, 29), (2024, 3, 31)]),
        ([{"months": 1}, {"days": 10}], date(2026, 1, 31), [(2026, 2, 28), (2026, 3, 10)]),
        ([{"days": 30}, {"months": 1}], date(2026, 1, 1), [(2026, 1, 31), (2026, 2, 28)]),
        ([{"days": 1}], date(2026, 12, 31), [(2027, 1, 1)]),
        ([{"months": 12}], date(2024, 2, 29), [(2025, 2, 28)]),
    ],
)
def test_months_are_counted_from_the_anchor_and_clamped(lengths, start, expected):
    phases = [Phase(str(index), "P", **length) for index, length in enumerate(lengths)]
    begin = at(start.year, start.month, start.day)
    assert starts(*phases, STEADY, start=begin) == [date(*day) for day in expected]


def test_the_day_of_the_start_is_the_zones():
    start = at(2026, 3, 1, 2, 0)
    assert starts(TRIAL, STEADY, start=start, zone="America/New_York") == [date(2026, 3, 14)]
    assert starts(TRIAL, STEADY, start=start, zone="Asia/Tokyo") == [date(2026, 3, 15)]


def test_days_are_local_days_whatever_the_clocks_do():
    start = at(2026, 3, 28, zone=BERLIN)
    _, steady = phase_spans((replace(TRIAL, days=2), STEADY), start=start, zone="Europe/Berlin")
    assert steady.start == at(2026, 3, 30, zone=BERLIN)
    assert steady.start - start.astimezone(UTC) == timedelta(hours=47)


def test_without_phases_there_is_one_nameless_phase():
    (span,) = phase_spans((), start=at(2026, 1, 1), zone="UTC")
    assert span == (WHOLE_LIFE, at(2026, 1, 1), None)
    assert (WHOLE_LIFE.key, WHOLE_LIFE.discount_percent) == ("", 0)


@pytest.mark.parametrize(
    ("instant", "key"),
    [
        (at(2025, 12, 31), "trial"),
        (at(2026, 1, 20), "trial"),
        (at(2026, 2, 2, 23, 59, 59), "trial"),
        (at(2026, 2, 3), "intro"),
        (at(2026, 5, 2, 23), "intro"),
        (at(2026, 5, 3), "steady"),
        (at(2099, 1, 1), "steady"),
    ],
)
def test_the_phase_that_holds_at_an_instant(instant, key):
    phases = (TRIAL, INTRO, STEADY)
    assert phase_at(phases, start=at(2026, 1, 20), zone="UTC", at=instant).key == key


def test_times_without_a_zone_and_unknown_zones_are_refused():
    with pytest.raises(NaiveDatetime):
        phase_spans((), start=datetime(2026, 1, 1), zone="UTC")
    with pytest.raises(UnknownZone):
        phase_spans((), start=at(2026, 1, 1), zone="Berlin")


@pytest.mark.parametrize(
    ("own", "phase", "discount", "minimum", "maximum"),
    [
        ("0", "50", "50", "5", "50"),
        ("10", "50", "55", "5", "50"),
        ("10", "100", "100", "0", "0"),
        ("0", "12.5", "12.5", "8.75", "87.5"),
        ("100", "50", "100", "5", "50"),
    ],
)
def test_discounts_multiply_and_bounds_shrink(own, phase, discount, minimum, maximum):
    price = metered(PerUnit(D(1)), discount_percent=own, minimum="10", maximum="100")
    found = in_phase(price, replace(STEADY, discount_percent=D(phase)))
    assert (found.discount_percent, found.minimum, found.maximum) == (
        D(discount),
        D(minimum),
        D(maximum),
    )


def test_a_trial_at_100_percent_is_free_whatever_the_price_says():
    price = metered(PerUnit(D(1)), minimum="10")
    assert [line.amount for line in rate(in_phase(price, TRIAL), used("5"), currency="USD")] == [0]
    setup = Price("setup", "Setup", Flat(D(5000)), once=True)
    assert rate(in_phase(setup, TRIAL), Usage(), currency="USD")[0].amount == 0


def test_a_price_holds_in_the_phases_that_it_names():
    price = metered(PerUnit(D(1)), phases=("intro", "steady"))
    assert in_phase(price, TRIAL) is None
    assert in_phase(price, STEADY) is price
    assert in_phase(metered(PerUnit(D(1))), WHOLE_LIFE) == metered(PerUnit(D(1)))


@given(prices())
def test_a_phase_without_a_discount_is_the_identity(price):
    assert in_phase(price, STEADY) is price


@given(prices(), quantities, decimals(0, 100, 2))
def test_a_phase_takes_its_share_off_whatever_is_due(price, quantity, percent):
    phase = replace(STEADY, discount_percent=percent)
    before = total(line.exact_amount for line in rate(price, used(quantity), currency="USD"))
    lines = rate(in_phase(price, phase), used(quantity), currency="USD")
    after = total(line.exact_amount for line in lines)
    assert abs(after - before * (100 - percent) / 100) <= abs(before) * D("1E-20") + D("1E-20")


lengths = st.one_of(
    st.builds(lambda days: {"days": days}, st.integers(1, 400)),
    st.builds(lambda months: {"months": months}, st.integers(1, 24)),
)
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])
instants = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))


@given(st.lists(lengths, max_size=6), instants, zones, st.integers(0, 5000))
def test_the_spans_tile_the_time_without_gaps(found, start, zone, days):
    phases = [Phase(str(index), "P", **length) for index, length in enumerate(found)]
    spans = phase_spans((*phases, STEADY), start=start, zone=zone)
    assert [span.phase for span in spans] == [*phases, STEADY]
    assert spans[0].start == start
    assert spans[-1].end is None
    for one, other in itertools.pairwise(spans):
        assert one.start < one.end == other.start
    instant = start + timedelta(days=days)
    holding = [s.phase for s in spans if s.start <= instant and (not s.end or instant < s.end)]
    assert [phase_at((*phases, STEADY), start=start, zone=zone, at=instant)] == holding
