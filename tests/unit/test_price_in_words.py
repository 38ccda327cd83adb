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
        (
            rating.Percentage(D(1), D(0), 3, D(500), D("0.25"), D(9)),
            (
                "1%, the first 3 transactions free, the first 500.00 USD free,"
                " at least 0.25 USD each, at most 9.00 USD each"
            ),
        ),
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


CLASSES = (
    rating.ServiceClass("batch", "Batch", D("0.5")),
    rating.ServiceClass("fast", "Fast", D(2), start_within_minutes=5),
)
BY_CLASS = {"dimensions": ("model", "queue"), "class_dimension": "queue"}


@pytest.mark.parametrize(
    ("model", "given", "words"),
    [
        (rating.Flat(D(5000)), {"once": True}, "5,000.00 USD once"),
        (rating.Flat(D(990)), {"every_months": 12}, "990.00 USD every 12 months, in advance"),
        (
            rating.Seats(D(89)),
            {"unit": "editor seats"},
            (
                "89.00 USD per editor seat and period, by the day when added,"
                " to the period's end when given up"
            ),
        ),
        (rating.Seats(D(9), "by_day"), {"unit": ""}, "9.00 USD per seat and period, by the day"),
        (
            rating.PerUnit(D("0.4")),
            BY_CLASS | {"classes": CLASSES},
            "0.4 USD per 1 calls; times the service class in queue: Batch x 0.5, Fast x 2",
        ),
        (rating.PerUnit(D(1)), BY_CLASS, "1 USD per 1 calls; times the service class in queue"),
        (
            rating.PerUnit(D(1)),
            {"allowance": D(500), "allowance_per": "workspace", "phases": ("intro", "steady")},
            "1 USD per 1 calls; 500 calls included for each workspace; in intro, steady only",
        ),
        (
            rating.PerUnit(D(1)),
            {"allowance": D(500), "overage": rating.Overage("refuse")},
            "1 USD per 1 calls; 500 calls included; no more is admitted",
        ),
        (
            rating.PerUnit(D(1)),
            {"allowance": D(500), "overage": rating.Overage("upgrade", upgrade_to="pro")},
            (
                "1 USD per 1 calls; 500 calls included; with more, the customer moves to the plan"
                " “pro”"
            ),
        ),
        (
            rating.PerUnit(D(1)),
            {"allowance": D(500), "overage": rating.Overage("packs", "", D(1000), D(5), 3, 1)},
            (
                "1 USD per 1 calls; 500 calls included; more in packs of 1,000 calls at 5.00 USD,"
                " at most 3, each good for 1 month"
            ),
        ),
    ],
)
def test_everything_a_price_can_say_in_words(model, given, words):
    assert summary(price(model, **given), currency="USD") == words


def test_seats_have_samples_by_the_seat():
    found = examples(price(rating.Seats(D(89)), unit=""), currency="USD")

    assert [(each.quantity, each.amount, each.words) for each in found] == [
        ("1 seat", "89.00 USD", "1 seat: 1 at 89 = 89.00"),
        ("10 seats", "890.00 USD", "10 seats: 10 at 89 = 890.00"),
        ("50 seats", "4,450.00 USD", "50 seats: 50 at 89 = 4,450.00"),
    ]


def test_each_service_class_has_a_sample():
    found = examples(price(rating.PerUnit(D("0.4")), classes=CLASSES, **BY_CLASS), currency="USD")

    assert [(each.quantity, each.amount) for each in found] == [
        ("10,000 calls, Batch", "2,000.00 USD"),
        ("10,000 calls, Fast", "8,000.00 USD"),
    ]
    assert found[0].words == "P, Batch, 10,000 calls: 10,000 at 0.2 = 2,000.00"


def test_a_price_by_class_without_its_classes_has_no_sample():
    assert examples(price(rating.PerUnit(D("0.4")), **BY_CLASS), currency="USD") == ()


def test_an_allowance_has_samples_at_its_end_and_beyond_it():
    found = examples(price(rating.PerUnit(D("0.05")), allowance=D(10_000)), currency="USD")

    assert [each.words for each in found] == [
        "10,000 calls, 10,000 of them included: nothing to bill = 0.00",
        "12,500 calls, 10,000 of them included: 2,500 at 0.05 = 125.00",
        "20,000 calls, 10,000 of them included: 10,000 at 0.05 = 500.00",
    ]


@pytest.mark.parametrize("allowance_per", ["customer", "workspace"])
def test_where_nothing_is_billed_beyond_the_allowance_no_sample_lies_there(allowance_per):
    capped = price(
        rating.PerUnit(D("0.05")),
        allowance=D(10_000),
        allowance_per=allowance_per,
        overage=rating.Overage("refuse"),
    )

    found = examples(capped, currency="USD")

    assert [each.quantity for each in found] == ["5,000 calls", "10,000 calls"]


@pytest.mark.parametrize(
    ("given", "due"),
    [
        ({}, "each period"),
        ({"once": True}, "at the start"),
        ({"every_months": 3}, "every 3 months"),
    ],
)
def test_a_fee_says_when_it_is_due(given, due):
    (found,) = examples(price(rating.Flat(D(49)), **given), currency="USD")

    assert found == (due, "49.00 USD", "P: 49.00 flat = 49.00")


def test_the_worked_example_in_words():
    tiers = (rating.Tier(D(10_000), D("0.002")), rating.Tier(None, D("0.0015")))
    (line,) = rating.rate(
        price(rating.Graduated(tiers)),
        rating.Usage(cells=(rating.Cell((), D(12_500)),)),
        currency="USD",
    )

    words = "12,500 calls: 10,000 at 0.002 + 2,500 at 0.0015 = 23.75"
    assert rating.in_words(line, currency="USD") == words


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
