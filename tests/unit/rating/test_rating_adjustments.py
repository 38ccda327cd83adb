"""The ordered steps from a meter's quantity to a line's amount."""

from dataclasses import replace
from decimal import localcontext
from fractions import Fraction

import pytest

from plans.rating.adjustments import AFTER_CHARGE, ShareOutOfRange, discount, maximum, minimum
from plans.rating.flat import Flat
from plans.rating.graduated import Graduated
from plans.rating.money import UnknownCurrency
from plans.rating.per_unit import PerUnit
from plans.rating.prices import MODELS, Price
from plans.rating.rate import rate
from plans.rating.usage import Cell, Usage
from tests.unit.rating.support import D, amounts, assert_adds_up, metered, one_line, tier, used


def steps(line):
    return [(a.kind, a.quantity, a.amount) for a in line.adjustments]


@pytest.mark.parametrize(
    ("unit_amount", "unit_size", "allowance", "used_quantity", "billed_quantity", "billed"),
    [
        ("0.03", "1000000", "20000000", "1020500000", "1000500000", "30.02"),
        ("0.05", "1", "10000", "10400", "400", "20.00"),
        ("0.25", "1", "5000", "5400", "400", "100.00"),
        ("0.25", "1", "5000", "4900", "0", "0.00"),
        ("0.25", "1", "5000", "5000", "0", "0.00"),
        ("0.08", "1", "1000", "1250", "250", "20.00"),
    ],
    ids=[
        "S19 tokens beyond 20 million",
        "S20 jobs beyond the pool",
        "S06 month 1",
        "S06 month 2, inside the allowance",
        "exactly the allowance",
        "S07c overage",
    ],
)
def test_the_allowance_comes_off_the_quantity(
    unit_amount, unit_size, allowance, used_quantity, billed_quantity, billed
):
    price = metered(PerUnit(D(unit_amount), D(unit_size)), allowance=allowance)
    line = one_line(price, used(used_quantity))
    assert str(line.amount) == billed
    assert line.usage_quantity == D(used_quantity)
    assert line.quantity == D(billed_quantity)
    taken = D(used_quantity) - D(billed_quantity)
    assert steps(line) == [("allowance", -taken, None)]


def test_s20_a_pool_is_used_by_all_workspaces_together():
    pooled = Usage(tuple(Cell((), D(q)) for q in ("4000", "3500", "2900")))
    line = one_line(metered(PerUnit(D("0.05")), allowance="10000"), pooled)
    assert (str(line.amount), line.quantity) == ("20.00", D(400))


def test_tiers_count_what_is_billed_and_not_what_is_included():
    model = Graduated((tier("100", "1"), tier(None, "0.5")))
    assert str(one_line(metered(model, allowance="50"), used("150")).amount) == "100.00"


@pytest.mark.parametrize(
    ("terms", "billed", "changed"),
    [
        ({}, "100.00", []),
        ({"discount_percent": "20"}, "80.00", [("discount", None, D(-20))]),
        ({"discount_percent": "100"}, "0.00", [("discount", None, D(-100))]),
        ({"maximum": "60"}, "60.00", [("maximum", None, D(-40))]),
        ({"maximum": "100"}, "100.00", []),
        ({"minimum": "150"}, "150.00", [("minimum", None, D(50))]),
        ({"minimum": "100"}, "100.00", []),
        ({"discount_percent": "20", "maximum": "90"}, "80.00", [("discount", None, D(-20))]),
        (
            {"discount_percent": "20", "maximum": "70"},
            "70.00",
            [("discount", None, D(-20)), ("maximum", None, D(-10))],
        ),
        (
            {"discount_percent": "20", "minimum": "90"},
            "90.00",
            [("discount", None, D(-20)), ("minimum", None, D(10))],
        ),
        ({"maximum": "60", "minimum": "50"}, "60.00", [("maximum", None, D(-40))]),
    ],
)
def test_discount_then_maximum_then_minimum(terms, billed, changed):
    line = one_line(metered(PerUnit(D(1)), **terms), used("100"))
    assert str(line.amount) == billed
    assert steps(line) == changed
    assert_adds_up(line)


def test_the_order_is_written_down_once():
    assert (discount, maximum, minimum) == AFTER_CHARGE


def test_all_steps_at_once_in_their_order():
    price = metered(
        Graduated((tier("100", "1", "30"), tier(None, "0.5"))),
        allowance="100",
        discount_percent="10",
        maximum="110",
        minimum="80",
    )
    line = one_line(price, used("150"), share=Fraction(1, 2))
    assert steps(line) == [
        ("proration", D(-50), D(-15)),
        ("allowance", D(-50), None),
        ("discount", None, D("-11.5")),
        ("maximum", None, D("-48.5")),
    ]
    assert str(line.amount) == "55.00"
    assert_adds_up(line)


