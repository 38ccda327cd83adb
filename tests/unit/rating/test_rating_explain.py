"""A line in words."""

from fractions import Fraction

import pytest

from plans.rating.event_amount import EventAmount
from plans.rating.explain import in_words
from plans.rating.flat import Flat
from plans.rating.graduated import Graduated
from plans.rating.graduated_percentage import GraduatedPercentage
from plans.rating.matrix import Matrix, MatrixRate
from plans.rating.package import Package
from plans.rating.per_unit import PerUnit
from plans.rating.percentage import Percentage
from plans.rating.prices import Price
from plans.rating.rate import rate
from plans.rating.usage import Cell, Usage
from plans.rating.volume import Volume
from tests.unit.rating.support import D, metered, one_line, percent_tier, tier, used

CALLS = Graduated((tier("10000", "0.002"), tier(None, "0.0015")))
FEES = Graduated((tier("10", "1", "5"), tier(None, "0.5")))


@pytest.mark.parametrize(
    ("model", "quantity", "terms", "words"),
    [
        (CALLS, "12500", {}, "12,500 jobs: 10,000 at 0.002 + 2,500 at 0.0015 = 23.75"),
        (FEES, "12", {}, "12 jobs: 10 at 1 + 5.00 flat + 2 at 0.5 = 16.00"),
        (Volume(CALLS.tiers), "12500", {}, "12,500 jobs: 12,500 at 0.0015 = 18.75"),
        (PerUnit(D("0.005"), D(1000)), "2000", {}, "2,000 jobs: 2,000 at 0.005 per 1,000 = 0.01"),
        (Package(D(5), D(1000)), "2500", {}, "2,500 jobs: 3 packages of 1,000 at 5 = 15.00"),
        (Percentage(D(25)), "1000", {}, "1,000 jobs: 25% of 1,000 = 250.00"),
        (EventAmount(), "12.50", {}, "12.5 jobs: 12.5 at 1 = 12.50"),
        (
            GraduatedPercentage((percent_tier("1000", "10"), percent_tier(None, "2.5"))),
            "2000",
            {},
            "2,000 jobs: 10% of 1,000 + 2.5% of 1,000 = 125.00",
        ),
        (
            PerUnit(D("0.05")),
            "10400",
            {"allowance": "10000"},
            "10,400 jobs, 10,000 of them included: 400 at 0.05 = 20.00",
        ),
        (
            PerUnit(D("0.05")),
            "400",
            {"allowance": "10000"},
            "400 jobs, 400 of them included: nothing to bill = 0.00",
        ),
        (
            PerUnit(D(1)),
            "100",
            {"discount_percent": "20", "maximum": "70"},
            "100 jobs: 100 at 1, less 20.00 discount, less 10.00 to the maximum = 70.00",
        ),
        (
            PerUnit(D(1)),
            "10",
            {"minimum": "25"},
            "10 jobs: 10 at 1, plus 15.00 to the minimum = 25.00",
        ),
    ],
)
def test_a_line_in_words(model, quantity, terms, words):
    line = one_line(metered(model, **terms), used(quantity))
    assert in_words(line, currency="USD") == words


@pytest.mark.parametrize(
    ("currency", "words"),
    [
        (
            "USD",
            "1,000,500,000 jobs: 1,000,500,000 at 0.03 per 1,000,000 = 30.015, rounded to 30.02",
        ),
        ("KWD", "1,000,500,000 jobs: 1,000,500,000 at 0.03 per 1,000,000 = 30.015"),
        ("JPY", "1,000,500,000 jobs: 1,000,500,000 at 0.03 per 1,000,000 = 30.015, rounded to 30"),
    ],
)
def test_rounding_is_shown_where_it_changes_the_amount(currency, words):
    line = one_line(metered(PerUnit(D("0.03"), D(10**6))), used("1000500000"), currency=currency)
    assert in_words(line, currency=currency) == words


def test_an_endless_fraction_is_cut_for_reading():
    line = one_line(metered(PerUnit(D(3), D(3600))), used("147737"))
    assert in_words(line, currency="USD") == (
        "147,737 jobs: 147,737 at 3 per 3,600 = 123.114166666667, rounded to 123.11"
    )


def test_a_flat_price_has_its_name():
    price = Price("licence", "Licence", Flat(D(89)))
    assert in_words(one_line(price, Usage()), currency="USD") == "Licence: 89.00 flat = 89.00"
    half = one_line(price, Usage(), share=Fraction(1, 2))
    assert in_words(half, currency="USD") == (
        "Licence: 89.00 flat, less 44.50 for the share of the period in force = 44.50"
    )


def test_fees_and_bounds_of_transactions():
    model = Percentage(D(1), fixed_amount=D("0.30"), minimum_per_transaction=D(1))
    usage = Usage((Cell((), D(150)),), (D(100), D(50)))
    assert in_words(one_line(metered(model), usage), currency="USD") == (
        "150 jobs: 1% of 150 + 2 at 0.3 + 0.20 minimum per transaction = 2.30"
    )


def test_lines_of_a_matrix_are_named_and_its_minimum_too():
    price = metered(
        Matrix((MatrixRate(("gpt-4o",), D("0.01")),), None), dimensions=("model",), minimum="5"
    )
    lines = rate(price, used("100", "gpt-4o"), currency="USD")
    assert [in_words(line, currency="USD") for line in lines] == [
        "gpt-4o, 100 jobs: 100 at 0.01 = 1.00",
        "Jobs, up to the minimum: 4.00 up to the minimum = 4.00",
    ]


def test_a_minimum_without_usage():
    line = one_line(metered(PerUnit(D(1)), minimum="25"), Usage())
    assert in_words(line, currency="USD") == (
        "Jobs: nothing to bill, plus 25.00 to the minimum = 25.00"
    )


def test_a_price_without_a_unit_counts_units():
    price = Price("p", "P", PerUnit(D(1)), meter="m")
    assert in_words(one_line(price, used("3")), currency="USD") == "3 units: 3 at 1 = 3.00"
