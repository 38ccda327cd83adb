"""Graduated tiers: each tier's quantity at its own price."""

import copy
import pickle
from fractions import Fraction

import pytest

from plans.rating.charge import NegativeQuantity
from plans.rating.graduated import Graduated
from plans.rating.rate import rate
from plans.rating.tiers import BeyondTiers
from plans.rating.usage import Usage
from tests.unit.rating.support import D, assert_adds_up, metered, one_line, parts_of, tier, used

CALLS = Graduated((tier("10000", "0.002"), tier(None, "0.0015")))
WORKATO = Graduated((tier("1000000", "0"), tier("5000000", "0.008"), tier(None, "0.006")))
WITH_FEES = Graduated((tier("10", "1", "5"), tier("20", "0.5", "3"), tier(None, "0", "2")))


@pytest.mark.parametrize(
    ("model", "quantity", "amount"),
    [
        (CALLS, "0", "0"),
        (CALLS, "1", "0.002"),
        (CALLS, "10000", "20"),
        (CALLS, "10000.5", "20.00075"),
        (CALLS, "12500", "23.75"),
        (WORKATO, "1000000", "0"),
        (WORKATO, "1000001", "0.008"),
        (WORKATO, "5000000", "32000"),
        (WORKATO, "6200000", "39200"),
        (WITH_FEES, "0", "0"),
        (WITH_FEES, "0.1", "5.1"),
        (WITH_FEES, "10", "15"),
        (WITH_FEES, "10.1", "18.05"),
        (WITH_FEES, "20", "23"),
        (WITH_FEES, "20.000001", "25"),
        (WITH_FEES, "1000000", "25"),
    ],
)
def test_each_tier_at_its_own_price(model, quantity, amount):
    assert model.charge(D(quantity)).amount == D(amount)


def test_s10_tasks_of_an_automation_platform():
    line = one_line(metered(WORKATO), used("6200000"))
    assert str(line.amount) == "39200.00"
    assert line.quantity == D(6200000)


def test_parts_name_their_tiers():
    assert parts_of(WORKATO.charge(D(6200000))) == [
        ("0 to 1,000,000", "1000000", "0"),
        ("1,000,000 to 5,000,000", "4000000", "32000.000"),
        ("above 5,000,000", "1200000", "7200.000"),
    ]


def test_only_tiers_that_were_reached_are_parts():
    assert [part.label for part in WORKATO.charge(D(1000000)).parts] == ["0 to 1,000,000"]


def test_trailing_zeros_of_stored_bounds_are_not_shown():
    model = Graduated((tier("1000.000000", "1"), tier("1E+4", "1"), tier(None, "1")))
    labels = [part.label for part in model.charge(D(20000)).parts]
    assert labels == ["0 to 1,000", "1,000 to 10,000", "above 10,000"]


def test_a_single_open_tier_holds_any_quantity():
    assert parts_of(Graduated((tier(None, "2"),)).charge(D(3))) == [("any quantity", "3", "6")]


def test_unit_amounts_are_for_a_unit_size():
    model = Graduated((tier("1000000", "20"), tier(None, "10")), unit_size=D(1_000_000))
    assert model.charge(D(1_500_000)).amount == D(25)


def test_the_first_fee_is_due_at_zero_where_the_price_says_so():
    tiers = (tier("10", "1", "5"), tier(None, "0.5"))
    price = metered(Graduated(tiers, charge_first_tier_at_zero=True))
    line = one_line(price, Usage())
    assert (str(line.amount), line.quantity) == ("5.00", 0)
    assert parts_of(price.model.charge(D(0))) == [("0 to 10", "0", "5")]
    assert rate(metered(Graduated(tiers)), Usage(), currency="USD") == ()


def test_at_zero_a_first_tier_without_a_fee_is_nothing():
    model = Graduated((tier(None, "1"),), charge_first_tier_at_zero=True)
    assert model.charge(D(0)).parts == ()
    assert rate(metered(model), Usage(), currency="USD") == ()


def test_fees_shrink_with_the_share_and_bounds_do_not():
    line = one_line(metered(WITH_FEES), used("20"), share=Fraction(1, 2))
    assert str(line.amount) == "19.00"
    assert [(a.kind, a.amount) for a in line.adjustments] == [("proration", D(-4))]
    assert_adds_up(line)


def test_without_fees_a_share_changes_nothing():
    price = metered(WORKATO)
    whole = rate(price, used("6200000"), currency="USD")
    assert rate(price, used("6200000"), currency="USD", share=Fraction(1, 2)) == whole


@pytest.mark.parametrize("tiers", [(), (tier("10", "1"),)])
def test_a_quantity_that_no_tier_holds_is_refused(tiers):
    with pytest.raises(BeyondTiers, match="leave that one open") as caught:
        Graduated(tiers).charge(D(11))
    assert caught.value.code == "quantity_beyond_tiers"


def test_a_negative_quantity_is_refused():
    with pytest.raises(NegativeQuantity):
        WORKATO.charge(D(-1))


def test_what_is_remembered_is_neither_compared_nor_copied():
    fresh = Graduated(WORKATO.tiers)
    WORKATO.charge(D(1))
    assert fresh == WORKATO
    assert hash(fresh) == hash(WORKATO)
    for duplicate in (copy.deepcopy(WORKATO), pickle.loads(pickle.dumps(WORKATO))):
        assert duplicate == WORKATO
        assert duplicate.charge(D(6200000)) == WORKATO.charge(D(6200000))
