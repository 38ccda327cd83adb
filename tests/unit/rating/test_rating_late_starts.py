"""Late starts: what a service class gives back of its premium, on a line of its own."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.rating.explain import in_words
from plans.rating.late_starts import bounded, late_words, without_late_credits
from plans.rating.matrix import Matrix, MatrixRate
from plans.rating.money import total
from plans.rating.per_unit import PerUnit
from plans.rating.prices import ServiceClass
from plans.rating.rate import rate
from plans.rating.usage import Cell, Usage
from tests.unit.rating.support import D, amounts, assert_adds_up, decimals, metered

CLASSES = (
    ServiceClass("standard", "standard", start_within_minutes=60),
    ServiceClass("premium", "premium", D("1.5"), 15, late_start_percent=D(100)),
    ServiceClass("priority", "priority", D("2.5"), 1, late_start_percent=D(100)),
)
PRICE = replace(
    metered(
        PerUnit(D("0.40")),
        dimensions=("service_class", "started_late"),
        class_dimension="service_class",
        classes=CLASSES,
    ),
    unit="job",
)


def used(**quantities):
    """Return usage by class; ``premium_late`` is that of jobs which started late."""
    cells = []
    for name, quantity in quantities.items():
        key, _, late = name.partition("_")
        cells.append(Cell((key, "true" if late else ""), D(quantity)))
    return Usage(tuple(cells))


USED = used(standard="100", premium="37", premium_late="3", priority="10")


def credit_of(price, usage):
    lines = [line for line in rate(price, usage, currency="USD") if line.amount < 0]
    for line in lines:
        assert_adds_up(line)
    return lines


def test_three_premium_jobs_that_started_late_cost_what_standard_ones_do():
    lines = rate(PRICE, USED, currency="USD")
    assert [(line.key, line.label, str(line.quantity), str(line.amount)) for line in lines] == [
        ("standard", "Jobs, standard", "100", "40.00"),
        ("premium", "Jobs, premium", "40", "24.00"),
        ("priority", "Jobs, priority", "10", "10.00"),
        ("late:premium", "service credit, 3 premium jobs started late", "3", "-0.60"),
    ]
    assert total(line.amount for line in lines) == D("73.40")
    assert in_words(lines[-1], currency="USD") == (
        "service credit, 3 premium jobs started late: 3 at -0.2 = -0.60"
    )


@pytest.mark.parametrize(
    ("change", "late", "amount"),
    [
        ({}, "1", "-0.20"),
        ({"discount_percent": D(50)}, "3", "-0.30"),
        # Of 40 jobs 38 are included: two are billed, and no more are given back.
        ({"allowance": D(38)}, "3", "-0.40"),
        ({"allowance": D(40)}, "3", None),
        # Half of what the premium jobs cost falls away, and so does half of what is given back.
        ({"maximum": D(12)}, "3", "-0.30"),
        ({"maximum": D(12), "discount_percent": D(50)}, "3", "-0.30"),
        # A promised minimum stands; the premium that was paid is given back nevertheless.
        ({"minimum": D(30)}, "3", "-0.60"),
        ({"model": PerUnit(D(400), D(1000))}, "3", "-0.60"),
        ({"model": PerUnit(D(0))}, "3", None),
    ],
)
def test_what_was_not_charged_is_not_given_back(change, late, amount):
    usage = used(premium=str(40 - int(late)), premium_late=late)
    found = credit_of(replace(PRICE, **change), usage)
    assert amounts(found) == ([] if amount is None else [amount])


@pytest.mark.parametrize(
    ("multiplier", "percent", "amounts_back"),
    [("1.5", "100", ["-2.00"]), ("1.5", "25", ["-0.50"]), ("1.5", "0", []), ("1", "100", []),
     ("0.5", "100", [])],
)  # fmt: skip
def test_a_share_of_the_premium_comes_back(multiplier, percent, amounts_back):
    found = ServiceClass("premium", "premium", D(multiplier), 15, D(percent))
    price = replace(PRICE, classes=(found,))
    assert amounts(credit_of(price, used(premium_late="10"))) == amounts_back


def test_a_class_that_promises_nothing_and_a_matrix_give_nothing_back():
    assert credit_of(PRICE, used(standard_late="5")) == []
    matrix = Matrix((MatrixRate(("premium", None), D(1)),), default=D(1))
    assert credit_of(replace(PRICE, class_dimension="", model=matrix), USED) == []
    assert credit_of(without_late_credits(PRICE), USED) == []
    untold = replace(PRICE, dimensions=("service_class", "model"))
    assert credit_of(untold, USED) == []


def test_what_is_left_of_the_most_in_a_period_bounds_a_credit():
    line = credit_of(PRICE, USED)[0]
    assert bounded(line, left=D("0.60")) is line
    lowered = bounded(line, left=D("0.45"))
    assert (lowered.amount, lowered.exact_amount) == (D("-0.45"), D("-0.45"))
    assert_adds_up(lowered)
    assert in_words(lowered, currency="USD") == (
        "service credit, 3 premium jobs started late: 3 at -0.2, plus 0.15 beyond the most that"
        " late starts give back in a period = -0.45"
    )
    nothing = bounded(line, left=D(0))
    assert str(nothing.amount) == "0"
    assert_adds_up(nothing)


@pytest.mark.parametrize(
    ("quantity", "unit", "words"),
    [
        ("1", "jobs", "1 premium job started late"),
        ("1200", "tokens", "1,200 tokens of premium jobs that started late"),
        ("2", "", "2 units of premium jobs that started late"),
    ],
)
def test_what_started_late_in_words(quantity, unit, words):
    assert late_words(D(quantity), unit=unit, name="premium") == words


@given(
    st.tuples(*[st.integers(0, 50)] * 4),
    decimals(0, 3, 3),
    st.integers(0, 60),
    st.none() | st.integers(0, 40),
    st.integers(0, 100),
)
def test_late_jobs_never_cost_more_than_punctual_ones_nor_less_than_the_price_itself(
    counts, amount, allowance, maximum, discount
):
    premium, premium_late, priority, priority_late = map(str, counts)
    price = replace(
        PRICE,
        model=PerUnit(amount),
        allowance=D(allowance),
        maximum=None if maximum is None else D(maximum),
        discount_percent=D(discount),
    )
    usage = used(
        premium=premium, premium_late=premium_late, priority=priority, priority_late=priority_late
    )
    punctual = rate(without_late_credits(price), usage, currency="USD")
    lines = rate(price, usage, currency="USD")
    plain = tuple(replace(each, multiplier=D(1)) for each in CLASSES)
    standard = rate(replace(price, classes=plain, maximum=None), usage, currency="USD")
    assert lines[: len(punctual)] == punctual
    for line in lines:
        assert_adds_up(line)
    for line in lines[len(punctual) :]:
        assert line.amount <= 0
        charged = next(each for each in punctual if f"late:{each.key}" == line.key)
        assert charged.exact_amount + line.exact_amount >= 0
        if maximum is None:
            at_price = next(each for each in standard if each.key == charged.key)
            assert charged.exact_amount + line.exact_amount >= at_price.exact_amount
