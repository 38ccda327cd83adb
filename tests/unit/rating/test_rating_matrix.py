"""A matrix of rates: a line for each, the most specific match wins, nothing is free by mistake."""

from fractions import Fraction

import pytest

from plans.rating.charge import NegativeQuantity
from plans.rating.matrix import (
    Matrix,
    MatrixRate,
    UnmatchedUsage,
    WrongDimensions,
    rate_key,
    rate_label,
)
from plans.rating.prices import Price
from plans.rating.rate import rate
from plans.rating.usage import Cell, Usage
from tests.unit.rating.support import D, amounts, assert_adds_up

TOKENS = (
    MatrixRate(("gpt-4o", "batch"), D("0.005")),
    MatrixRate(("gpt-4o", "on_demand"), D("0.01")),
    MatrixRate(("gpt-3.5", None), D("0.002"), label="GPT-3.5"),
)


def tokens(rates=TOKENS, default=None, unit_size="1000", **terms):
    return Price(
        key="tokens",
        name="Tokens",
        model=Matrix(tuple(rates), default, D(unit_size)),
        meter="tokens",
        dimensions=("model", "queue"),
        unit="tokens",
        **terms,
    )


def by_model(*pairs):
    return Usage(tuple(Cell(tuple(values.split("/")), D(quantity)) for values, quantity in pairs))


S01 = by_model(
    ("gpt-4o/batch", "12345678"), ("gpt-4o/on_demand", "1234567"), ("gpt-3.5/batch", "50000001")
)


def test_s01_tokens_by_model_and_queue():
    lines = rate(tokens(), S01, currency="USD")
    assert amounts(lines) == ["61.73", "12.35", "100.00"]
    assert [line.key for line in lines] == ["gpt-4o/batch", "gpt-4o/on_demand", "gpt-3.5/*"]
    assert [line.label for line in lines] == ["gpt-4o / batch", "gpt-4o / on_demand", "GPT-3.5"]
    assert sum(line.amount for line in lines) == D("174.08")


def test_lines_stand_in_the_order_of_the_rates_whatever_that_of_the_usage():
    backwards = Usage(tuple(reversed(S01.cells)))
    assert rate(tokens(), backwards, currency="USD") == rate(tokens(), S01, currency="USD")


def test_cells_of_one_rate_become_one_line():
    usage = by_model(("gpt-3.5/batch", "400"), ("gpt-3.5/on_demand", "600"), ("gpt-3.5/", "1000"))
    (line,) = rate(tokens(), usage, currency="USD")
    assert (line.quantity, str(line.exact_amount)) == (D(2000), "0.004")


SPECIFICITY = (
    MatrixRate((None, None), D(1), "any"),
    MatrixRate(("a", None), D(2), "a"),
    MatrixRate((None, "x"), D(3), "x"),
    MatrixRate(("a", "x"), D(4), "a and x"),
)


@pytest.mark.parametrize(
    ("values", "label"),
    [("a/x", "a and x"), ("a/y", "a"), ("b/x", "x"), ("b/y", "any"), ("a/", "a"), ("/", "any")],
)
def test_the_most_specific_match_wins(values, label):
    (line,) = rate(tokens(SPECIFICITY), by_model((values, "1000")), currency="USD")
    assert line.label == label


def test_a_rate_may_be_for_a_missing_value():
    rates = (MatrixRate(("a", ""), D(2)), MatrixRate(("a", None), D(1)))
    lines = rate(tokens(rates), by_model(("a/", "1000"), ("a/x", "1000")), currency="USD")
    assert [(line.key, line.label) for line in lines] == [("a/", "a / none"), ("a/*", "a / any")]
    assert amounts(lines) == ["2.00", "1.00"]


