"""What is wrong with a price, named by field, in words for finance staff."""

from dataclasses import replace

import pytest
from hypothesis import given

from plans.rating.event_amount import EventAmount
from plans.rating.flat import Flat
from plans.rating.graduated import Graduated
from plans.rating.graduated_percentage import GraduatedPercentage
from plans.rating.matrix import Matrix, MatrixRate
from plans.rating.package import Package
from plans.rating.per_unit import PerUnit
from plans.rating.percentage import Percentage
from plans.rating.prices import Price, Terms
from plans.rating.validation import problems, problems_in_terms
from plans.rating.volume import Volume
from tests.unit.rating.support import D, metered, percent_tier, prices, tier

FLAT = Price("licence", "Licence", Flat(D(49)))


def found(price):
    return [(problem.code, problem.field) for problem in problems(price)]


def only(price):
    (problem,) = problems(price)
    return problem


def matrix(*matches, dimensions=("model", "queue"), **terms):
    rates = tuple(MatrixRate(match, D(1)) for match in matches)
    return metered(Matrix(rates, None), dimensions=dimensions, **terms)


@pytest.mark.parametrize(
    "price",
    [
        FLAT,
        replace(FLAT, once=True),
        metered(PerUnit(D("0.000000000001"), D(1000)), allowance="5", minimum="1", maximum="1"),
        metered(PerUnit(D(0))),
        metered(Package(D(5), D(1000), D(10))),
        metered(Graduated((tier("10", "1"), tier("20", "0.5", "3"), tier(None, "0")))),
        metered(Volume((tier(None, "1"),), charge_first_tier_at_zero=True)),
        metered(Percentage(D("2.9"), fixed_amount=D("0.30"), free_transactions=3)),
        metered(Percentage(D(130))),
        metered(GraduatedPercentage((percent_tier("10", "5"), percent_tier(None, "2")))),
        metered(EventAmount(), discount_percent="100"),
        matrix(("a", "x"), ("a", None), (None, None)),
        matrix(("a", None), ("b", None)),
    ],
)
def test_a_sound_price_has_no_problems(price):
    assert problems(price) == ()


@pytest.mark.parametrize("model", [Graduated, Volume, GraduatedPercentage])
@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ([], [("no_tiers", "tiers")]),
        (["10"], [("last_tier_not_open", "tiers[0].up_to")]),
        (["10", "20"], [("last_tier_not_open", "tiers[1].up_to")]),
        ([None, None], [("open_tier_not_last", "tiers[0].up_to")]),
        (["10", None, None], [("open_tier_not_last", "tiers[1].up_to")]),
        (["0", None], [("bound_not_positive", "tiers[0].up_to")]),
        (["-5", None], [("bound_not_positive", "tiers[0].up_to")]),
        (["10", "10", None], [("bounds_not_rising", "tiers[1].up_to")]),
        (["10", "5", None], [("bounds_not_rising", "tiers[1].up_to")]),
        (["10", "5", "7", None], [("bounds_not_rising", f"tiers[{i}].up_to") for i in (1, 2)]),
    ],
)
def test_tiers(model, bounds, expected):
    make = percent_tier if model is GraduatedPercentage else tier
    assert found(metered(model(tuple(make(up_to, "1") for up_to in bounds)))) == expected


@pytest.mark.parametrize(
    ("price", "field"),
    [
        (replace(FLAT, model=Flat(D(-1))), "amount"),
        (replace(FLAT, minimum=D(-1)), "minimum"),
        (replace(FLAT, maximum=D(-1)), "maximum"),
        (metered(PerUnit(D(-1))), "unit_amount"),
        (metered(PerUnit(D(1)), allowance="-1"), "allowance"),
        (metered(PerUnit(D(1)), discount_percent="-1"), "discount_percent"),
        (metered(Package(D(-1), D(1))), "package_amount"),
        (metered(Package(D(1), D(1), D(-1))), "free_quantity"),
        (metered(Graduated((tier(None, "-1"),))), "tiers[0].unit_amount"),
        (metered(Volume((tier("1", "1"), tier(None, "1", "-2")))), "tiers[1].flat_amount"),
        (metered(GraduatedPercentage((percent_tier(None, "-1"),))), "tiers[0].percent"),
        (metered(Percentage(D(-1))), "percent"),
        (metered(Percentage(D(1), fixed_amount=D(-1))), "fixed_amount"),
        (metered(Percentage(D(1), free_transactions=-1)), "free_transactions"),
        (metered(Percentage(D(1), free_amount=D(-1))), "free_amount"),
        (
            metered(Percentage(D(1), minimum_per_transaction=D(-1))),
            "minimum_per_transaction",
        ),
        (
            metered(Percentage(D(1), maximum_per_transaction=D(-1))),
            "maximum_per_transaction",
        ),
        (
            metered(Matrix((MatrixRate(("a",), D(-1)),), None), dimensions=("x",)),
            "rates[0].unit_amount",
        ),
        (metered(Matrix((MatrixRate(("a",), D(1)),), D(-1)), dimensions=("x",)), "default"),
    ],
)
def test_nothing_is_priced_below_zero(price, field):
    assert found(price) == [("negative", field)]
    assert "below zero" in problems(price)[0].message


@pytest.mark.parametrize(
    ("model", "field"),
    [
        (PerUnit(D(1), D(0)), "unit_size"),
        (PerUnit(D(1), D(-1000)), "unit_size"),
        (Package(D(1), D(0)), "package_size"),
        (Graduated((tier(None, "1"),), D(0)), "unit_size"),
        (Volume((tier(None, "1"),), D(0)), "unit_size"),
    ],
)
def test_sizes_are_above_zero(model, field):
    assert found(metered(model)) == [("size_not_positive", field)]


