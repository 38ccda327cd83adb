"""Per unit, with a unit size that is not rounded up."""

import pytest

from plans.rating.charge import NegativeQuantity
from plans.rating.per_unit import PerUnit
from plans.rating.rate import rate
from plans.rating.usage import Usage
from tests.unit.rating.support import D, metered, one_line, used


@pytest.mark.parametrize(
    ("quantity", "unit_amount", "unit_size", "billed"),
    [
        ("12345678", "0.005", "1000", "61.73"),
        ("1234567", "0.01", "1000", "12.35"),
        ("50000001", "0.002", "1000", "100.00"),
        ("3000000", "20", "1000000", "60.00"),
        ("4000000", "0.07", "1000000", "0.28"),
        ("147737", "3", "3600", "123.11"),
        ("1234", "0.50", "1", "617.00"),
        ("56", "2.00", "1", "112.00"),
        ("7", "5.00", "1", "35.00"),
        ("7500000", "2", "1000000", "15.00"),
        ("1250000", "30", "1000000", "37.50"),
        ("970", "0.99", "1", "960.30"),
        ("200", "1.50", "1", "300.00"),
        ("40000000", "2", "1000000", "80.00"),
        ("12.5", "3", "1", "37.50"),
        ("1", "0.000000000001", "1", "0.00"),
        ("1000000000000000", "0.000000000001", "1", "1000.00"),
    ],
    ids=[
        "S01 gpt-4o batch",
        "S01 gpt-4o on demand",
        "S01 gpt-3.5",
        "S02 before the cut",
        "S02 after the cut",
        "S04 GPU seconds by the hour",
        "S05 documents",
        "S05 videos",
        "S05 pipelines",
        "S09 gpt-3.5",
        "S09 gpt-4",
        "S14 resolutions",
        "S23 jobs",
        "S23 tokens",
        "S23 GPU hours",
        "a price of 12 decimals",
        "very many of them",
    ],
)
def test_worked_examples(quantity, unit_amount, unit_size, billed):
    line = one_line(metered(PerUnit(D(unit_amount), D(unit_size))), used(quantity))
    assert str(line.amount) == billed
    assert line.quantity == line.usage_quantity == D(quantity)


@pytest.mark.parametrize(
    ("quantity", "unit_amount", "billed"), [("8", "25", "200.00"), ("2", "500", "1000.00")]
)
def test_s12_seats_in_euros(quantity, unit_amount, billed):
    line = one_line(metered(PerUnit(D(unit_amount))), used(quantity), currency="EUR")
    assert str(line.amount) == billed


def test_s04b_minutes_rounded_up_by_the_meter():
    assert str(one_line(metered(PerUnit(D(3), D(60))), used("2463")).amount) == "123.15"


def test_s11_seats_added_in_the_middle_are_half_a_seat_each():
    price = metered(PerUnit(D(89)))
    assert str(one_line(price, used("12")).amount) == "1068.00"
    assert str(one_line(price, used("1.5")).amount) == "133.50"


def test_the_quantity_is_multiplied_before_it_is_divided():
    charge = PerUnit(D(3), D(3600)).charge(D(1200))
    assert charge.amount == 1


def test_the_part_says_how():
    (part,) = PerUnit(D("0.005"), D(1000)).charge(D(12345678)).parts
    assert (part.quantity, part.unit_amount, part.unit_size) == (D(12345678), D("0.005"), D(1000))
    assert part.amount == D("61.72839")


def test_nothing_used_is_no_line():
    assert rate(metered(PerUnit(D(3))), Usage(), currency="USD") == ()
    assert rate(metered(PerUnit(D(3))), used("0"), currency="USD") == ()
    assert PerUnit(D(3)).charge(D(0)).parts == ()


def test_usage_too_small_for_a_cent_is_a_line_of_nothing():
    assert str(one_line(metered(PerUnit(D("0.001"))), used("1")).amount) == "0.00"


def test_a_negative_quantity_is_refused():
    with pytest.raises(NegativeQuantity, match="corrections outweigh") as caught:
        rate(metered(PerUnit(D(3))), used("-1"), currency="USD")
    assert caught.value.code == "negative_quantity"
    with pytest.raises(NegativeQuantity):
        PerUnit(D(3)).charge(D("-0.001"))
