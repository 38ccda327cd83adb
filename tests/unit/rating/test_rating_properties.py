"""What holds for every price and every usage."""

import itertools
from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from plans.rating.flat import Flat
from plans.rating.graduated import Graduated
from plans.rating.matrix import Matrix, MatrixRate
from plans.rating.money import round_money, total
from plans.rating.package import Package
from plans.rating.per_unit import PerUnit
from plans.rating.percentage import Percentage
from plans.rating.prices import Price
from plans.rating.rate import rate
from plans.rating.usage import Cell, Usage
from plans.rating.volume import Volume
from tests.unit.rating.support import (
    D,
    assert_adds_up,
    decimals,
    flat_amounts,
    metered,
    models,
    prices,
    quantities,
    rising_tier_lists,
    shares,
    sizes,
    small_quantities,
    tier_lists,
    unit_amounts,
    used,
)

currencies = st.sampled_from(["JPY", "USD", "KWD"])
values = st.sampled_from(["a", "b", "c", ""])
matrix_rates = st.lists(
    st.builds(MatrixRate, st.tuples(st.none() | values, st.none() | values), decimals(0, 10, 6)),
    min_size=1,
    max_size=6,
    unique_by=lambda found: found.match,
)
cell_lists = st.lists(
    st.builds(Cell, st.tuples(values, values), decimals(0, 10**6, 3)), max_size=10
)


@given(models(), quantities)
def test_the_parts_add_up_to_the_charge(model, quantity):
    charge = model.charge(quantity)
    assert total(part.amount for part in charge.parts) == charge.amount
    assert charge.amount >= 0


@given(models(), quantities)
def test_every_part_is_what_it_says_it_is(model, quantity):
    for part in model.charge(quantity).parts:
        exact = Fraction(part.flat_amount)
        if part.unit_amount is not None:
            exact += Fraction(part.quantity) * Fraction(part.unit_amount) / Fraction(part.unit_size)
        assert abs(Fraction(part.amount) - exact) < Fraction(1, 10**30)


@given(prices(), quantities, shares, currencies)
def test_parts_and_adjustments_add_up_to_the_line_and_it_is_rounded_once(
    price, quantity, share, currency
):
    for line in rate(price, used(quantity), currency=currency, share=share):
        assert_adds_up(line)
        assert line.amount == round_money(line.exact_amount, currency=currency)
        assert line.amount >= 0


@given(prices(), quantities, shares)
def test_a_line_keeps_to_the_prices_bounds(price, quantity, share):
    for line in rate(price, used(quantity), currency="USD", share=share):
        part = share if price.prorated else 1
        if price.maximum is not None:
            highest = Fraction(price.maximum) * part
            assert Fraction(line.exact_amount) <= highest + Fraction(1, 10**40)
        if price.minimum is not None:
            lowest = Fraction(price.minimum) * part
            assert Fraction(line.exact_amount) >= lowest - Fraction(1, 10**40)


never_cheaper = st.one_of(
    st.builds(PerUnit, unit_amounts, sizes),
    st.builds(Package, unit_amounts, sizes, small_quantities),
    st.builds(Graduated, tier_lists(), sizes, st.booleans()),
    st.builds(Volume, rising_tier_lists(), sizes, st.booleans()),
    st.builds(Percentage, decimals(0, 100, 4), free_amount=flat_amounts),
)


@given(never_cheaper, quantities, quantities)
def test_more_usage_never_costs_less_where_prices_do_not_fall(model, one, other):
    """Graduated tiers may fall: what they add is never negative. Volume's may not."""
    less, more = sorted((one, other))
    assert model.charge(less).amount <= model.charge(more).amount


@given(prices(), st.lists(small_quantities, min_size=1, max_size=6), shares)
def test_splitting_the_usage_into_cells_changes_nothing(price, pieces, share):
    split_up = Usage(tuple(Cell((), piece) for piece in pieces))
    whole = Usage((Cell((), total(pieces)),))
    assert rate(price, split_up, currency="USD", share=share) == rate(
        price, whole, currency="USD", share=share
    )


@given(matrix_rates, cell_lists, st.integers(2, 5))
def test_splitting_the_cells_of_a_matrix_changes_nothing(rates, cells, pieces):
    price = metered(Matrix(tuple(rates), D(1)), dimensions=("x", "y"))
    parts = [cell for cell in cells for _ in range(pieces)]
    whole = [replace(cell, quantity=cell.quantity * pieces) for cell in cells]
    assert rate(price, Usage(tuple(parts)), currency="USD") == rate(
        price, Usage(tuple(whole)), currency="USD"
    )


@given(models())
def test_nothing_used_costs_nothing(model):
    assert model.charge(D(0)).amount == 0
    assert rate(metered(model), Usage(), currency="USD") == ()


@given(prices(), currencies)
def test_nothing_used_is_free_unless_a_minimum_says_otherwise(price, currency):
    lines = rate(price, Usage(), currency=currency)
    lowest = round_money(price.minimum or D(0), currency=currency)
    assert total(line.amount for line in lines) == lowest
    assert len(lines) == (1 if lowest else 0)


