"""The fee of an outcome contract: the prices it becomes, and what they come to."""

from decimal import Decimal as D
from fractions import Fraction

import pytest

from plans import rating
from plans.contract_previews import in_sentences
from plans.rating.outcome_document import read_terms
from plans.rating.outcomes import Naming, assess, fee_prices

NAMING = Naming("c", "Results", "USD")


def terms(**said):
    found, problems = read_terms({"unit": "results", **said}, naming=NAMING)
    assert problems == ()
    return found


def come_to(fee, quantities, **said):
    lines = []
    for measure, price in fee_prices(terms(fee=fee, **said), NAMING):
        cells = (rating.Cell(("verified",), D(quantities.get(measure, 0))),)
        lines += rating.rate(price, rating.Usage(cells=cells), currency="USD")
    return [(line.label, line.quantity, line.amount) for line in lines]


GOOD = [{"name": "good", "kind": "yes_no"}]
WITH_BONUS = {
    "kind": "per_outcome", "amount": "10", "bonus_amount": "2", "bonus_when": "good is yes",
    "cap": "100", "floor": "30.005",
}  # fmt: skip


def bounded(fee, count, bonus, *, share=1):
    """Rate so many outcomes, and those with a bonus; return amounts and the changes to them."""
    found = [
        rating.Used(price, rating.Usage((rating.Cell(("verified",), D(quantity)),)))
        for (_, price), quantity in zip(
            fee_prices(terms(fee=fee, evidence=GOOD), NAMING), (count, bonus) * 2, strict=False
        )
    ]
    return [
        (line.amount, *((change.kind, change.amount) for change in line.adjustments))
        for each in found
        for line in rating.rate_beside(*each, others=found, currency="USD", share=share)
    ]


@pytest.mark.parametrize(
    ("count", "bonus", "expected"),
    [
        (6, 6, [(D(60),), (D(12),)]),
        (9, 9, [(D(90),), (D(10), ("shared_maximum", D(-8)))]),
        (12, 12, [(D(100), ("shared_maximum", D(-20))), (D(0), ("shared_maximum", D(-24)))]),
        (2, 2, [(D("26.01"), ("shared_minimum", D("6.01"))), (D(4),)]),
        (0, 0, [(D("30.01"), ("shared_minimum", D("30.01")))]),
    ],
)
def test_cap_and_floor_hold_fee_and_bonus_together(count, bonus, expected):
    assert bounded(WITH_BONUS, count, bonus) == expected


def test_shared_bounds_shrink_with_the_period_and_split_with_a_holdback():
    """A third of the month: at most 33.33, of which 20% is for what is released later."""
    fee = WITH_BONUS | {"holdback_percent": "20", "holdback_days": 60, "floor": "0"}
    lines = bounded(fee, 4, 4, share=Fraction(1, 3))
    assert [line[0] for line in lines] == [D("26.67"), D(0), D("6.67"), D(0)]
    assert [line[0] for line in bounded(fee, 3, 3, share=Fraction(1, 3))] == [
        D(24), D("2.67"), D(6), D("0.67"),
    ]  # fmt: skip


def test_a_line_says_that_its_bound_is_shared():
    found = [
        rating.Used(price, rating.Usage((rating.Cell(("verified",), D(9)),)))
        for _, price in fee_prices(terms(fee=WITH_BONUS, evidence=GOOD), NAMING)
    ]
    (line,) = rating.rate_beside(*found[1], others=found, currency="USD")
    assert rating.in_words(line, currency="USD") == (
        "9 results: 9 at 2, less 8.00 to the maximum of fee and bonus together = 10.00"
    )


TIERS = [{"up_to": "10", "unit": "5"}, {"up_to": None, "unit": "3"}]


