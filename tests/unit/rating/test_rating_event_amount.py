"""Amounts that the events carry themselves."""

import pytest

from plans.rating.charge import NegativeQuantity
from plans.rating.event_amount import EventAmount
from plans.rating.rate import rate
from plans.rating.usage import Cell, Usage
from tests.unit.rating.support import D, metered, one_line, used


@pytest.mark.parametrize(
    ("stated", "currency", "billed"),
    [
        ("12.34", "USD", "12.34"),
        ("12.345", "USD", "12.35"),
        ("1620.5", "JPY", "1621"),
        ("0.0005", "KWD", "0.001"),
    ],
)
def test_the_stated_money_is_billed_rounded_once(stated, currency, billed):
    assert str(one_line(metered(EventAmount()), used(stated), currency=currency).amount) == billed


def test_amounts_are_added_before_they_are_rounded():
    usage = Usage(tuple(Cell((name,), D("0.004")) for name in "abc"))
    assert str(one_line(metered(EventAmount()), usage).amount) == "0.01"


def test_a_discount_applies_to_stated_money_too():
    line = one_line(metered(EventAmount(), discount_percent="10"), used("50"))
    assert str(line.amount) == "45.00"


def test_the_part_is_the_stated_amount():
    (part,) = EventAmount().charge(D("7.5")).parts
    assert (part.label, part.amount) == ("as stated", D("7.5"))


def test_nothing_stated_is_no_line():
    assert rate(metered(EventAmount()), Usage(), currency="USD") == ()


def test_money_below_zero_is_refused():
    with pytest.raises(NegativeQuantity):
        EventAmount().charge(D("-0.01"))
