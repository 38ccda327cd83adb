"""The curve of a price: where it bends there is a point, and each point is what ``rate()`` says."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plans.rating.allowance import BeyondAllowance
from plans.rating.curve import Point, curve
from plans.rating.event_amount import EventAmount
from plans.rating.flat import Flat
from plans.rating.graduated import Graduated
from plans.rating.matrix import Matrix, MatrixRate, UnmatchedUsage
from plans.rating.money import total
from plans.rating.package import Package
from plans.rating.per_unit import PerUnit
from plans.rating.percentage import Percentage
from plans.rating.prices import Overage, Price, ServiceClass
from plans.rating.rate import rate
from plans.rating.samples import sample_usage
from plans.rating.seats import Seats
from plans.rating.volume import Volume
from tests.unit.rating.support import (
    D,
    decimals,
    metered,
    prices,
    rising_tier_lists,
    sizes,
    small_quantities,
    tier,
    tier_lists,
    unit_amounts,
)

TIERS = (tier("1000", "0.04"), tier("5000", "0.03"), tier(None, "0.02"))


def drawn(price, **given):
    return {str(each.quantity): str(each.amount) for each in curve(price, currency="USD", **given)}


def corners(price, **given):
    """The points of a curve beside its two ends, without even steps between."""
    return list(drawn(price, points=1, **given).items())


def test_bounds_of_graduated_tiers_are_points_and_the_range_goes_beyond_the_last():
    assert corners(metered(Graduated(TIERS))) == [
        ("0", "0.00"),
        ("1000", "40.00"),
        ("5000", "160.00"),
        ("7500", "210.00"),
    ]


def test_a_jump_has_a_point_on_either_side():
    assert corners(metered(Volume(TIERS)), up_to=D(6000)) == [
        ("0", "0.00"),
        ("1000", "40.00"),
        ("1000.1", "30.00"),
        ("5000", "150.00"),
        ("5000.1", "100.00"),
        ("6000", "120.00"),
    ]


def test_the_first_tiers_fee_is_a_jump_at_zero():
    fees = Graduated((tier("100", "1", "5"), tier(None, "1", "7")))
    assert corners(metered(fees), up_to=D(200)) == [
        ("0", "0.00"),
        ("0.01", "5.01"),
        ("100", "105.00"),
        ("100.01", "112.01"),
        ("200", "212.00"),
    ]


def test_bounds_lie_beyond_what_is_included():
    price = metered(Graduated(TIERS), allowance="500")
    assert [quantity for quantity, _ in corners(price)] == ["0", "500", "1500", "5500", "8000"]


def test_packages_have_an_edge_each_where_they_are_few():
    price = metered(Package(D(5), D(1000), D(500)))
    assert corners(price, up_to=D(3000)) == [
        ("0", "0.00"),
        ("500", "0.00"),
        ("500.1", "5.00"),
        ("1500", "5.00"),
        ("1500.1", "10.00"),
        ("2500", "10.00"),
        ("2500.1", "15.00"),
        ("3000", "15.00"),
    ]
    assert len(curve(price, currency="USD", up_to=D(1_000_000), points=10)) == 13


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        (
            {"minimum": "10", "maximum": "100"},
            [
                ("0", "10.00"),
                ("250", "10.00"),
                ("2500", "100.00"),
                ("10000", "100.00"),
            ],
        ),
        (
            {"maximum": "100", "allowance": "50", "discount_percent": "50"},
            [
                ("0", "0.00"),
                ("50", "0.00"),
                ("5050", "100.00"),
                ("10000", "100.00"),
            ],
        ),
    ],
)
def test_minimum_and_maximum_take_over_at_a_point(terms, expected):
    assert corners(metered(PerUnit(D("0.04")), **terms), up_to=D(10_000)) == expected


def test_the_range_shows_a_maximum_that_is_reached_late():
    price = metered(PerUnit(D("0.001")), maximum="100")
    found = curve(price, currency="USD")
    assert found[-1] == Point(D(130_000), D(100))
    assert D(100_000) in [each.quantity for each in found]


def test_a_maximum_that_is_never_reached_does_not_stretch_the_range():
    price = metered(PerUnit(D("0.000001")), maximum="100000")
    assert curve(price, currency="USD")[-1].quantity == D(10_000)


@pytest.mark.parametrize(
    ("model", "top"),
    [
        (PerUnit(D(1)), D(10_000)),
        (PerUnit(D(3), D(1_000_000)), D(10_000_000)),
        (Package(D(5), D(1000)), D(8000)),
        (Seats(D(89)), D(50)),
        (EventAmount(), D(10_000)),
        (Percentage(D(1), free_amount=D(20_000)), D(40_000)),
        (Graduated((tier("12345", "1"), tier(None, "1"))), D(19_000)),
    ],
)
def test_a_good_range_without_being_told(model, top):
    found = curve(metered(model), currency="USD")
    assert (found[0].quantity, found[-1].quantity) == (0, top)
    assert 40 <= len(found) <= 62


def test_seats_are_whole():
    found = curve(metered(Seats(D(89))), currency="USD", up_to=D(3), points=7)
    assert found == tuple(Point(D(seats), D(89) * seats) for seats in range(4))


def test_beyond_a_hard_cap_there_is_no_curve():
    price = metered(PerUnit(D(1)), allowance="100", minimum="5", overage=Overage("refuse"))
    found = curve(price, currency="USD", up_to=D(500), points=2)
    assert found == (Point(D(0), D(5)), Point(D(50), D(5)), Point(D(100), D(5)))
    with pytest.raises(BeyondAllowance):
        rate(price, sample_usage(price, D(101)), currency="USD")


def test_a_matrix_is_drawn_at_one_of_its_rates():
    rates = (MatrixRate(("large", None), D(2)), MatrixRate(("small", None), D(1)))
    price = metered(Matrix(rates, None), dimensions=("size", "way"))
    assert corners(price, up_to=D(100)) == [("0", "0.00"), ("100", "200.00")]
    small = corners(price, up_to=D(100), dimensions=("small", "in"))
    assert small == [("0", "0.00"), ("100", "100.00")]
    with pytest.raises(UnmatchedUsage):
        curve(price, currency="USD", dimensions=("other", "in"))


def test_service_classes_are_drawn_at_one_of_them():
    classes = (ServiceClass("batch", "Batch", D("0.5")), ServiceClass("fast", "Fast", D(2)))
    price = metered(PerUnit(D(1)), dimensions=("queue",), class_dimension="queue", classes=classes)
    assert corners(price, up_to=D(100))[-1] == ("100", "50.00")
    assert corners(price, up_to=D(100), dimensions=("fast",))[-1] == ("100", "200.00")


def test_transactions_are_never_too_many():
    price = metered(Percentage(D(1), fixed_amount=D(1)))
    found = drawn(price, up_to=D(1_000_000), points=4)
    assert found["1000000"] == "10500.00", "500 transactions of 2,000 each"
    assert drawn(price, points=4)["10000"] == "200.00", "100 transactions of 100 each"


def test_what_has_no_curve():
    assert curve(Price("fee", "Fee", Flat(D(5))), currency="USD") == ()
    assert curve(metered(PerUnit(D(1))), currency="USD", up_to=D(0)) == (Point(D(0), D(0)),)


ranges = st.none() | decimals(0, 10**7, 3)


@settings(max_examples=60)
@given(prices(), ranges, st.integers(1, 12))
def test_each_point_is_what_rate_says_and_they_are_in_order(price, up_to, points):
    found = curve(price, currency="USD", up_to=up_to, points=points)
    for point in found:
        lines = rate(price, sample_usage(price, point.quantity), currency="USD")
        assert point.amount == total(line.amount for line in lines)
    for one, other in itertools.pairwise(found):
        assert one.quantity < other.quantity
    assert found[0].quantity == 0
    if up_to is not None:
        assert found[-1].quantity == up_to


never_falling = st.one_of(
    st.builds(PerUnit, unit_amounts, sizes),
    st.builds(Package, unit_amounts, sizes, small_quantities),
    st.builds(Graduated, tier_lists(), sizes),
    st.builds(Volume, rising_tier_lists(), sizes),
)


@settings(max_examples=60)
@given(never_falling, small_quantities, ranges, st.none() | decimals(0, 500, 2))
def test_a_curve_never_falls_where_its_tiers_do_not(model, allowance, up_to, minimum):
    price = metered(model, allowance=allowance)
    if minimum is not None:
        price = metered(model, allowance=allowance, minimum=minimum, maximum=minimum + 500)
    found = curve(price, currency="USD", up_to=up_to, points=8)
    for one, other in itertools.pairwise(found):
        assert one.amount <= other.amount


@settings(max_examples=60)
@given(tier_lists(), small_quantities)
def test_every_bound_and_what_is_included_are_points(tiers, allowance):
    found = curve(metered(Volume(tiers), allowance=allowance), currency="USD", points=3)
    quantities = [point.quantity for point in found]
    assert allowance in quantities
    for each in tiers[:-1]:
        assert each.up_to + allowance in quantities
        assert any(0 < other - each.up_to - allowance <= 1 for other in quantities)
