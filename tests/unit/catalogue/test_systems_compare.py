"""The comparison behind `manage.py systems` sees every difference, and says it."""

from decimal import Decimal

import pytest

from config.systems.compare import BilledLine, BilledStatement, differences
from plans.catalogue.systems import ExpectedLine, ExpectedStatement

WANTED = ExpectedStatement(
    total=Decimal("20.00"),
    lines=(
        ExpectedLine(
            price="jobs",
            description="Jobs",
            quantity=Decimal(400),
            amount=Decimal("20.00"),
            parts=(Decimal(400),),
            workspaces={"a": Decimal(400)},
        ),
    ),
)
LINE = BilledLine(
    price="jobs",
    line="",
    description="Jobs",
    quantity=Decimal("400.000000000000"),
    amount=Decimal("20.0000"),
    parts=(Decimal(400),),
    workspaces={"a": Decimal(400)},
)
BILLED = BilledStatement("finalised", "", Decimal("20.0000"), (LINE,))


def test_what_agrees_has_no_difference():
    assert differences([BILLED], [WANTED]) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"amount": Decimal("19.99")}, "Jobs: the amount: 19.99 instead of 20"),
        ({"quantity": Decimal(401)}, "Jobs: the quantity: 401 instead of 400"),
        ({"description": "Job"}, "Jobs: the description: “Job” instead of “Jobs”"),
        ({"price": "x"}, "Jobs: the price: “x” instead of “jobs”"),
        ({"line": "x"}, "Jobs: the rate: “x” instead of “”"),
        ({"parts": ()}, "Jobs: the quantities of the parts: nothing instead of 400"),
        ({"workspaces": {}}, "Jobs: the shares of workspaces: nothing instead of a 400"),
    ],
)
def test_each_difference_in_a_line_is_said(changed, said):
    billed = BILLED._replace(lines=(LINE._replace(**changed),))
    assert differences([billed], [WANTED]) == [said]


def test_features_are_compared_where_they_are_stated():
    granting = BILLED._replace(features=frozenset({"batch"}))
    assert differences([granting], [WANTED]) == []
    assert differences([granting], [WANTED], features=("batch",)) == []
    assert differences([granting], [WANTED], features=("batch", "premium")) == [
        "the features: batch instead of batch, premium"
    ]
    assert differences([BILLED], [WANTED], features=("batch",)) == [
        "the features: none instead of batch"
    ]


@pytest.mark.parametrize(
    ("billed", "said"),
    [
        ([], ["0 statements instead of 1"]),
        ([BILLED._replace(total=Decimal(21))], ["the total: 21 instead of 20"]),
        ([BILLED._replace(lines=())], ["0 lines instead of 1"]),
        (
            [BILLED._replace(status="due", reason="No rate and no default.")],
            ["the statement is due: No rate and no default."],
        ),
        ([BILLED._replace(status="draft")], ["the statement is draft: not finalised in time"]),
        ([BILLED, BILLED], ["2 statements instead of 1"]),
    ],
)
def test_each_difference_in_a_statement_is_said(billed, said):
    assert differences(billed, [WANTED]) == said


def test_months_are_numbered_where_there_are_more():
    wrong = BILLED._replace(total=Decimal(0))
    assert differences([BILLED, wrong], [WANTED, WANTED]) == ["month 2: the total: 0 instead of 20"]