@pytest.mark.parametrize(
    ("terms", "quantity", "share", "billed"),
    [
        ({"allowance": "300"}, "150", Fraction(1, 3), "50.00"),
        ({"maximum": "90"}, "150", Fraction(1, 3), "30.00"),
        ({"minimum": "90"}, "10", Fraction(1, 3), "30.00"),
        ({"minimum": "100"}, "10", Fraction(1, 3), "33.33"),
        ({"minimum": "100", "prorated": False}, "10", Fraction(1, 3), "100.00"),
        ({}, "150", Fraction(1, 3), "150.00"),
        ({"minimum": "90"}, "0", Fraction(0), None),
    ],
)
def test_what_a_share_of_the_period_shrinks(terms, quantity, share, billed):
    lines = rate(metered(PerUnit(D(1)), **terms), used(quantity), currency="USD", share=share)
    assert amounts(lines) == ([] if billed is None else [billed])


@pytest.mark.parametrize("share", [Fraction(-1, 30), Fraction(31, 30), 2])
def test_a_share_is_between_0_and_1(share):
    with pytest.raises(ShareOutOfRange) as caught:
        rate(metered(PerUnit(D(1))), used("1"), currency="USD", share=share)
    assert caught.value.code == "share_out_of_range"


def test_a_minimum_makes_a_line_without_usage():
    line = one_line(metered(PerUnit(D(1)), minimum="25"), Usage())
    assert (str(line.amount), line.quantity, line.usage_quantity) == ("25.00", 0, 0)
    assert line.key == ""


def test_s02_each_version_rates_its_own_days():
    before, after = metered(PerUnit(D(20), D(10**6))), metered(PerUnit(D("0.07"), D(10**6)))
    first = one_line(before, used("3000000"), share=Fraction(14, 30))
    second = one_line(after, used("4000000"), share=Fraction(16, 30))
    assert (str(first.amount), str(second.amount)) == ("60.00", "0.28")


def test_s23_all_of_one_statement():
    prices = [
        (Price("setup", "Setup", Flat(D(5000)), once=True), Usage()),
        (Price("platform", "Platform", Flat(D(1000))), Usage()),
        (metered(PerUnit(D("1.50"))), used("200")),
        (metered(PerUnit(D(2), D(10**6))), used("40000000")),
        (metered(PerUnit(D(3))), used("12.5")),
    ]
    billed = [one_line(price, usage).amount for price, usage in prices]
    assert [str(b) for b in billed] == ["5000.00", "1000.00", "300.00", "80.00", "37.50"]
    assert sum(billed) == D("6417.50")


@pytest.mark.parametrize(
    ("currency", "billed"), [("USD", "30.02"), ("JPY", "30"), ("KWD", "30.015"), ("CLF", "30.0150")]
)
def test_a_line_is_rounded_once_to_its_currency(currency, billed):
    line = one_line(metered(PerUnit(D("0.03"), D(10**6))), used("1000500000"), currency=currency)
    assert str(line.exact_amount) == "30.015"
    assert str(line.amount) == billed


def test_an_unknown_currency_is_refused():
    with pytest.raises(UnknownCurrency):
        rate(metered(PerUnit(D(1))), used("1"), currency="ECU")


def test_the_callers_context_changes_nothing():
    price = metered(
        PerUnit(D("0.123456789012"), D(7)), allowance="3", discount_percent="12.5", maximum="1E+30"
    )
    usage = used("1000000000000000.123456")
    expected = rate(price, usage, currency="USD", share=Fraction(1, 3))
    with localcontext() as context:
        context.prec = 5
        context.rounding = "ROUND_DOWN"
        assert rate(price, usage, currency="USD", share=Fraction(1, 3)) == expected


def test_the_registry_names_every_model():
    assert sorted(MODELS) == [
        "event_amount",
        "flat",
        "graduated",
        "graduated_percentage",
        "matrix",
        "package",
        "per_unit",
        "percentage",
        "seats",
        "volume",
    ]
    assert len(set(MODELS.values())) == 10


def test_values_are_frozen():
    price = metered(PerUnit(D(1)))
    line = one_line(price, used("1"))
    for value, field in ((price, "key"), (line, "amount"), (line.parts[0], "amount")):
        with pytest.raises(AttributeError):
            setattr(value, field, "x")
    assert hash(replace(price, name="Others")) != hash(price)
