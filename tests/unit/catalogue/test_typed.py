"""What people type becomes what documents say: numbers plain, blanks dropped, places kept."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.catalogue.check import schema_problems, version_problems
from plans.catalogue.stated import amount_text
from plans.catalogue.typed import number_typed, version_typed


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1000000", "1000000"),
        ("1,000,000", "1000000"),
        ("1 000 000.50", "1000000.50"),
        ("1\u202f000", "1000"),
        (" 0.04 ", "0.04"),
        (".5", "0.5"),
        ("5.", "5"),
        ("12.5 %", "12.5"),
        ("1,00,000", "1,00,000"),
        ("0,04", "0,04"),
        ("1.000.000", "1.000.000"),
        ("$5", "$5"),
        ("1e3", "1e3"),
        ("-1", "-1"),
        ("", ""),
    ],
)
def test_a_number_is_read_as_it_was_meant_or_left_alone(text, number):
    assert number_typed(text) == number


@given(st.decimals(min_value=0, max_value=10**15, places=6))
def test_a_number_with_or_without_commas_is_the_same_number(number):
    assert Decimal(number_typed(f"{number:,f}")) == number
    assert Decimal(number_typed(amount_text(number))) == number


def test_blanks_are_dropped_and_lists_keep_their_places():
    typed = {
        "currency": "USD", "note": " ", "features": [], "phases": [{"key": "", "days": " 14 "}],
        "prices": [
            {},
            {"key": " fee ", "model": "flat", "amount": "1,000", "once": False, "minimum": ""},
            {
                "model": "graduated", "unit_size": "", "overage": {"policy": "packs", "most": "3"},
                "tiers": [{"up_to": "", "unit": ""}, {"up_to": "5 000", "unit": "1", "flat": ""}],
            },
            {"model": "matrix", "rates": [{"match": {"a": "", "b": "x "}}, {"match": {"a": ""}}]},
        ],
    }  # fmt: skip

    assert version_typed(typed) == {
        "currency": "USD",
        "phases": [{"days": 14}],
        "prices": [
            {},
            {"key": "fee", "model": "flat", "amount": "1000", "once": False},
            {
                "model": "graduated",
                "overage": {"policy": "packs", "most": 3},
                "tiers": [{"up_to": None}, {"up_to": "5000", "unit": "1"}],
            },
            {"model": "matrix", "rates": [{"match": {"b": "x"}}, {"match": {}}]},
        ],
    }


PRICES = [
    {"key": "a", "name": "A", "model": "flat", "amount": "x"},
    {"key": "a", "name": "A", "model": "volume", "meter": "m", "tiers": [{}]},
    {"key": "a", "name": "A", "model": "per_unit", "amount": "1", "overage": {"policy": "packs"}},
    {"key": "a", "model": "nothing"},
    {},
    "text",
    {"key": "a", "name": "A", "model": "seats", "meter": "m", "amount": "1", "tiers": []},
]


@pytest.mark.parametrize("price", PRICES)
def test_a_version_by_itself_has_the_problems_that_it_has_in_a_document(price):
    version = {"currency": "USD", "prices": [price]}
    document = {"plans": [{"key": "p", "name": "P", **version}]}

    alone = {(each.path, each.code) for each in version_problems(version)}
    inside = {(each.path, each.code) for each in schema_problems(document, file="")}

    assert alone
    assert {(f"plans[0].{path}", code) for path, code in alone} == inside