def test_usage_without_a_rate_is_never_billed_at_zero():
    usage = by_model(("gpt-4o/batch", "10"), ("gpt-5/", "7"))
    with pytest.raises(UnmatchedUsage, match=r"7 with model=gpt-5, queue=\(none\)") as caught:
        rate(tokens(), usage, currency="USD")
    assert caught.value.code == "unmatched_usage"


def test_a_default_takes_what_no_rate_matches_and_comes_last():
    usage = by_model(("gpt-5/batch", "3000"), ("gpt-4o/batch", "1000"), ("o3/batch", "1000"))
    lines = rate(tokens(default=D("0.5")), usage, currency="USD")
    assert [line.key for line in lines] == ["gpt-4o/batch", "default"]
    assert lines[-1].label == "Tokens, other"
    assert (lines[-1].quantity, str(lines[-1].amount)) == (D(4000), "2.00")


def test_a_default_of_zero_is_stated_and_allowed():
    (line,) = rate(tokens(default=D(0)), by_model(("gpt-5/batch", "3000")), currency="USD")
    assert (line.quantity, str(line.amount)) == (D(3000), "0.00")


def test_a_cell_of_nothing_needs_no_rate():
    assert rate(tokens(), by_model(("gpt-5/batch", "0")), currency="USD") == ()
    assert rate(tokens(), Usage(), currency="USD") == ()


def test_corrections_may_cancel_within_a_rate_but_not_outweigh_it():
    evened = by_model(("gpt-3.5/a", "5"), ("gpt-3.5/b", "-5"))
    assert rate(tokens(), evened, currency="USD") == ()
    with pytest.raises(NegativeQuantity):
        rate(tokens(), by_model(("gpt-3.5/a", "5"), ("gpt-3.5/b", "-6")), currency="USD")


def test_a_rate_below_zero_is_refused_even_if_the_sum_is_not():
    usage = by_model(("gpt-3.5/a", "5000"), ("gpt-4o/batch", "-1"))
    with pytest.raises(NegativeQuantity):
        rate(tokens(), usage, currency="USD")


def test_cells_of_another_shape_are_refused():
    with pytest.raises(WrongDimensions) as caught:
        rate(tokens(), by_model(("gpt-4o", "5")), currency="USD")
    assert caught.value.code == "wrong_dimensions"


def test_the_allowance_is_used_up_in_the_order_of_the_rates():
    lines = rate(tokens(allowance=D(13_000_000)), S01, currency="USD")
    assert [line.quantity for line in lines] == [0, D(580_245), D(50_000_001)]
    assert [line.usage_quantity for line in lines] == [D(12345678), D(1234567), D(50000001)]
    assert amounts(lines) == ["0.00", "5.80", "100.00"]
    assert [a.quantity for line in lines for a in line.adjustments] == [D(-12345678), D(-654322)]


def test_an_allowance_shrinks_with_the_share():
    lines = rate(tokens(allowance=D(26_000_000)), S01, currency="USD", share=Fraction(1, 2))
    assert [line.quantity for line in lines] == [0, D(580_245), D(50_000_001)]
    assert [(a.kind, a.quantity) for a in lines[0].adjustments] == [
        ("proration", D(-13_000_000)),
        ("allowance", D(-12_345_678)),
    ]


def test_a_discount_is_taken_line_by_line():
    lines = rate(tokens(discount_percent=D(10)), S01, currency="USD")
    assert amounts(lines) == ["55.56", "11.11", "90.00"]


def test_a_maximum_is_split_by_the_exact_amounts():
    lines = rate(tokens(maximum=D(100)), S01, currency="USD")
    assert amounts(lines) == ["35.46", "7.09", "57.45"]
    for line in lines:
        assert line.adjustments[-1].kind == "maximum"
        assert_adds_up(line)


def test_a_maximum_that_is_not_reached_changes_nothing():
    assert rate(tokens(maximum=D("174.08")), S01, currency="USD") == rate(
        tokens(), S01, currency="USD"
    )


