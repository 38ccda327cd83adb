"""Graduated percentages of a value."""

from fractions import Fraction

import pytest

from plans.rating.charge import NegativeQuantity
from plans.rating.graduated_percentage import GraduatedPercentage
from plans.rating.tiers import BeyondTiers
from tests.unit.rating.support import (
    D,
    assert_adds_up,
    metered,
    one_line,
    parts_of,
    percent_tier,
    used,
)

COMMISSION = GraduatedPercentage(
    (percent_tier("1000", "10"), percent_tier("5000", "5", "20"), percent_tier(None, "2.5"))
)


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        ("0", "0"),
        ("0.01", "0.001"),
        ("1000", "100"),
        ("1000.01", "120.0005"),
        ("5000", "320"),
        ("6000", "345"),
    ],
)
def test_each_tier_of_value_at_its_own_percentage(value, amount):
    assert COMMISSION.charge(D(value)).amount == D(amount)


def test_parts_name_percentage_and_tier():
    assert parts_of(COMMISSION.charge(D(6000))) == [
        ("10%, 0 to 1,000", "1000", "100"),
        ("5%, 1,000 to 5,000", "4000", "220"),
        ("2.5%, above 5,000", "1000", "25.0"),
    ]


def test_fees_shrink_with_the_share():
    line = one_line(metered(COMMISSION), used("5000"), share=Fraction(1, 4))
    assert str(line.amount) == "305.00"
    assert_adds_up(line)


def test_a_value_that_no_tier_holds_is_refused():
    with pytest.raises(BeyondTiers):
        GraduatedPercentage((percent_tier("10", "1"),)).charge(D(11))


def test_a_negative_value_is_refused():
    with pytest.raises(NegativeQuantity):
        COMMISSION.charge(D(-1))