@pytest.mark.parametrize(
    ("price", "field"),
    [
        (metered(PerUnit(D("0.0000000000001"))), "unit_amount"),
        (metered(Package(D("0.0000000000001"), D(1))), "package_amount"),
        (metered(Graduated((tier(None, "0.1234567890123"),))), "tiers[0].unit_amount"),
        (metered(Percentage(D("0.1234567890123"))), "percent"),
    ],
)
def test_prices_have_12_decimals_at_most(price, field):
    assert found(price) == [("too_many_decimals", field)]


@pytest.mark.parametrize(
    ("price", "field"),
    [
        (metered(PerUnit(D(1)), discount_percent="100.01"), "discount_percent"),
        (metered(Percentage(D("1000.01"))), "percent"),
        (metered(GraduatedPercentage((percent_tier(None, "2500"),))), "tiers[0].percent"),
    ],
)
def test_percentages_out_of_range(price, field):
    assert found(price) == [("percent_out_of_range", field)]


@pytest.mark.parametrize(
    ("price", "field"),
    [
        (metered(PerUnit(D(1)), minimum="10", maximum="9.99"), "minimum"),
        (
            metered(Percentage(D(1), minimum_per_transaction=D(2), maximum_per_transaction=D(1))),
            "minimum_per_transaction",
        ),
    ],
)
def test_a_minimum_is_not_above_its_maximum(price, field):
    assert found(price) == [("minimum_above_maximum", field)]


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (replace(FLAT, meter="jobs"), ("meter_on_flat", "meter")),
        (replace(FLAT, allowance=D(5)), ("allowance_on_flat", "allowance")),
        (replace(metered(PerUnit(D(1))), meter=None), ("no_meter", "meter")),
        (replace(metered(PerUnit(D(1))), meter=""), ("no_meter", "meter")),
        (metered(PerUnit(D(1)), once=True), ("once_on_metered", "once")),
        (replace(FLAT, key=""), ("no_key", "key")),
        (replace(FLAT, name=""), ("no_name", "name")),
        (
            metered(Percentage(D(1), fixed_amount=D(1)), allowance="5"),
            ("allowance_on_transactions", "allowance"),
        ),
    ],
)
def test_what_does_not_go_together(price, expected):
    assert found(price) == [expected]


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (matrix(), [("no_rates", "rates")]),
        (matrix(("a",)), [("wrong_number_of_values", "rates[0].match")]),
        (matrix(("a", "x", "y")), [("wrong_number_of_values", "rates[0].match")]),
        (matrix(("a", "x"), dimensions=()), [("no_dimensions", "dimensions")]),
        (matrix(("a", "x"), ("a", "x")), [("duplicate_rate", "rates[1].match")]),
        (matrix((None, None), (None, None)), [("duplicate_rate", "rates[1].match")]),
        (matrix(("a", None), (None, "x")), [("ambiguous_rates", "rates[1].match")]),
        (
            matrix(("a", None), ("b", None), (None, "x")),
            [("ambiguous_rates", "rates[2].match"), ("ambiguous_rates", "rates[2].match")],
        ),
    ],
)
def test_rates_of_a_matrix(price, expected):
    assert found(price) == expected


def test_an_ambiguity_is_settled_by_a_more_specific_rate():
    """Where each combination that both match has its own rate, nothing is left to chance."""
    settled = matrix(("a", None), (None, "x"), ("a", "x"))
    assert problems(settled) == ()


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "sNaN"])
def test_what_is_not_a_number_is_reported_alone(value):
    price = metered(Graduated((tier("10", "1"), tier("20", value), tier(None, "1"))))
    assert found(price) == [("not_a_number", "tiers[1].unit_amount")]
    assert found(metered(PerUnit(D(1)), allowance=value)) == [("not_a_number", "allowance")]
    assert found(metered(PerUnit(D(value)))) == [("not_a_number", "unit_amount")]


def test_all_problems_are_reported_at_once():
    price = Price("", "", Graduated((tier("0", "-1"),), D(0)), discount_percent=D(200))
    assert found(price) == [
        ("no_key", "key"),
        ("no_name", "name"),
        ("no_meter", "meter"),
        ("size_not_positive", "unit_size"),
        ("percent_out_of_range", "discount_percent"),
        ("bound_not_positive", "tiers[0].up_to"),
        ("last_tier_not_open", "tiers[0].up_to"),
        ("negative", "tiers[0].unit_amount"),
    ]


@pytest.mark.parametrize(
    ("price", "words"),
    [
        (metered(Graduated((tier("10", "1"),))), "Nothing is priced above 10"),
        (matrix(("a", None), (None, "x")), "add a rate for what both match"),
        (matrix(("a",)), "State 2 values, for model, queue"),
        (metered(Graduated((tier("9", "1"), tier("5", "1"), tier(None, "1")))), "bounds must rise"),
    ],
)
def test_messages_say_what_to_do(price, words):
    assert words in only(price).message


def test_sound_terms_have_no_problems():
    assert problems_in_terms(Terms("USD", (FLAT, metered(PerUnit(D(1)))))) == ()
    assert problems_in_terms(Terms("KWD", ())) == ()


def test_problems_in_terms_name_the_price():
    broken = metered(Graduated((tier("10", "1"), tier("5", "1"), tier(None, "1"))))
    terms = Terms("ECU", (FLAT, FLAT, broken))
    assert [(p.code, p.field) for p in problems_in_terms(terms)] == [
        ("unknown_currency", "currency"),
        ("duplicate_key", "prices[1].key"),
        ("bounds_not_rising", "prices[2].tiers[1].up_to"),
    ]


@given(prices())
def test_prices_that_the_properties_are_tried_on_are_sound(price):
    assert problems(price) == ()
