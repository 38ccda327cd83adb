"""Usage by cells."""

from decimal import localcontext

from plans.rating.usage import Cell, Usage
from tests.unit.rating.support import D, used


def test_the_quantity_is_the_sum_of_the_cells():
    usage = Usage((Cell(("a",), D("1.5")), Cell(("b",), D(2)), Cell(("",), D("0.25"))))
    assert usage.quantity == D("3.75")


def test_no_cells_are_no_quantity():
    assert Usage().quantity == 0
    assert Usage().transactions == ()


def test_the_sum_is_exact_whatever_the_callers_context():
    with localcontext() as context:
        context.prec = 4
        usage = Usage((Cell((), D("1000000000000000.000001")), Cell((), D("0.000001"))))
        assert usage.quantity == D("1000000000000000.000002")


def test_a_single_cell_is_its_quantity():
    assert used("12.5", "gpt-4o").quantity == D("12.5")
