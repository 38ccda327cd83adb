"""A percentage of a value, and the rules for each transaction."""

import pytest

from plans.rating.allowance import AllowanceOnTransactions
from plans.rating.charge import NegativeQuantity
from plans.rating.money import total
from plans.rating.percentage import MissingTransactions, Percentage, TransactionsDoNotAddUp
from plans.rating.rate import rate
from plans.rating.usage import Cell, Usage
from tests.unit.rating.support import D, metered, one_line, parts_of, used


def paid(*values):
    values = tuple(D(value) for value in values)
    return Usage((Cell((), total(values)),), values)


def each(percent="0", **rules):
    decimals = {name: D(v) if name != "free_transactions" else v for name, v in rules.items()}
    return Percentage(D(percent), **decimals)


@pytest.mark.parametrize(
    ("percent", "value", "billed"),
    [
        ("25", "1620.50", "405.13"),
        ("40", "5000", "2000.00"),
        ("2.5", "1000", "25.00"),
        ("0", "1000", "0.00"),
        ("100", "12.34", "12.34"),
        ("130", "100", "130.00"),
        ("0.0001", "1000000", "1.00"),
    ],
    ids=["S13 recovered money", "S16 value created", "plain", "none", "all", "cost plus", "tiny"],
)
def test_a_percentage_of_the_value(percent, value, billed):
    assert str(one_line(metered(each(percent)), used(value)).amount) == billed


def test_s16_the_cap_of_the_month():
    line = one_line(metered(each("40"), maximum="2500"), used("7500"))
    assert str(line.amount) == "2500.00"


@pytest.mark.parametrize(
    ("value", "amount"), [("0", "0"), ("99.99", "0"), ("100", "0"), ("150", "5")]
)
def test_a_free_amount_alone_needs_no_transactions(value, amount):
    model = each("10", free_amount="100")
    assert not model.needs_transactions
    assert model.charge(D(value)).amount == D(amount)


@pytest.mark.parametrize(
    ("rules", "needed"),
    [
        ({}, False),
        ({"free_amount": "5"}, False),
        ({"fixed_amount": "0.10"}, True),
        ({"free_transactions": 3}, True),
        ({"minimum_per_transaction": "0"}, True),
        ({"maximum_per_transaction": "5"}, True),
    ],
)
def test_when_the_single_transactions_are_needed(rules, needed):
    assert each("1", **rules).needs_transactions is needed


@pytest.mark.parametrize(
    ("rules", "values", "amount"),
    [
        ({"fixed_amount": "0.30"}, "100 50", "2.1"),
        ({"fixed_amount": "0.30"}, "0", "0.3"),
        ({"free_transactions": 1}, "100 50", "0.5"),
        ({"free_transactions": 2}, "100 50", "0"),
        ({"free_transactions": 9}, "100 50", "0"),
        ({"free_transactions": 1, "fixed_amount": "0.30"}, "100 50", "0.8"),
        ({"free_amount": "100", "fixed_amount": "0.30"}, "100 50", "0.8"),
        ({"free_amount": "120", "fixed_amount": "0.30"}, "100 50", "0.6"),
        ({"free_amount": "120", "fixed_amount": "0.30"}, "50 100", "0.6"),
        ({"free_amount": "150", "fixed_amount": "0.30"}, "100 50", "0"),
        ({"free_transactions": 3, "free_amount": "120"}, "100 50 50", "0.8"),
        ({"free_transactions": 1, "free_amount": "500"}, "100 50 50", "1"),
        ({"minimum_per_transaction": "0.75"}, "100 50", "1.75"),
        ({"maximum_per_transaction": "0.75"}, "100 50", "1.25"),
        ({"minimum_per_transaction": "0.6", "maximum_per_transaction": "0.8"}, "100 50", "1.4"),
        ({"minimum_per_transaction": "2", "fixed_amount": "0.30"}, "100 50", "4"),
        ({"minimum_per_transaction": "2", "free_transactions": 1}, "100 50", "2"),
        ({"minimum_per_transaction": "2", "free_amount": "100"}, "100 50", "2"),
    ],
)
def test_rules_for_each_transaction_at_one_percent(rules, values, amount):
    usage = paid(*values.split())
    charge = each("1", **rules).charge(usage.quantity, usage.transactions)
    assert charge.amount == D(amount)
    assert total(part.amount for part in charge.parts) == charge.amount


def test_the_first_in_time_are_the_free_ones():
    model = each("10", free_transactions=1)
    assert model.charge(D(110), (D(100), D(10))).amount == D(1)
    assert model.charge(D(110), (D(10), D(100))).amount == D(10)


def test_parts_tell_the_percentage_the_fees_and_the_bounds_apart():
    model = each("1", fixed_amount="0.30", minimum_per_transaction="1", maximum_per_transaction="3")
    charge = model.charge(D(1050), (D(1000), D(50)))
    assert parts_of(charge) == [
        ("1%", "1050", "10.50"),
        ("transactions", "2", "0.60"),
        ("minimum per transaction", "1", "0.20"),
        ("maximum per transaction", "1", "-7.30"),
    ]
    assert charge.amount == D(4)


def test_rated_from_the_usages_transactions():
    price = metered(each("2.9", fixed_amount="0.30"))
    assert str(one_line(price, paid("100", "59.99")).amount) == "5.24"
    assert rate(price, Usage(), currency="USD") == ()


def test_a_fee_on_a_transaction_of_no_value_is_a_line():
    line = one_line(metered(each("1", fixed_amount="0.30")), paid("0", "0"))
    assert (str(line.amount), line.usage_quantity) == ("0.60", 0)


def test_missing_transactions_are_an_error_and_not_a_free_ride():
    with pytest.raises(MissingTransactions) as caught:
        rate(metered(each("1", fixed_amount="0.30")), used("150"), currency="USD")
    assert caught.value.code == "missing_transactions"


def test_transactions_that_do_not_make_up_the_value_are_an_error():
    usage = Usage((Cell((), D(150)),), (D(100),))
    with pytest.raises(TransactionsDoNotAddUp, match="add up to 100, the meter counted 150"):
        rate(metered(each("1", fixed_amount="0.30")), usage, currency="USD")


def test_an_allowance_cannot_be_taken_off_transactions():
    price = metered(each("1", fixed_amount="0.30"), allowance="10")
    with pytest.raises(AllowanceOnTransactions, match="free amount") as caught:
        rate(price, paid("100"), currency="USD")
    assert caught.value.code == "allowance_on_transactions"


def test_a_negative_value_is_refused():
    with pytest.raises(NegativeQuantity):
        each("1").charge(D(-1))
    with pytest.raises(NegativeQuantity):
        each("1", fixed_amount="1").charge(D(50), (D(100), D(-50)))
