"""Percentiles: exact on worked examples, in order, and calibrated for however few values."""

from decimal import Decimal as D
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.estimates.values import NOTHING, ends_of, percentile, percentiles

amounts = st.lists(st.decimals("0", "1000", places=6), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("count", "low", "expected", "high"),
    [
        (1, "1", "1", "1"),
        (2, "1", "1.5", "2"),
        (9, "1", "5", "9"),
        (19, "2", "10", "18"),
        (20, "2.1", "10.5", "18.9"),
        (99, "10", "50", "90"),
    ],
)
def test_percentiles_of_one_to_n(count: int, low: str, expected: str, high: str) -> None:
    values = [D(number) for number in range(1, count + 1)]

    assert percentiles(values) == (D(low), D(expected), D(high))


@given(values=amounts)
def test_a_range_is_in_order_and_lies_within_what_was(values: list[D]) -> None:
    low, expected, high = percentiles(values)

    assert min(values) <= low <= expected <= high <= max(values)


@given(values=amounts, factor=st.decimals("0.001", "1000", places=3))
def test_a_range_scales_with_its_values(values: list[D], factor: D) -> None:
    scaled = percentiles([value * factor for value in values])

    for one, other in zip(percentiles(values), scaled, strict=True):
        assert abs(one * factor - other) <= D("1e-9")


@pytest.mark.parametrize("count", [9, 20, 50, 200])
def test_of_jobs_alike_the_next_falls_into_the_range_four_times_of_five(count: int) -> None:
    """Each rank of the next of n + 1 is as likely as another: count those within the range.

    Of values one to n, one that falls between a and b lies so far between their ranks.
    """
    values = [D(number) for number in range(1, count + 1)]
    low, high = percentile(values, D("0.1")), percentile(values, D("0.9"))

    assert Fraction(high - low) / (count + 1) == Fraction(4, 5)


def test_nothing_is_a_range_of_nothing() -> None:
    assert percentiles([]) == NOTHING
    assert ends_of([]) == NOTHING
    assert ends_of([D(4), D(1), D(2)]) == (D(1), D(2), D(4))
