"""Prices in credits: every amount is a number of credits, rounded to their finest part."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.rating.curve import curve
from plans.rating.explain import in_words
from plans.rating.flat import Flat
from plans.rating.matrix import Matrix, MatrixRate
from plans.rating.money import CreditUnit, RatingError, minor_units, round_money, split, total
from plans.rating.per_unit import PerUnit
from plans.rating.prices import Price, unit_of
from plans.rating.rate import rate
from plans.rating.usage import Cell, Usage
from tests.unit.rating.support import (
    D,
    amounts,
    assert_adds_up,
    decimals,
    metered,
    one_line,
    prices,
    quantities,
    shares,
    used,
)

TOKN = CreditUnit("TOKN")
FINE = CreditUnit("FINE", 3)
BY_MODEL = Matrix(
    (MatrixRate(("gpt-4o",), D(5), "GPT-4o"), MatrixRate(("gpt-3.5",), D("0.5"), "GPT-3.5")),
    default=D(1),
    unit_size=D(1000),
)

credit_units = st.builds(CreditUnit, st.just("TOKN"), st.integers(0, 12))


def by_model(*cells):
    return Usage(tuple(Cell((model,), D(quantity)) for model, quantity in cells))


@pytest.mark.parametrize(
    ("quantity", "unit", "expected"),
    [
        ("1200000", TOKN, "6000"),
        ("2900", TOKN, "15"),
        ("2899", TOKN, "14"),
        ("99", TOKN, "0"),
        ("100", TOKN, "1"),
        ("100", FINE, "0.500"),
        ("0.1", FINE, "0.001"),
    ],
)
def test_tokens_at_five_credits_per_thousand(quantity, unit, expected):
    price = metered(PerUnit(D(5), D(1000)), credit=unit)
    assert str(one_line(price, used(quantity)).amount) == expected


def test_the_currency_of_the_terms_is_not_asked_for_decimals():
    price = metered(PerUnit(D("0.001")), credit=FINE)
    for currency in ("JPY", "USD", "KWD"):
        assert str(one_line(price, used("1"), currency=currency).amount) == "0.001"


def test_each_model_of_a_matrix_uses_its_own_credits():
    price = metered(BY_MODEL, dimensions=("model",), credit=TOKN)
    usage = by_model(("gpt-4o", "100000"), ("gpt-3.5", "99000"), ("claude", "2500"))
    lines = rate(price, usage, currency="USD")
    assert amounts(lines) == ["500", "50", "3"]
    assert [str(line.exact_amount) for line in lines] == ["500", "49.5", "2.5"]


def test_a_maximum_in_credits_is_split_into_whole_credits():
    price = metered(BY_MODEL, dimensions=("model",), credit=TOKN, maximum="100")
    usage = by_model(("gpt-4o", "20000"), ("gpt-3.5", "200000"), ("claude", "100000"))
    assert amounts(rate(price, usage, currency="USD")) == ["34", "33", "33"]


def test_a_minimum_in_credits_tops_up_in_credits():
    price = metered(BY_MODEL, dimensions=("model",), credit=FINE, minimum="2")
    lines = rate(price, by_model(("gpt-3.5", "1")), currency="JPY")
    assert [(line.key, str(line.amount)) for line in lines][1:] == [("minimum", "1.999")]


def test_a_fee_may_be_in_credits_and_shrinks_to_the_share_of_the_period():
    fee = Price(key="fee", name="Fee", model=Flat(D(25)), credit=TOKN)
    assert str(one_line(fee, Usage()).amount) == "25"
    assert str(one_line(fee, Usage(), share=Fraction(1, 2)).amount) == "13"


def test_words_name_the_credit():
    price = metered(PerUnit(D(5), D(1000)), credit=TOKN)
    line = one_line(price, used("1200000"))
    assert in_words(line, currency=TOKN) == "1,200,000 jobs: 1,200,000 at 5 per 1,000 = 6,000 TOKN"
    uneven = one_line(price, used("2900"))
    assert in_words(uneven, currency=TOKN) == (
        "2,900 jobs: 2,900 at 5 per 1,000 = 14.5, rounded to 15 TOKN"
    )


def test_the_curve_of_a_price_in_credits_is_in_credits():
    price = metered(PerUnit(D("0.001")), credit=FINE)
    points = curve(price, currency="JPY", up_to=D(1), points=1)
    assert [str(point.amount) for point in points] == ["0.000", "0.001"]


def test_a_unit_of_account_is_the_credit_or_else_the_currency():
    assert unit_of(metered(PerUnit(D(1))), currency="USD") == "USD"
    assert unit_of(metered(PerUnit(D(1)), credit=TOKN), currency="USD") is TOKN
    assert (str(FINE), minor_units(FINE)) == ("FINE", 3)


def test_credits_are_split_by_largest_remainder_into_their_finest_parts():
    assert [str(part) for part in split(D(10), weights=[D(1)] * 3, currency=TOKN)] == [
        "4",
        "3",
        "3",
    ]
    with pytest.raises(RatingError, match=r"0\.5 is not a whole number of TOKN's minor units"):
        split(D("0.5"), weights=[D(1)], currency=TOKN)


@given(prices(), quantities, shares, credit_units)
def test_parts_and_adjustments_add_up_and_a_line_is_rounded_once(price, quantity, share, unit):
    for line in rate(replace(price, credit=unit), used(quantity), currency="USD", share=share):
        assert_adds_up(line)
        assert line.amount == round_money(line.exact_amount, currency=unit)
        assert -line.amount.as_tuple().exponent == unit.decimals
        assert abs(line.amount - line.exact_amount) <= D("0.5").scaleb(-unit.decimals)


@given(prices(), quantities, shares)
def test_a_credit_with_a_currencys_decimals_is_rated_as_that_currency(price, quantity, share):
    usage = used(quantity)
    money = rate(price, usage, currency="USD", share=share)
    assert rate(
        replace(price, credit=CreditUnit("CENT", 2)), usage, currency="JPY", share=share
    ) == (money)


@given(
    st.lists(st.tuples(st.sampled_from(["gpt-4o", "gpt-3.5", "other"]), quantities), max_size=5),
    decimals(0, 10**6, 0),
    credit_units,
)
def test_lines_of_a_matrix_never_exceed_a_maximum_in_credits(cells, maximum, unit):
    price = metered(BY_MODEL, dimensions=("model",), credit=unit, maximum=maximum)
    lines = rate(price, by_model(*cells), currency="USD")
    assert total(line.amount for line in lines) <= maximum
    assert all(line.amount == round_money(line.amount, currency=unit) for line in lines)