def test_rounding_each_line_never_breaks_the_maximum():
    usage = by_model(("gpt-4o/batch", "1"), ("gpt-4o/on_demand", "1"), ("gpt-3.5/x", "1"))
    rates = [MatrixRate(r.match, D("3.335")) for r in TOKENS]
    assert amounts(rate(tokens(rates, unit_size="1"), usage, currency="USD")) == ["3.34"] * 3
    lines = rate(tokens(rates, unit_size="1", maximum=D("10.01")), usage, currency="USD")
    assert amounts(lines) == ["3.34", "3.34", "3.33"]


def test_a_minimum_is_a_line_of_its_own():
    lines = rate(tokens(minimum=D(200)), S01, currency="USD")
    assert amounts(lines) == ["61.73", "12.35", "100.00", "25.92"]
    assert (lines[-1].key, lines[-1].label) == ("minimum", "Tokens, up to the minimum")
    assert_adds_up(lines[-1])


def test_a_minimum_is_due_without_usage_and_shrinks_with_the_share():
    assert amounts(rate(tokens(minimum=D(20)), Usage(), currency="USD")) == ["20.00"]
    half = rate(tokens(minimum=D(20)), Usage(), currency="USD", share=Fraction(1, 3))
    assert amounts(half) == ["6.67"]


def test_a_minimum_that_is_reached_adds_no_line():
    assert len(rate(tokens(minimum=D("174.08")), S01, currency="USD")) == 3


@pytest.mark.parametrize(
    ("match", "key", "label"),
    [
        (("gpt-4o", "batch"), "gpt-4o/batch", "gpt-4o / batch"),
        (("gpt-4o", None), "gpt-4o/*", "gpt-4o / any"),
        ((None, None), "*/*", "any / any"),
        (("a/b", "c"), "a%2Fb/c", "a/b / c"),
        (("a", "b/c"), "a/b%2Fc", "a / b/c"),
        (("*",), "%2A", "*"),
        (("100%",), "100%25", "100%"),
        (("default",), "=default", "default"),
        (("minimum",), "=minimum", "minimum"),
        (("=default",), "%3Ddefault", "=default"),
        (("",), "=", "none"),
    ],
)
def test_keys_are_unique_and_stable(match, key, label):
    rate_of = MatrixRate(match, D(1))
    assert rate_key(rate_of) == key
    assert rate_label(rate_of) == label


def test_the_model_gives_one_charge_for_each_matched_rate():
    charges = Matrix(TOKENS, None, D(1000)).charge(S01)
    assert [str(charge.amount) for charge in charges] == ["61.72839", "12.34567", "100.000002"]
    assert [charge.parts[0].label for charge in charges] == [
        "gpt-4o / batch",
        "gpt-4o / on_demand",
        "GPT-3.5",
    ]


def test_s05_a_price_for_each_kind_of_job():
    rates = [
        MatrixRate(("document",), D("0.50"), "documents"),
        MatrixRate(("video",), D("2.00"), "videos"),
        MatrixRate(("pipeline",), D("5.00"), "pipelines"),
    ]
    price = Price(
        key="jobs",
        name="Jobs",
        model=Matrix(tuple(rates), None),
        meter="jobs",
        dimensions=("kind",),
    )
    usage = by_model(("document", "1234"), ("video", "56"), ("pipeline", "7"))
    lines = rate(price, usage, currency="USD")
    assert amounts(lines) == ["617.00", "112.00", "35.00"]
    assert sum(line.amount for line in lines) == D("764.00")


def test_many_cells_and_many_rates():
    rates = [MatrixRate((f"model-{i}", None), D(i)) for i in range(200)]
    usage = Usage(tuple(Cell((f"model-{i % 200}", f"day-{i}"), D(1)) for i in range(5000)))
    lines = rate(tokens(rates, unit_size="1"), usage, currency="USD")
    assert len(lines) == 200
    assert sum(line.amount for line in lines) == D(25) * sum(range(200))
