"""Packages: whole bundles, the last one begun is paid in full."""

import pytest

from plans.rating.charge import NegativeQuantity
from plans.rating.package import Package
from tests.unit.rating.support import D, metered, one_line, used


@pytest.mark.parametrize(
    ("quantity", "free", "packages", "amount"),
    [
        ("0", "0", None, "0"),
        ("0.000001", "0", "1", "5"),
        ("1", "0", "1", "5"),
        ("999", "0", "1", "5"),
        ("1000", "0", "1", "5"),
        ("1000.000001", "0", "2", "10"),
        ("1001", "0", "2", "10"),
        ("100", "100", None, "0"),
        ("99", "100", None, "0"),
        ("101", "100", "1", "5"),
        ("1100", "100", "1", "5"),
        ("1101", "100", "2", "10"),
        ("1000000000000001", "0", "1000000000001", "5000000000005"),
    ],
)
def test_packages_begun_beyond_the_free_quantity(quantity, free, packages, amount):
    charge = Package(D(5), D(1000), D(free)).charge(D(quantity))
    assert charge.amount == D(amount)
    assert [part.quantity for part in charge.parts] == ([] if packages is None else [D(packages)])


@pytest.mark.parametrize(
    ("tokens", "unit_amount", "packages", "billed"),
    [
        ("12345678", "0.005", "12346", "61.73"),
        ("1234567", "0.01", "1235", "12.35"),
        ("50000001", "0.002", "50001", "100.00"),
    ],
)
def test_s01_token_bundles_sold_whole(tokens, unit_amount, packages, billed):
    line = one_line(metered(Package(D(unit_amount), D(1000))), used(tokens))
    assert line.parts[0].quantity == D(packages)
    assert str(line.amount) == billed


def test_s07d_a_pack_of_jobs_bought_as_needed():
    line = one_line(metered(Package(D(30), D(500)), allowance="1000"), used("1250"))
    assert str(line.amount) == "30.00"
    assert line.quantity == D(250)


def test_a_package_may_hold_a_fraction():
    assert Package(D(1), D("0.1")).charge(D("0.3")).amount == D(3)
    assert Package(D(1), D("0.1")).charge(D("0.30001")).amount == D(4)


def test_the_part_names_the_package():
    (part,) = Package(D(5), D(1000)).charge(D(2500)).parts
    assert (part.label, part.quantity, part.unit_amount) == ("packages of 1,000", D(3), D(5))


def test_a_negative_quantity_is_refused():
    with pytest.raises(NegativeQuantity):
        Package(D(5), D(1000)).charge(D(-1))
