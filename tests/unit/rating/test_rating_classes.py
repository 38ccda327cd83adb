"""Service classes: a line for each, at the unit price times its multiplier."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.rating.charge import NegativeQuantity
from plans.rating.classes import ClassesPerUnitOnly
from plans.rating.explain import in_words
from plans.rating.matrix import UnmatchedUsage, WrongDimensions
from plans.rating.money import total
from plans.rating.package import Package
from plans.rating.per_unit import PerUnit
from plans.rating.prices import Overage, ServiceClass
from plans.rating.rate import line_key, rate
from plans.rating.usage import Cell, Usage
from tests.unit.rating.support import D, amounts, assert_adds_up, decimals, metered, used

CLASSES = (
    ServiceClass("batch", "Batch", D("0.5")),
    ServiceClass("standard", "Standard"),
    ServiceClass("priority", "Priority", D("1.5"), start_within_minutes=5),
)
PRICE = metered(
    PerUnit(D("0.40")),
    dimensions=("model", "queue"),
    class_dimension="queue",
    classes=CLASSES,
)


def queued(*pairs):
    return Usage(tuple(Cell(tuple(values.split("/")), D(quantity)) for values, quantity in pairs))


USED = queued(("a/priority", "10"), ("b/batch", "100"), ("a/batch", "20"), ("a/standard", "30"))


def test_each_class_has_a_line_at_its_own_price_in_the_order_of_the_classes():
    lines = rate(PRICE, USED, currency="USD")
    assert [(line.key, line.label, str(line.quantity), str(line.amount)) for line in lines] == [
        ("batch", "Jobs, Batch", "120", "24.00"),
        ("standard", "Jobs, Standard", "30", "12.00"),
        ("priority", "Jobs, Priority", "10", "6.00"),
    ]
    assert [line.parts[0].label for line in lines] == ["0.4 x 0.5", "each", "0.4 x 1.5"]


def test_a_class_in_words():
    lines = rate(PRICE, USED, currency="USD")
    assert in_words(lines[2], currency="USD") == "Jobs, Priority, 10 jobs: 10 at 0.6 = 6.00"


def test_a_unit_size_holds_for_every_class():
    price = replace(PRICE, model=PerUnit(D(3), D(1000)))
    assert amounts(rate(price, USED, currency="USD")) == ["0.18", "0.09", "0.05"]


def test_a_class_may_be_free():
    price = replace(PRICE, classes=(ServiceClass("batch", "Batch", D(0)),))
    assert amounts(rate(price, queued(("a/batch", "5")), currency="USD")) == ["0.00"]


def test_the_allowance_is_used_up_in_the_order_of_the_classes():
    lines = rate(replace(PRICE, allowance=D(130)), USED, currency="USD")
    assert [line.quantity for line in lines] == [0, D(20), D(10)]
    assert amounts(lines) == ["0.00", "8.00", "6.00"]


def test_discount_and_bounds_hold_as_for_a_matrix():
    price = replace(PRICE, discount_percent=D(50), minimum=D(30))
    lines = rate(price, USED, currency="USD")
    assert amounts(lines) == ["12.00", "6.00", "3.00", "9.00"]
    assert lines[-1].key == "minimum"
    capped = rate(replace(PRICE, maximum=D(21)), USED, currency="USD", share=Fraction(1, 2))
    assert amounts(capped) == ["6.00", "3.00", "1.50"]
    for line in (*lines, *capped):
        assert_adds_up(line)


@pytest.mark.parametrize("value", ["turbo", "", "Batch", "*"])
def test_usage_of_an_unknown_class_is_never_billed_at_the_price_itself(value):
    words = f"5 with queue={value or '(none)'}"
    with pytest.raises(UnmatchedUsage) as caught:
        rate(PRICE, queued((f"a/{value}", "5")), currency="USD")
    assert caught.value.code == "unmatched_usage"
    assert words in str(caught.value)
    assert rate(PRICE, queued((f"a/{value}", "0")), currency="USD") == ()


def test_what_does_not_fit_the_price_is_refused():
    with pytest.raises(WrongDimensions):
        rate(PRICE, used("5", "batch"), currency="USD")
    with pytest.raises(WrongDimensions):
        rate(replace(PRICE, class_dimension="colour"), USED, currency="USD")
    with pytest.raises(ClassesPerUnitOnly) as caught:
        rate(replace(PRICE, model=Package(D(1), D(10))), USED, currency="USD")
    assert caught.value.code == "classes_per_unit_only"
    with pytest.raises(NegativeQuantity):
        rate(PRICE, queued(("a/batch", "-1"), ("a/standard", "5")), currency="USD")


def test_a_hard_cap_counts_all_classes_together():
    price = replace(PRICE, allowance=D(160), overage=Overage("refuse"))
    assert amounts(rate(price, USED, currency="USD")) == ["0.00", "0.00", "0.00"]


def test_the_line_of_a_cell_is_known():
    assert [line_key(PRICE, cell) for cell in USED.cells] == [
        "priority",
        "batch",
        "batch",
        "standard",
    ]
    assert line_key(metered(PerUnit(D(1))), Cell((), D(1))) == ""
    minimum = replace(PRICE, classes=(ServiceClass("minimum", "Least"),))
    assert line_key(minimum, Cell(("a", "minimum"), D(1))) == "=minimum"


@given(
    st.lists(
        st.tuples(st.sampled_from(["batch", "standard", "priority"]), decimals(0, 10**6, 3)),
        max_size=8,
    ),
    decimals(0, 100, 6),
)
def test_classes_add_up_one_by_one(pairs, unit_amount):
    price = replace(PRICE, model=PerUnit(unit_amount))
    usage = Usage(tuple(Cell(("a", name), quantity) for name, quantity in pairs))
    multipliers = {each.key: each.multiplier for each in CLASSES}
    expected = sum(
        Fraction(quantity) * Fraction(unit_amount) * Fraction(multipliers[name])
        for name, quantity in pairs
    )
    lines = rate(price, usage, currency="USD")
    assert Fraction(total(line.exact_amount for line in lines)) == expected


@given(st.lists(st.tuples(st.sampled_from(["x", "y"]), decimals(0, 10**6, 3)), max_size=8))
def test_classes_without_a_multiplier_cost_what_the_price_says(pairs):
    classes = (ServiceClass("x", "X"), ServiceClass("y", "Y"))
    price = replace(PRICE, classes=classes)
    plain = replace(PRICE, class_dimension="", classes=())
    usage = Usage(tuple(Cell(("a", name), quantity) for name, quantity in pairs))
    assert total(line.exact_amount for line in rate(price, usage, currency="USD")) == total(
        line.exact_amount for line in rate(plain, usage, currency="USD")
    )
