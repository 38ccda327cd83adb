"""Volume: the whole quantity at the rate of the tier it reaches."""

from fractions import Fraction

import pytest

from plans.rating.charge import NegativeQuantity
from plans.rating.rate import rate
from plans.rating.tiers import BeyondTiers
from plans.rating.usage import Usage
from plans.rating.volume import Volume
from tests.unit.rating.support import D, assert_adds_up, metered, one_line, parts_of, tier, used

WORKATO = Volume((tier("1000000", "0"), tier("5000000", "0.008"), tier(None, "0.006")))
WITH_FEES = Volume((tier("10", "1", "5"), tier("20", "0.5", "3"), tier(None, "0.1", "2")))


@pytest.mark.parametrize(
    ("model", "quantity", "amount"),
    [
        (WORKATO, "0", "0"),
        (WORKATO, "1000000", "0"),
        (WORKATO, "1000000.5", "8000.004"),
        (WORKATO, "5000000", "40000"),
        (WORKATO, "5000001", "30000.006"),
        (WORKATO, "6200000", "37200"),
        (WITH_FEES, "0", "0"),
        (WITH_FEES, "0.5", "5.5"),
        (WITH_FEES, "10", "15"),
        (WITH_FEES, "10.01", "8.005"),
        (WITH_FEES, "20", "13"),
        (WITH_FEES, "100", "12"),
    ],
)
def test_the_reached_tiers_rate_holds_for_all(model, quantity, amount):
    assert model.charge(D(quantity)).amount == D(amount)


def test_s10_the_same_tiers_sold_as_volume():
    assert str(one_line(metered(WORKATO), used("6200000")).amount) == "37200.00"


def test_the_part_names_the_reached_tier_only():
    assert parts_of(WITH_FEES.charge(D(20))) == [("10 to 20", "20", "13.0")]
    (part,) = WITH_FEES.charge(D(20)).parts
    assert (part.unit_amount, part.flat_amount) == (D("0.5"), D(3))


def test_unit_amounts_are_for_a_unit_size():
    model = Volume((tier("1000000", "20"), tier(None, "10")), unit_size=D(1_000_000))
    assert model.charge(D(1_500_000)).amount == D(15)


def test_the_first_fee_is_due_at_zero_where_the_price_says_so():
    price = metered(Volume(WITH_FEES.tiers, charge_first_tier_at_zero=True))
    assert str(one_line(price, Usage()).amount) == "5.00"
    assert rate(metered(WITH_FEES), Usage(), currency="USD") == ()


def test_fees_shrink_with_the_share():
    line = one_line(metered(WITH_FEES), used("20"), share=Fraction(1, 3))
    assert str(line.amount) == "11.00"
    assert_adds_up(line)


@pytest.mark.parametrize("tiers", [(), (tier("10", "1"),)])
def test_a_quantity_that_no_tier_holds_is_refused(tiers):
    with pytest.raises(BeyondTiers):
        Volume(tiers).charge(D("10.5"))


def test_a_negative_quantity_is_refused():
    with pytest.raises(NegativeQuantity):
        WITH_FEES.charge(D(-1))
