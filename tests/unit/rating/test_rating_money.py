"""Currencies, the one rounding, and splitting."""

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.rating.money import (
    CURRENCIES,
    BadSplit,
    RatingError,
    UnknownCurrency,
    minor_units,
    over,
    per_units,
    prorate,
    round_money,
    split,
    times,
    total,
)
from tests.unit.rating.support import D, decimals


@pytest.mark.parametrize(
    ("currency", "digits"),
    [
        ("JPY", 0),
        ("KRW", 0),
        ("VND", 0),
        ("CLP", 0),
        ("ISK", 0),
        ("XAF", 0),
        ("USD", 2),
        ("EUR", 2),
        ("GBP", 2),
        ("HUF", 2),
        ("INR", 2),
        ("MGA", 2),
        ("KWD", 3),
        ("BHD", 3),
        ("OMR", 3),
        ("TND", 3),
        ("JOD", 3),
        ("IQD", 3),
        ("LYD", 3),
        ("CLF", 4),
    ],
)
def test_minor_units_are_those_of_iso_4217(currency, digits):
    assert minor_units(currency) == digits
    assert currency in CURRENCIES


@pytest.mark.parametrize("currency", ["", "usd", "XXX", "US", "DEM"])
def test_an_unknown_currency_is_refused(currency):
    assert currency not in CURRENCIES
    with pytest.raises(UnknownCurrency, match="not an ISO 4217") as caught:
        minor_units(currency)
    assert caught.value.code == "unknown_currency"
    assert isinstance(caught.value, RatingError)
    with pytest.raises(UnknownCurrency):
        round_money(D(1), currency=currency)


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("30.015", "USD", "30.02"),
        ("30.025", "USD", "30.03"),
        ("30.0149999999999999999", "USD", "30.01"),
        ("-30.015", "USD", "-30.02"),
        ("-30.0149", "USD", "-30.01"),
        ("405.125", "USD", "405.13"),
        ("0.5", "JPY", "1"),
        ("1.5", "JPY", "2"),
        ("2.5", "JPY", "3"),
        ("-2.5", "JPY", "-3"),
        ("1.0005", "KWD", "1.001"),
        ("1.00005", "CLF", "1.0001"),
        ("7", "USD", "7.00"),
        ("1E+3", "USD", "1000.00"),
        ("0", "USD", "0.00"),
        ("-0.001", "USD", "0.00"),
        ("999999999999999999999999999999.995", "USD", "1000000000000000000000000000000.00"),
    ],
)
def test_money_is_rounded_half_away_from_zero(amount, currency, rounded):
    assert str(round_money(D(amount), currency=currency)) == rounded


def test_a_tie_behind_a_third_still_rounds_up():
    third = over(D(10), D(300))
    assert times(third, D("0.75")) < D("0.025")
    assert str(round_money(times(third, D("0.75")), currency="USD")) == "0.03"


def test_the_callers_context_changes_nothing():
    with localcontext() as context:
        context.prec = 3
        context.rounding = "ROUND_DOWN"
        assert str(round_money(D("123456.785"), currency="USD")) == "123456.79"
        assert total([D("123456.785"), D("0.0000001")]) == D("123456.7850001")
        assert per_units(D(123456), D("1.01"), D(1000)) == D("124.69056")
        assert split(D("1234.57"), weights=[D("1.2345"), D("1.2345")], currency="USD") == (
            D("617.29"),
            D("617.28"),
        )


@given(decimals(-(10**15), 10**15, 12), st.sampled_from(["JPY", "USD", "KWD", "CLF"]))
def test_rounding_moves_an_amount_by_half_a_minor_unit_at_most(amount, currency):
    rounded = round_money(amount, currency=currency)
    step = Fraction(1, 10 ** minor_units(currency))
    assert abs(Fraction(rounded) - Fraction(amount)) <= step / 2
    assert round_money(rounded, currency=currency) == rounded
    assert round_money(amount.copy_negate(), currency=currency) == -rounded


@given(decimals(0, 10**15, 6), decimals(0, 1000, 12), st.sampled_from([1, 7, 1000, 3600, 10**6]))
def test_the_amount_of_a_quantity_is_exact_to_well_beyond_12_decimals(quantity, unit_amount, size):
    exact = Fraction(quantity) * Fraction(unit_amount) / size
    found = Fraction(per_units(quantity, unit_amount, D(size)))
    assert abs(found - exact) < Fraction(1, 10**30)


@pytest.mark.parametrize(
    ("amount", "share", "expected"),
    [
        ("100", Fraction(15, 30), "50"),
        ("89", Fraction(1, 2), "44.5"),
        ("30", Fraction(1, 3), "10"),
        ("399", Fraction(0), "0"),
        ("399", 1, "399"),
    ],
)
def test_prorate_multiplies_before_it_divides(amount, share, expected):
    assert prorate(D(amount), share=share) == D(expected)


@pytest.mark.parametrize(
    ("amount", "weights", "currency", "expected"),
    [
        ("100.00", "1 1 1", "USD", "33.34 33.33 33.33"),
        ("-100.00", "1 1 1", "USD", "-33.34 -33.33 -33.33"),
        ("100.00", "0 0 0", "USD", "33.34 33.33 33.33"),
        ("100.00", "1 0 1", "USD", "50.00 0.00 50.00"),
        ("10", "1 1 1", "JPY", "4 3 3"),
        ("1.000", "2 1", "KWD", "0.667 0.333"),
        ("0.01", "1 1", "USD", "0.01 0.00"),
        ("0.05", "0.3 0.3 0.4", "USD", "0.02 0.01 0.02"),
        ("0.00", "5 3", "USD", "0.00 0.00"),
        ("7.00", "2", "USD", "7.00"),
        ("9", "1E+2 50", "JPY", "6 3"),
        ("100.00", "61.72839 12.34567 100.000002", "USD", "35.46 7.09 57.45"),
    ],
)
def test_split_gives_what_is_left_to_the_largest_remainders(amount, weights, currency, expected):
    parts = split(D(amount), weights=[D(w) for w in weights.split()], currency=currency)
    assert [str(part) for part in parts] == expected.split()
    assert sum(parts) == D(amount)


@pytest.mark.parametrize(
    ("amount", "weights", "message"),
    [
        ("1.00", [], "nothing to split"),
        ("1.00", [D(1), D(-1)], "negative weight"),
        ("1.005", [D(1), D(1)], "round it first"),
    ],
)
def test_split_refuses_what_it_cannot_split(amount, weights, message):
    with pytest.raises(BadSplit, match=message) as caught:
        split(D(amount), weights=weights, currency="USD")
    assert caught.value.code == "bad_split"


@given(
    st.integers(-(10**12), 10**12),
    st.lists(decimals(0, 10**6, 6), min_size=1, max_size=12),
    st.sampled_from(["JPY", "USD", "KWD"]),
)
def test_split_always_adds_up_and_is_within_one_minor_unit_of_the_exact_share(
    units, weights, currency
):
    quantum = Decimal(1).scaleb(-minor_units(currency))
    amount = units * quantum
    parts = split(amount, weights=weights, currency=currency)
    assert total(parts) == amount
    assert len(parts) == len(weights)
    assert all(part == 0 or (part < 0) == (amount < 0) for part in parts)
    whole = sum(Fraction(weight) for weight in weights)
    for part, weight in zip(parts, weights, strict=True):
        share = Fraction(weight) / whole if whole else Fraction(1, len(weights))
        assert abs(Fraction(part) - Fraction(amount) * share) < Fraction(quantum)