@given(tier_lists(), st.sampled_from([Graduated, Volume]), small_quantities)
def test_at_zero_the_first_fee_is_all_that_is_due_where_the_price_says_so(tiers, model, allowance):
    price = metered(model(tiers, charge_first_tier_at_zero=True), allowance=allowance)
    lines = rate(price, used(allowance), currency="USD")
    assert total(line.exact_amount for line in lines) == tiers[0].flat_amount


@given(tier_lists(flat=st.just(D(0))), quantities)
def test_one_rate_for_all_tiers_is_a_price_per_unit(tiers, quantity):
    same = tuple(replace(found, unit_amount=tiers[0].unit_amount) for found in tiers)
    expected = PerUnit(tiers[0].unit_amount).charge(quantity).amount
    assert Graduated(same).charge(quantity).amount == expected
    assert Volume(same).charge(quantity).amount == expected


@given(tier_lists(), quantities)
def test_inside_the_first_tier_graduated_and_volume_agree(tiers, quantity):
    if tiers[0].up_to is not None:
        quantity = min(quantity, tiers[0].up_to)
    assert Graduated(tiers).charge(quantity) == Volume(tiers).charge(quantity)


@given(tier_lists(), quantities)
def test_the_tiers_quantities_add_up_to_the_quantity(tiers, quantity):
    parts = Graduated(tiers).charge(quantity).parts
    assert total(part.quantity for part in parts) == quantity


def _slowly(rates, cell):
    """Find a cell's rate by looking at every one; -1 is the default."""
    matching = [
        (-sum(v is not None for v in found.match), index)
        for index, found in enumerate(rates)
        if all(v is None or v == c for v, c in zip(found.match, cell.dimensions, strict=True))
    ]
    return min(matching)[1] if matching else -1


@given(matrix_rates, cell_lists)
def test_the_fast_matrix_agrees_with_looking_at_every_rate(rates, cells):
    by_size = _without_ambiguity(rates)
    lines = rate(
        metered(Matrix(tuple(by_size), D(7)), dimensions=("x", "y")),
        Usage(tuple(cells)),
        currency="USD",
    )
    expected = total(
        cell.quantity
        * (by_size[found].unit_amount if (found := _slowly(by_size, cell)) >= 0 else 7)
        for cell in cells
    )
    assert total(line.exact_amount for line in lines) == expected
    assert len({line.key for line in lines}) == len(lines)
    assert total(line.usage_quantity for line in lines) == total(c.quantity for c in cells)


def _without_ambiguity(rates):
    """Keep rates with a wildcard in the first place only, so that no two are equally specific."""
    kept = [found for found in rates if found.match[1] is not None or found.match[0] is None]
    return kept or [MatrixRate((None, None), D(1))]


@given(
    matrix_rates,
    cell_lists,
    small_quantities,
    decimals(0, 100, 2),
    st.tuples(decimals(0, 1000, 2), decimals(0, 1000, 2)).map(sorted),
    shares,
)
def test_a_matrix_keeps_to_its_bounds_to_the_cent(rates, cells, allowance, percent, bounds, share):
    low, high = bounds
    price = metered(
        Matrix(tuple(rates), D(1), D(1000)),
        dimensions=("x", "y"),
        allowance=allowance,
        discount_percent=percent,
        minimum=low,
        maximum=high,
        prorated=False,
    )
    lines = rate(price, Usage(tuple(cells)), currency="USD", share=share)
    assert low <= total(line.amount for line in lines) <= high
    for line in lines:
        assert_adds_up(line)


@given(
    st.builds(
        Percentage,
        decimals(0, 10, 3),
        fixed_amount=decimals(0, 1, 2),
        free_transactions=st.integers(0, 4),
        free_amount=flat_amounts,
        minimum_per_transaction=st.none() | decimals(0, 2, 2),
        maximum_per_transaction=st.none() | decimals(2, 9, 2),
    ),
    st.lists(small_quantities, max_size=12),
)
def test_rules_for_each_transaction_add_up_one_by_one(model, transactions):
    charge = model.charge(total(transactions), tuple(transactions))
    assert total(part.amount for part in charge.parts) == charge.amount
    cumulative = [
        model.charge(total(transactions[:count]), tuple(transactions[:count])).amount
        for count in range(len(transactions) + 1)
    ]
    assert cumulative[-1] == charge.amount
    if not model.needs_transactions:
        return
    for before, after in itertools.pairwise(cumulative):
        assert after >= before
        if model.maximum_per_transaction is not None:
            assert after - before <= model.maximum_per_transaction


@given(decimals(0, 10**6, 2), st.integers(1, 31), st.integers(0, 31))
def test_a_fee_split_over_two_versions_is_off_by_half_a_cent_each_at_most(amount, days, cut):
    cut = min(cut, days)
    price = Price("fee", "Fee", Flat(amount))
    pieces = [Fraction(cut, days), Fraction(days - cut, days)]
    billed = sum(
        line.amount
        for piece in pieces
        for line in rate(price, Usage(), currency="USD", share=piece)
    )
    assert abs(billed - amount) <= D("0.01")
