"""What is included, pooled or for each workspace, and what a plan says of more."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.rating.allowance import BeyondAllowance, MissingShares, included
from plans.rating.matrix import Matrix, MatrixRate
from plans.rating.money import total
from plans.rating.per_unit import PerUnit
from plans.rating.prices import Overage
from plans.rating.rate import rate
from plans.rating.usage import Cell, Usage
from tests.unit.rating.support import D, amounts, metered, one_line, small_quantities, used

REFUSE = Overage("refuse")
UPGRADE = Overage("upgrade", upgrade_to="pro")
PACKS = Overage("packs", pack_size=D(1000), pack_amount=D(5))


def in_workspaces(*quantities):
    found = tuple(D(quantity) for quantity in quantities)
    return Usage((Cell((), total(found)),), shares=found)


def of_each(allowance="10000", **terms):
    return metered(PerUnit(D("0.05")), allowance=allowance, allowance_per="workspace", **terms)


@pytest.mark.parametrize(
    ("allowance_per", "shares", "billed_quantity", "billed"),
    [
        ("customer", ("4000", "3500", "2900"), "400", "20.00"),
        ("workspace", ("4000", "3500", "2900"), "0", "0.00"),
        ("workspace", ("12000", "100", "10000"), "2000", "100.00"),
        ("workspace", ("12000",), "2000", "100.00"),
        ("workspace", ("12000", "11000"), "3000", "150.00"),
    ],
)
def test_an_allowance_is_pooled_or_each_workspace_has_its_own(
    allowance_per, shares, billed_quantity, billed
):
    price = metered(PerUnit(D("0.05")), allowance="10000", allowance_per=allowance_per)
    line = one_line(price, in_workspaces(*shares))
    assert (str(line.quantity), str(line.amount)) == (billed_quantity, billed)


def test_what_one_workspace_leaves_does_not_help_another():
    line = one_line(of_each(), in_workspaces("12000", "100"))
    assert [(a.kind, a.quantity) for a in line.adjustments] == [("allowance", D(-10100))]
    assert line.quantity == D(2000)


def test_the_allowance_of_each_shrinks_with_the_share():
    line = one_line(of_each(), in_workspaces("6000", "1000"), share=Fraction(1, 2))
    assert (line.quantity, str(line.amount)) == (D(1000), "50.00")


def test_a_correction_in_one_workspace_leaves_the_others_overage():
    assert included(of_each("50"), in_workspaces("-5", "105")) == D(45)


def test_shares_that_are_missing_are_refused():
    with pytest.raises(MissingShares, match="includes 10,000 for each workspace") as caught:
        rate(of_each(), used("5"), currency="USD")
    assert caught.value.code == "missing_shares"
    assert rate(of_each(), Usage(), currency="USD") == ()


@pytest.mark.parametrize(
    ("overage", "words"),
    [
        (
            REFUSE,
            (
                "the plan admits no more. Agree a price for the rest, or move the customer to"
                " another plan."
            ),
        ),
        (
            UPGRADE,
            (
                "the plan moves the customer to the plan “pro”. Move it there, or agree a price for"
                " the rest."
            ),
        ),
        (
            PACKS,
            (
                "the plan sells packs of 1,000 jobs. Agree a price for the rest, or move the"
                " customer to another plan."
            ),
        ),
    ],
)
def test_beyond_the_allowance_only_a_rate_is_billed(overage, words):
    price = metered(PerUnit(D(1)), allowance="10000", overage=overage)
    with pytest.raises(BeyondAllowance) as caught:
        rate(price, used("12500"), currency="USD")
    assert caught.value.code == "beyond_allowance"
    assert str(caught.value) == (
        f"Jobs: 12,500 jobs were used and 10,000 are included; beyond that {words}"
    )


@pytest.mark.parametrize("overage", [REFUSE, UPGRADE, PACKS])
def test_up_to_the_allowance_every_policy_bills_the_same(overage):
    price = metered(PerUnit(D(1)), allowance="10000", minimum="3")
    stated = replace(price, overage=overage)
    for quantity in ("0", "1", "10000"):
        assert rate(stated, used(quantity), currency="USD") == rate(
            price, used(quantity), currency="USD"
        )


def test_the_allowance_of_each_workspace_is_what_counts_as_beyond():
    price = of_each("100", overage=REFUSE)
    assert amounts(rate(price, in_workspaces("100", "90"), currency="USD")) == ["0.00"]
    with pytest.raises(BeyondAllowance, match="100 are included for each workspace"):
        rate(price, in_workspaces("101", "5"), currency="USD")


def test_a_matrix_keeps_to_the_policy_too():
    model = Matrix((MatrixRate(("a",), D(1)),), D(2))
    price = metered(model, dimensions=("x",), allowance="10", overage=REFUSE)
    usage = Usage((Cell(("a",), D(6)), Cell(("b",), D(5))))
    with pytest.raises(BeyondAllowance, match="11 jobs were used and 10 are included"):
        rate(price, usage, currency="USD")


@given(small_quantities, st.lists(small_quantities, min_size=1, max_size=8))
def test_each_its_own_is_never_more_than_the_pool_times_their_number(allowance, quantities):
    usage = in_workspaces(*quantities)
    apart = included(of_each(allowance), usage)
    pooled = included(replace(of_each(allowance), allowance_per="customer"), usage)
    assert apart <= pooled * len(quantities)
    assert apart <= usage.quantity


@given(small_quantities, st.lists(small_quantities, min_size=1, max_size=8))
def test_what_is_billed_is_what_each_used_beyond_its_own(allowance, quantities):
    beyond = total(max(D(0), quantity - allowance) for quantity in quantities)
    lines = rate(of_each(allowance), in_workspaces(*quantities), currency="USD")
    assert total(line.quantity for line in lines) == beyond
