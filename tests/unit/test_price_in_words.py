"""A price as a line of a list, and what samples of it come to."""

from decimal import Decimal as D

import pytest

from plans import rating
from plans.examples import examples
from plans.words import money, summary

TIERS = (rating.Tier(D(1000), D("0.04")), rating.Tier(None, D("0.03"), D(5)))
PERCENT_TIERS = (rating.PercentTier(D(1000), D("2.9")), rating.PercentTier(None, D(2)))
MATRIX = rating.Matrix(
    rates=(rating.MatrixRate(("large", None), D(15)), rating.MatrixRate(("small", "in"), D(3))),
    default=D(20),
    unit_size=D(1000),
)


def price(model, **given):
    meter = None if isinstance(model, rating.Flat) else "m"
    return rating.Price(
        key="p", name="P", model=model, **({"meter": meter, "unit": "calls"} | given)
    )


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (rating.Flat(D(99)), "99.00 USD a period"),
        (rating.PerUnit(D("0.5"), D(1000)), "0.5 USD per 1,000 calls"),
        (
            rating.Package(D(10), D(5), D(2)),
            "10.00 USD for each package of 5 calls, the first 2 free",
        ),
        (rating.Graduated(TIERS), "graduated: up to 1,000 at 0.04, above at 0.03 + 5 flat"),
        (rating.Volume((rating.Tier(None, D(2)),)), "volume: all at 2"),
        (
            rating.GraduatedPercentage(PERCENT_TIERS),
            "graduated: up to 1,000 at 2.9%, above at 2%",
        ),
        (rating.Percentage(D("2.9"), D("0.3")), "2.9% + 0.30 USD a transaction"),
        (rating.EventAmount(), "the amount that each event carries"),
    ],
)
def test_each_charge_model_in_words(model, words):
    assert summary(price(model), currency="USD") == words


def test_a_matrix_names_its_dimensions_and_the_default():
    words = summary(price(MATRIX, dimensions=("size", "way")), currency="USD")

    assert words == "by size, way: large / * at 15, small / in at 3, other at 20, each per 1,000"


def test_what_lies_around_a_price_is_named():
    around = price(
        rating.PerUnit(D(1)), allowance=D(1000), discount_percent=D(10), minimum=D(5), maximum=D(50)
    )

    words = "1 USD per 1 calls; 1,000 calls included; 10% off; at least 5.00 USD; at most 50.00 USD"
    assert summary(around, currency="USD") == words


def test_samples_come_from_the_rating_engine():
    found = examples(price(rating.Graduated(TIERS)), currency="USD")

    assert [(each.quantity, each.amount) for each in found] == [
        ("1,000 calls", "40.00 USD"),
        ("10,000 calls", "315.00 USD"),
        ("100,000 calls", "3,015.00 USD"),
    ]
    assert found[1].words.endswith("1,000 at 0.04 + 9,000 at 0.03 + 5.00 flat = 315.00")


def test_a_price_per_million_has_larger_samples_in_its_currency():
    found = examples(price(rating.PerUnit(D(3), D(1_000_000))), currency="JPY")

    assert (found[0].quantity, found[0].amount) == ("1,000,000 calls", "3 JPY")


def test_a_price_with_rules_for_each_transaction_is_shown_for_transactions_of_a_hundred():
    found = examples(price(rating.Percentage(D("2.9"), D("0.3"))), currency="USD")

    assert found[0].amount == "32.00 USD", "ten transactions: 29.00 + 10 x 0.30"


def test_a_matrix_has_a_sample_for_each_rate_and_the_default():
    found = examples(price(MATRIX, dimensions=("size", "way")), currency="USD")

    assert [each.amount for each in found] == ["150.00 USD", "30.00 USD", "200.00 USD"]
    assert found[0].quantity == "10,000 calls, large / any other"


def test_money_keeps_the_decimals_that_it_has():
    assert money(D("0.0004"), currency="USD") == "0.0004 USD"
    assert money(D(5), currency="KWD") == "5.000 KWD"
