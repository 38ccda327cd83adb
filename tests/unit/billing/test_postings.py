"""What each business event posts, and that it always balances."""

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.ledger.postings import (
    Entry,
    Unbalanced,
    credit_note,
    payment,
    refund,
    refuse_unbalanced,
    reversal,
    statement_finalised,
)

AMOUNTS = st.decimals(min_value=-(10**9), max_value=10**9, places=4)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (
            statement_finalised(total=D("884.01"), currency="USD"),
            (Entry("receivable", "USD", D("884.01")), Entry("revenue", "USD", D("-884.01"))),
        ),
        (
            statement_finalised(total=D("-10.00"), currency="USD"),
            (Entry("receivable", "USD", D("-10.00")), Entry("revenue", "USD", D("10.00"))),
        ),
        (statement_finalised(total=D(0), currency="USD"), ()),
        (
            payment(amount=D(500), currency="JPY"),
            (Entry("cash", "JPY", D(500)), Entry("receivable", "JPY", D(-500))),
        ),
        (
            refund(amount=D(5), currency="EUR"),
            (Entry("receivable", "EUR", D(5)), Entry("cash", "EUR", D(-5))),
        ),
        (
            credit_note(amount=D("1.234"), currency="KWD"),
            (Entry("revenue", "KWD", D("1.234")), Entry("receivable", "KWD", D("-1.234"))),
        ),
    ],
)
def test_what_is_posted(entries: tuple[Entry, ...], expected: tuple[tuple, ...]) -> None:
    assert entries == expected


@given(AMOUNTS)
def test_every_template_balances_and_a_reversal_takes_it_back(amount: D) -> None:
    for template in (payment, refund, credit_note):
        entries = template(amount=amount, currency="USD")
        refuse_unbalanced(entries)
        assert [e.amount for e in reversal(entries)] == [-e.amount for e in entries]
    refuse_unbalanced(statement_finalised(total=amount, currency="USD"))


def test_entries_that_do_not_balance_are_refused_by_unit() -> None:
    entries = (
        Entry("cash", "USD", D(5)),
        Entry("receivable", "EUR", D(-5)),
        Entry("credit", "TOKN", D(2)),
        Entry("issued", "TOKN", D(-2)),
    )
    with pytest.raises(Unbalanced) as refused:
        refuse_unbalanced(entries)
    assert str(refused.value) == "The entries are out of balance by -5 EUR, 5 USD."
    assert refused.value.code == "unbalanced"
