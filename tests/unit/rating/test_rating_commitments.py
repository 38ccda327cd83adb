"""The maths of commitments: splits that add up, room that is never exceeded, what is missing."""

from datetime import date
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.rating.commitments import (
    NOTHING,
    Commitment,
    Instalment,
    Split,
    change_split,
    commitment_problems,
    counted,
    covers,
    exact_charge,
    instalment_stretches,
    rollover_most,
    shortfall,
    split_charge,
    stretches,
)
from plans.rating.money import round_money

YEAR = (Instalment(12, D(50_000)),)
QUARTERS = tuple(Instalment(3, D(amount)) for amount in (5000, 10_000, 15_000, 20_000))


def promise(**said):
    given = {"key": "c", "name": "C", "kind": "postpaid", "start": date(2025, 1, 1)}
    return Commitment(**{**given, "instalments": YEAR, "discount_percent": D(20), **said})


def split(commitment, listed, room):
    return split_charge(commitment, D(listed), room=D(room), currency="USD")


def money(commitment, parts):
    return round_money(exact_charge(commitment, parts), currency="USD")


def test_usage_within_has_the_committed_discount():
    parts = split(promise(), "4500", "50000")
    assert parts == Split(D(4500), D(0))
    assert money(promise(), parts) == D("3600.00")
    assert counted(promise(), parts, currency="USD") == D("3600.00")


def test_a_charge_that_crosses_is_split_exactly():
    """Of 4,500 with room for 1,000 net, 1,250 is within at 20% off and 3,250 beyond at list."""
    beyond = promise(beyond_percent=D(0))
    parts = split(beyond, "4500", "1000")
    assert parts == Split(D(1250), D(3250))
    assert (money(beyond, parts), counted(beyond, parts, currency="USD")) == (D(4250), D(1000))

    third = promise(discount_percent=D(30), beyond_percent=D(5))
    parts = split(third, "2000", "1000")
    assert parts == Split(D("1428.571428571429"), D("571.428571428571"))
    assert counted(third, parts, currency="USD") == D("1000.00")
    assert money(third, parts) == D("1542.86")


def test_gross_counts_the_list_value():
    gross = promise(counts="gross", beyond_percent=D(10))
    parts = split(gross, "4500", "1000")
    assert parts == Split(D(1000), D(3500))
    assert (money(gross, parts), counted(gross, parts, currency="USD")) == (D(3950), D(1000))


def test_what_is_beyond_has_the_committed_discount_unless_said_otherwise():
    assert money(promise(), split(promise(), "4500", "0")) == D("3600.00")


def test_a_correction_takes_from_what_lies_beyond_first():
    before = Split(D(1250), D(3250))
    beyond = promise(beyond_percent=D(0))

    def now(listed, room):
        return change_split(beyond, before, D(listed), room=D(room), currency="USD")

    assert now("4500", "0") == before
    assert now("2000", "0") == Split(D(1250), D(750))
    assert now("1000", "0") == Split(D(1000), D(0))
    assert now("0", "0") == NOTHING
    assert now("4600", "0") == Split(D(1250), D(3350))
    assert now("4600", "40") == Split(D(1300), D(3300))


def test_instalments_follow_each_other_from_the_start_and_are_clamped():
    ramp = promise(start=date(2025, 1, 31), instalments=(Instalment(1, D(1)), Instalment(2, D(2))))
    assert [(each.start, each.end) for each in instalment_stretches(ramp)] == [
        (date(2025, 1, 31), date(2025, 2, 28)),
        (date(2025, 2, 28), date(2025, 4, 30)),
    ]


def test_usage_is_measured_against_the_term_or_each_instalment():
    (term,) = stretches(promise(instalments=QUARTERS))
    assert (term.start, term.end, term.months) == (date(2025, 1, 1), date(2026, 1, 1), 12)
    assert (term.amount, term.promised) == (D(50_000), D(50_000))
    quarters = stretches(promise(instalments=QUARTERS, measured_by="instalment"))
    assert [(each.start.month, each.promised) for each in quarters] == [
        (1, D(5000)), (4, D(10_000)), (7, D(15_000)), (10, D(20_000))
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("measured_by", "due", "expected"),
    [
        ("term", True, [(date(2025, 5, 15), 50_000)]),
        ("term", False, [(date(2025, 5, 15), 0)]),
        ("instalment", True, [(date(2025, 4, 1), 5000), (date(2025, 5, 15), 45_000)]),
        ("instalment", False, [(date(2025, 4, 1), 5000), (date(2025, 5, 15), 0)]),
    ],
)
def test_an_early_end_cuts_the_stretch_and_makes_the_rest_due_or_not(measured_by, due, expected):
    ended = promise(
        instalments=QUARTERS, measured_by=measured_by, ended_on=date(2025, 5, 15), shortfall_due=due
    )
    assert [(each.end, each.promised) for each in stretches(ended)] == expected


