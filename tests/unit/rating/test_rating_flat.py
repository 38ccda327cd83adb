"""Flat prices: subscriptions, platform fees, setup fees."""

from fractions import Fraction

import pytest

from plans.rating.flat import Flat
from plans.rating.money import ZERO
from plans.rating.prices import Price
from plans.rating.usage import Usage
from tests.unit.rating.support import D, assert_adds_up, one_line


def licence(amount, **terms):
    return Price(key="licence", name="Licence", model=Flat(D(amount)), **terms)


@pytest.mark.parametrize(
    ("amount", "currency", "billed"),
    [
        ("49", "USD", "49.00"),
        ("399", "USD", "399.00"),
        ("2999.999", "USD", "3000.00"),
        ("500", "JPY", "500"),
        ("12.3455", "KWD", "12.346"),
        ("0", "USD", "0.00"),
    ],
)
def test_a_flat_price_is_its_amount_for_the_period(amount, currency, billed):
    line = one_line(licence(amount), Usage(), currency=currency)
    assert str(line.amount) == billed
    assert (line.key, line.label, line.quantity, line.usage_quantity) == ("", "Licence", 1, 0)
    assert [part.flat_amount for part in line.parts] == [D(amount)]


def test_s23_setup_and_platform_fees():
    setup = licence("5000", once=True)
    assert str(one_line(setup, Usage()).amount) == "5000.00"
    assert str(one_line(licence("1000"), Usage()).amount) == "1000.00"


@pytest.mark.parametrize(
    ("share", "billed"),
    [
        (Fraction(15, 30), "500.00"),
        (Fraction(1, 3), "333.33"),
        (Fraction(2, 3), "666.67"),
        (Fraction(0), "0.00"),
        (1, "1000.00"),
    ],
)
def test_a_share_of_the_period_is_a_share_of_the_fee(share, billed):
    line = one_line(licence("1000"), Usage(), share=share)
    assert str(line.amount) == billed
    assert_adds_up(line)


def test_proration_shows_the_full_fee_and_what_was_taken_off():
    line = one_line(licence("89"), Usage(), share=Fraction(15, 30))
    assert line.parts[0].amount == D(89)
    (change,) = line.adjustments
    assert (change.kind, change.quantity, change.amount) == ("proration", None, D("-44.5"))


def test_what_is_charged_once_or_for_months_or_not_prorated_is_charged_whole():
    for terms in ({"once": True}, {"prorated": False}, {"every_months": 12}):
        line = one_line(licence("5000", **terms), Usage(), share=Fraction(1, 30))
        assert str(line.amount) == "5000.00"
        assert line.adjustments == ()


def test_a_discount_is_taken_off_the_prorated_fee():
    price = licence("100", discount_percent=D(20))
    line = one_line(price, Usage(), share=Fraction(1, 2))
    assert str(line.amount) == "40.00"
    assert [(a.kind, a.amount) for a in line.adjustments] == [
        ("proration", D(-50)),
        ("discount", D(-10)),
    ]


def test_the_model_alone():
    charge = Flat(D("49.5")).charge()
    assert charge.amount == D("49.5")
    assert charge.parts[0].unit_amount is None
    assert Flat(D(30)).prorated(Fraction(1, 3)) == Flat(D(10))
    assert Flat(ZERO).charge().amount == 0
