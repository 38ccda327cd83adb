"""Conditions over evidence: read, worded, held; and refused with the place."""

from datetime import date
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.rating.outcome_conditions import (
    ConditionRefused,
    condition_problems,
    holds,
    in_words,
    parse_condition,
)

FIELDS = {"accuracy": "number", "hours": "number", "status": "text", "reopened": "yes_no",
          "signed": "date"}  # fmt: skip


def parsed(text):
    return parse_condition(text, fields=FIELDS)


@pytest.mark.parametrize(
    ("text", "evidence", "expected"),
    [
        ("accuracy > 0.99", {"accuracy": D("0.99")}, False),
        ("accuracy > 0.99", {"accuracy": D("0.9901")}, True),
        ("accuracy >= 0.99", {"accuracy": D("0.990")}, True),
        ("accuracy < 1", {}, False),
        ("accuracy != 1", {}, False),
        ("reopened is no", {"reopened": False}, True),
        ("reopened is not no", {"reopened": True}, True),
        ('status is "done"', {"status": "done"}, True),
        ('status = "Done"', {"status": "done"}, False),
        ("signed >= 2026-10-01", {"signed": date(2026, 10, 1)}, True),
        ("reopened is no or hours > 72", {"reopened": True, "hours": D(73)}, True),
        ("reopened is no or hours > 72 and accuracy > 1", {"reopened": False}, True),
        ("(reopened is no or hours > 72) and accuracy > 1", {"reopened": False}, False),
    ],
)
def test_a_condition_holds(text, evidence, expected):
    assert holds(parsed(text), evidence) is expected


def test_words():
    assert in_words(parsed('accuracy > 0.99 and (reopened is no or status is not "lost")')) == (
        "accuracy is more than 0.99 and (reopened is no or status is not “lost”)"
    )
    assert in_words(parsed("signed <= 2026-10-31")) == "signed is at most 31 October 2026"


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("speed > 1", 1, "there is no evidence field “speed”"),
        ("accuracy > 1 and speed > 1", 18, "there is no evidence field “speed”"),
        ('accuracy > "high"', 12, "compared with a number"),
        ("accuracy > yes", 12, "compared with a number"),
        ("status is 5", 11, "compared with text in quotes"),
        ('status > "a"', 8, "text has no order"),
        ("reopened >= yes", 10, "a yes or no has no order"),
        ("signed > 2026-02-30", 10, "compared with a date"),
        ("accuracy", 9, "an operator is missing"),
        ("accuracy >", 11, "compared with a number"),
        ("> 1", 1, "the name of an evidence field is missing"),
        ("accuracy > 1 accuracy < 2", 14, "follows a whole condition"),
        ("(accuracy > 1", 14, "a closing bracket is missing"),
        ("accuracy > 1 and", 17, "the name of an evidence field is missing"),
        ("accuracy ~ 1", 10, "cannot be read"),
        ("accuracy > 5 and accuracy < 3", 1, "can never be so"),
        ("accuracy > 5 and accuracy <= 5", 1, "can never be so"),
        ("hours > 1 or (accuracy = 1 and accuracy = 2)", 15, "can never be so"),
        ('status is "a" and status is "b"', 1, "can never be so"),
        ("reopened is yes and reopened is no", 1, "can never be so"),
        ("accuracy > 1 and (accuracy < 1 and hours > 2)", 1, "can never be so"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(text, place, said):
    with pytest.raises(ConditionRefused) as refused:
        parsed(text)
    assert refused.value.place == place
    assert said in str(refused.value)
    (problem,) = condition_problems(text, fields=FIELDS, where="success")
    assert (problem.code, problem.field) == ("condition_invalid", "success")
    assert problem.message.startswith(f"At character {place}: ")


def test_a_condition_has_bounds():
    with pytest.raises(ConditionRefused, match="at most 2000 characters"):
        parsed("accuracy > 1 " + " " * 2000)
    with pytest.raises(ConditionRefused, match="too many brackets"):
        parsed("(" * 21 + "accuracy > 1" + ")" * 21)


@given(st.text(max_size=60) | st.text(alphabet='acurey>=<()&1 ."ndoris', max_size=60))
def test_any_text_is_read_or_refused(text):
    try:
        condition = parsed(text)
    except ConditionRefused as error:
        refused = error
    else:
        assert isinstance(holds(condition, {"accuracy": D(1)}), bool)
        return
    assert 1 <= refused.place <= len(text) + 1
