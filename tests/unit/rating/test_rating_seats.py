"""Seats: a line for each block of seats that shares its days; the last added are given up first."""

import itertools
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.rating.charge import NegativeQuantity
from plans.rating.explain import in_words
from plans.rating.money import total
from plans.rating.prices import Price
from plans.rating.rate import rate
from plans.rating.seats import DaysOutsidePeriod, MissingDays, Seats
from plans.rating.usage import DayLevels, Usage
from tests.unit.rating.support import D, amounts, assert_adds_up, decimals, shares

TINY = Fraction(1, 10**40)


def seats(unit_amount="89", removed="period_end", **terms):
    return Price(
        key="seats",
        name="Enterprise",
        model=Seats(D(unit_amount), removed),
        meter="seats",
        **terms,
    )


def levels(*runs):
    """Levels by day, written as (level, days) one after the other."""
    return tuple(D(level) for level, days in runs for _ in range(days))


def held(*runs, first_day=1, period_days=30, highest_before="0"):
    return Usage(days=DayLevels(levels(*runs), first_day, period_days, D(highest_before)))


def described(lines):
    return [(line.key, line.label, str(line.quantity), str(line.amount)) for line in lines]


def rated(price, usage, **given):
    return described(rate(price, usage, currency="USD", **given))


def test_s11_seats_added_on_day_16_pay_15_of_30_days():
    assert rated(seats(), held((12, 15), (15, 15))) == [
        ("", "12 seats", "12", "1068.00"),
        ("day-16", "3 seats from day 16, 15 of 30 days", "3", "133.50"),
    ]


@pytest.mark.parametrize(
    ("removed", "expected"),
    [
        ("period_end", [("", "12 seats", "12", "1068.00")]),
        (
            "by_day",
            [
                ("", "10 seats", "10", "890.00"),
                ("day-1-20", "2 seats to day 20, 20 of 30 days", "2", "118.67"),
            ],
        ),
    ],
)
def test_seats_that_are_given_up_after_day_20(removed, expected):
    assert rated(seats(removed=removed), held((12, 20), (10, 10))) == expected


def test_the_seats_added_last_are_given_up_first():
    usage = held((10, 5), (13, 5), (15, 5), (11, 15))
    assert rated(seats("30", "by_day"), usage) == [
        ("", "10 seats", "10", "300.00"),
        ("day-6", "1 seat from day 6, 25 of 30 days", "1", "25.00"),
        ("day-6-15", "2 seats from day 6 to day 15, 10 of 30 days", "2", "20.00"),
        ("day-11-15", "2 seats from day 11 to day 15, 5 of 30 days", "2", "10.00"),
    ]


def test_a_seat_that_comes_back_within_the_period_is_not_paid_twice_to_its_end():
    usage = held((12, 5), (8, 10), (12, 5), (13, 10))
    assert rated(seats("30"), usage) == [
        ("", "12 seats", "12", "360.00"),
        ("day-21", "1 seat from day 21, 10 of 30 days", "1", "10.00"),
    ]


def test_the_seats_are_called_as_the_meter_counts_them():
    price = seats(unit="editor seats")
    (line,) = rate(price, held((1, 30)), currency="USD")
    assert (line.label, line.unit) == ("1 editor seat", "editor seat")
    (line,) = rate(replace(price, unit="licences"), held((1, 30)), currency="USD")
    assert line.label == "1 licences"


def test_no_seats_no_line():
    assert rated(seats(), held((0, 30))) == []
    assert rated(seats(), held()) == []


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            held((12, 15)),
            [("", "12 seats to day 15, 15 of 30 days", "12", "534.00")],
        ),
        (
            held((12, 15), first_day=16),
            [("", "12 seats from day 16, 15 of 30 days", "12", "534.00")],
        ),
        (
            held((12, 5), (14, 5), first_day=11),
            [
                ("", "12 seats from day 11 to day 20, 10 of 30 days", "12", "356.00"),
                ("day-16", "2 seats from day 16 to day 20, 5 of 30 days", "2", "29.67"),
            ],
        ),
        (
            held((10, 15), first_day=16, highest_before="12"),
            [("", "12 seats from day 16, 15 of 30 days", "12", "534.00")],
        ),
    ],
    ids=["to day 15", "from day 16", "in the middle", "given up before the version changed"],
)
def test_a_span_within_the_period_pays_its_own_days_alone(usage, expected):
    assert rated(seats(), usage, share=Fraction(len(usage.days.levels), 30)) == expected


def test_days_given_up_before_the_span_are_not_paid_where_days_count():
    usage = held((10, 15), first_day=16, highest_before="12")
    assert rated(seats(removed="by_day"), usage) == [
        ("", "10 seats from day 16, 15 of 30 days", "10", "445.00")
    ]