def test_a_prepaid_one_promises_nothing_more():
    assert [each.promised for each in stretches(promise(kind="prepaid"))] == [D(0)]


def test_fees_and_other_meters_do_not_count():
    assert covers(promise(), "tokens")
    assert not covers(promise(), None)
    assert covers(promise(meters=("gpu", "tokens")), "gpu")
    assert not covers(promise(meters=("gpu",)), "tokens")


def test_rollover_is_a_share_of_what_was_paid():
    rolls = promise(kind="prepaid", rollover_percent=D(10))
    assert rollover_most(rolls, D(50_000), currency="USD") == D("5000.00")
    assert rollover_most(promise(), D(50_000), currency="USD") == 0


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"instalments": ()}, ("missing", "instalments")),
        ({"instalments": (Instalment(0, D(1)),)}, ("not_positive", "instalments[0].months")),
        ({"instalments": (Instalment(1, D(0)),)}, ("not_positive", "instalments[0].amount")),
        (
            {"instalments": (Instalment(1, D("1.005")),)},
            ("too_many_decimals", "instalments[0].amount"),
        ),
        ({"instalments": (Instalment(121, D(1)),)}, ("too_long", "instalments")),
        ({"instalments": (Instalment(1, D(1)),) * 61}, ("too_many", "instalments")),
        ({"discount_percent": D(101)}, ("out_of_range", "discount_percent")),
        ({"beyond_percent": D(-1)}, ("out_of_range", "beyond_percent")),
        ({"discount_percent": D(100)}, ("never_counts", "counts")),
        ({"rollover_percent": D(10)}, ("nothing_to_roll", "rollover_percent")),
        ({"kind": "prepaid", "counts": "gross"}, ("prepaid_gross", "counts")),
        ({"kind": "prepaid", "shortfall_due": True}, ("prepaid_shortfall", "shortfall_due")),
    ],
)
def test_what_cannot_be_billed_is_said(said, problem):
    found = commitment_problems(promise(**said), currency="USD")
    assert problem in [(each.code, each.field) for each in found]


def test_a_commitment_without_problems():
    assert commitment_problems(promise(), currency="USD") == []


MONEY = st.decimals(min_value=0, max_value=10**7, places=2)
LISTED = st.decimals(min_value=0, max_value=10**7, places=6)
PERCENT = st.decimals(min_value=0, max_value=99, places=2)


@st.composite
def commitments(draw):
    return promise(
        discount_percent=draw(PERCENT),
        beyond_percent=draw(st.none() | PERCENT),
        counts=draw(st.sampled_from(["net", "gross"])),
    )


@given(commitments(), LISTED, MONEY)
def test_parts_add_up_and_what_counts_stays_within_the_room(commitment, listed, room):
    parts = split_charge(commitment, listed, room=room, currency="USD")
    assert parts.within + parts.beyond == listed
    assert parts.within >= 0
    assert parts.beyond >= 0
    counts = counted(commitment, parts, currency="USD")
    assert 0 <= counts <= room
    if parts.beyond:
        assert counts == room


@given(commitments(), MONEY, st.lists(LISTED, max_size=12))
def test_counted_and_shortfall_make_up_what_was_promised(commitment, promised, charges):
    used, list_within = D(0), D(0)
    for listed in charges:
        parts = split_charge(commitment, listed, room=promised - used, currency="USD")
        used += counted(commitment, parts, currency="USD")
        list_within += parts.within
    missing = shortfall(promised=promised, counted=used)
    assert 0 <= missing <= promised
    assert used + missing == promised


@given(commitments(), MONEY, st.lists(LISTED, min_size=1, max_size=6))
def test_however_often_it_is_corrected_the_split_makes_up_the_charge(commitment, room, values):
    parts, used = NOTHING, D(0)
    for listed in values:
        after = change_split(commitment, parts, listed, room=room - used, currency="USD")
        assert after.within + after.beyond == listed
        assert after.within >= 0
        assert after.beyond >= 0
        used += counted(commitment, after, currency="USD")
        used -= counted(commitment, parts, currency="USD")
        assert 0 <= used <= room
        parts = after