@pytest.mark.parametrize(
    ("fee", "quantities", "expected"),
    [
        ({"kind": "per_outcome", "amount": "0.99"}, {"count": 970}, [("Results", 970, "960.30")]),
        ({"kind": "per_outcome", "amount": "40", "risk_premium_percent": "18"}, {"count": 25},
         [("Results", 25, "1180.00")]),
        ({"kind": "percent", "percent": "25"}, {"value": "1620.50"},
         [("Results", "1620.50", "405.13")]),
        ({"kind": "tiered_count", "tiers": TIERS}, {"count": 12}, [("Results", 12, "56.00")]),
        ({"kind": "tiered_count", "tiers": TIERS, "volume": True}, {"count": 12},
         [("Results", 12, "36.00")]),
        ({"kind": "tiered_value", "tiers": [{"up_to": "100", "percent": "20"}, {"percent": "10"}]},
         {"value": 150}, [("Results", 150, "25.00")]),
        ({"kind": "per_outcome", "amount": "10", "cap": "55"}, {"count": 6},
         [("Results", 6, "55.00")]),
        ({"kind": "per_outcome", "amount": "10", "floor": "55"}, {"count": 1},
         [("Results", 1, "55.00")]),
        ({"kind": "per_outcome", "amount": "10", "floor": "55"}, {}, [("Results", 0, "55.00")]),
        ({"kind": "per_outcome", "amount": "10", "holdback_percent": "20", "holdback_days": 30,
          "cap": "50"}, {"count": 6, "held_count": 6},
         [("Results, 80% on verification", 6, "40.00"),
          ("Results, 20% held back and released", 6, "10.00")]),
    ],
)  # fmt: skip
def test_a_fee_comes_to(fee, quantities, expected):
    assert come_to(fee, quantities) == [(name, D(n), D(amount)) for name, n, amount in expected]


@pytest.mark.parametrize(
    ("said", "code", "field"),
    [
        ({"fee": {"kind": "per_outcome"}}, "missing_field", "fee.amount"),
        ({"fee": {"kind": "percent", "percent": "-1"}}, "invalid_number", "fee.percent"),
        ({"fee": {"kind": "percent", "percent": 2.5}}, "invalid_number", "fee.percent"),
        ({"fee": {"kind": "gift"}}, "invalid_choice", "fee.kind"),
        ({"fee": {"kind": "share", "percent": "4", "rate": "5", "quantity_field": "hours"}},
         "invalid_quantity_field", "fee.quantity_field"),
        ({"fee": {"kind": "per_outcome", "amount": "1", "bonus_amount": "1"}},
         "half_a_bonus", "fee.bonus_when"),
        ({"fee": {"kind": "per_outcome", "amount": "1", "holdback_percent": "5"}},
         "half_a_holdback", "fee.holdback_percent"),
        ({"fee": {"kind": "tiered_count", "tiers": [{"up_to": "5"}]}},
         "missing_field", "fee.tiers[0].unit"),
        ({"evidence": [{"name": "Big", "kind": "number"}]}, "invalid_name", "evidence[0].name"),
        ({"evidence": [{"name": "and", "kind": "number"}]}, "invalid_name", "evidence[0].name"),
        ({"evidence": [{"name": "a", "kind": "number"}] * 2}, "name_twice", "evidence[1].name"),
        ({"evidence": [{"name": "a", "kind": "colour"}]}, "invalid_choice", "evidence[0].kind"),
        ({"success": "a > 1"}, "condition_invalid", "success"),
        ({"verification": {"by": "customer"}}, "missing_window", "verification.window_hours"),
        ({"verification": {"by": "sample", "window_hours": 4}}, "invalid_sample",
         "verification.sample_percent"),
        ({"dispute_days": "many"}, "invalid_number", "dispute_days"),
        ({"unit": ""}, "missing_unit", "unit"),
        ({"colour": "red"}, "unknown_field", "colour"),
    ],
)  # fmt: skip
def test_a_document_is_refused_at_the_place(said, code, field):
    document = {"unit": "results", "fee": {"kind": "per_outcome", "amount": "1"}, **said}
    found, problems = read_terms(document, naming=NAMING)
    assert found is None
    assert (code, field) in {(problem.code, problem.field) for problem in problems}


def test_tiers_that_leave_a_gap_are_refused_at_the_fee():
    document = {"unit": "results", "fee": {"kind": "tiered_count", "tiers": [
        {"up_to": "10", "unit": "5"}, {"up_to": "5", "unit": "3"}]}}  # fmt: skip
    _, problems = read_terms(document, naming=NAMING)
    assert [problem.field.startswith("fee.tiers[") for problem in problems] == [True] * len(
        problems
    )
    assert problems


def test_the_value_is_computed_where_the_contract_says_so():
    found = terms(
        evidence=[{"name": "hours", "kind": "number"}],
        fee={"kind": "share", "percent": "40", "rate": "50", "quantity_field": "hours"},
    )
    assert assess(found, evidence={"hours": "2.5"}, value=None).value == D(125)
    assert "The value of an outcome is its “hours” at 50 USD each." in in_sentences(found, NAMING)
    refused = assess(found, evidence={"hours": 1}, value="5").problems
    assert [(one.code, one.field) for one in refused] == [("value_not_taken", "value")]
    refused = assess(found, evidence={"hours": -1}, value=None).problems
    assert [one.field for one in refused] == ["evidence.hours"]