def test_a_discount_is_taken_block_by_block_and_bounds_hold_for_all_of_them():
    usage = held((12, 15), (15, 15))
    assert amounts(rate(seats(discount_percent=D(10)), usage, currency="USD")) == [
        "961.20",
        "120.15",
    ]
    capped = rate(seats(maximum=D(1000)), usage, currency="USD")
    assert amounts(capped) == ["888.89", "111.11"]
    topped = rate(seats(minimum=D(1500)), usage, currency="USD")
    assert described(topped)[-1] == (
        "minimum",
        "Enterprise, up to the minimum",
        "1",
        "298.50",
    )
    for line in (*capped, *topped):
        assert_adds_up(line)


def test_bounds_shrink_with_the_share_and_the_seats_do_not_shrink_twice():
    usage = held((1, 10))
    half = rate(seats(minimum=D(300)), usage, currency="USD", share=Fraction(1, 3))
    assert amounts(half) == ["29.67", "70.33"]
    whole = rate(seats(minimum=D(300), prorated=False), usage, currency="USD", share=Fraction(1, 3))
    assert amounts(whole) == ["29.67", "270.33"]


def test_seats_without_their_days_are_refused():
    with pytest.raises(MissingDays, match="Enterprise is a price for seats") as caught:
        rate(seats(), Usage(), currency="USD")
    assert caught.value.code == "missing_days"


@pytest.mark.parametrize(
    ("first_day", "days", "period_days"), [(0, 3, 30), (29, 3, 30), (1, 32, 31), (-1, 1, 30)]
)
def test_days_outside_the_period_are_refused(first_day, days, period_days):
    usage = held((1, days), first_day=first_day, period_days=period_days)
    with pytest.raises(DaysOutsidePeriod) as caught:
        rate(seats(), usage, currency="USD")
    assert caught.value.code == "days_outside_period"


def test_a_level_below_zero_is_refused():
    with pytest.raises(NegativeQuantity):
        rate(seats(), held((1, 10), (-1, 20)), currency="USD")


@pytest.mark.parametrize(
    ("usage", "words"),
    [
        (held((12, 30)), ["12 seats: 12 at 89 = 1,068.00"]),
        (
            held((0, 15), (3, 15)),
            ["3 seats from day 16, 15 of 30 days: 3 at 89 for 15 of 30 days = 133.50"],
        ),
        (
            held((1, 20), (0, 10)),
            [
                (
                    "1 seat to day 20, 20 of 30 days: 1 at 89 for 20 of 30 days = 59.333333333333,"
                    " rounded to 59.33"
                )
            ],
        ),
    ],
)
def test_seats_in_words(usage, words):
    lines = rate(seats(removed="by_day"), usage, currency="USD")
    assert [in_words(line, currency="USD") for line in lines] == words


removals = st.sampled_from(["period_end", "by_day"])
months = st.integers(28, 31).flatmap(
    lambda days: st.lists(
        st.integers(0, 6).map(D) | decimals(0, 9, 2), min_size=days, max_size=days
    )
)


def whole(found):
    return Usage(days=DayLevels(tuple(found), 1, len(found)))


def exact(price, usage):
    return Fraction(total(line.exact_amount for line in rate(price, usage, currency="USD")))


def _span(found, start, end):
    before = max(found[:start], default=D(0))
    return Usage(days=DayLevels(tuple(found[start:end]), start + 1, len(found), before))


@given(months, removals, st.lists(st.integers(0, 31), max_size=4))
def test_segments_of_a_period_add_up_to_the_whole(found, removed, cuts):
    ends = sorted({min(cut, len(found)) for cut in cuts} | {0, len(found)})
    spans = [_span(found, *pair) for pair in itertools.pairwise(ends)]
    price = seats("89.99", removed)
    assert abs(sum(exact(price, span) for span in spans) - exact(price, whole(found))) < TINY


@given(months, removals, st.integers(0, 30), st.integers(1, 3))
def test_more_seats_never_cost_less(found, removed, day, more):
    richer = list(found)
    richer[min(day, len(found) - 1)] += more
    price = seats(removed=removed)
    assert exact(price, whole(richer)) >= exact(price, whole(found)) - TINY


@given(months)
def test_by_the_day_never_costs_more_than_to_the_periods_end(found):
    by_day, to_end = seats(removed="by_day"), seats(removed="period_end")
    assert exact(by_day, whole(found)) <= exact(to_end, whole(found)) + TINY


@given(months)
def test_by_the_day_each_seat_day_costs_its_part(found):
    price = seats("31", "by_day")
    expected = Fraction(total(found)) * 31 / len(found)
    assert abs(exact(price, whole(found)) - expected) < TINY


@given(months, removals, shares)
def test_blocks_have_keys_of_their_own_and_say_what_they_are(found, removed, share):
    lines = rate(seats("89.99", removed), whole(found), currency="USD", share=share)
    assert len({line.key for line in lines}) == len(lines)
    for line in lines:
        assert_adds_up(line)
        (part,) = line.parts
        stated = Fraction(part.quantity) * Fraction(part.unit_amount) / Fraction(part.unit_size)
        assert abs(stated - Fraction(part.amount)) < TINY
