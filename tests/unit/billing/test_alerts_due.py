"""Which alerts of a budget are due, in which order, and on which day it will end."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.alerts.due import DueAlerts, SpentOn, daily_pace, due_alerts, ends_at

USUAL = (50, 75, 90, 100)


def due(amount, used, sent=None, percents=USUAL):
    sent = {percent: D(stood) for percent, stood in (sent or {}).items()}
    return due_alerts(amount=D(amount), used=D(used), percents=percents, sent=sent)


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        ("499.99", ()),
        ("500", (50,)),
        ("749.999999999999", (50,)),
        ("750", (50, 75)),
        ("999.99", (50, 75, 90)),
        ("1000", USUAL),
        ("5000", USUAL),
    ],
)
def test_a_jump_over_several_shares_makes_each_due_in_order(used, expected):
    assert due("1000", used) == DueAlerts(due=expected, rearmed=(), standing=())


def test_what_was_sent_for_this_budget_is_not_due_again_even_where_the_share_falls():
    assert due("1000", "600", {50: "1000", 75: "1000"}).is_nothing


def test_raising_the_budget_arms_again_what_lies_above_the_new_share_alone():
    found = due("2000", "1100", dict.fromkeys(USUAL, "1000"))

    assert found == DueAlerts(due=(), rearmed=(75, 90, 100), standing=(50,))


def test_a_raise_that_reaches_a_share_at_once_sends_nothing_twice():
    found = due("1100", "1000", dict.fromkeys(USUAL, "1000"))

    assert found == DueAlerts(due=(), rearmed=(100,), standing=(50, 75, 90))


def test_lowering_the_budget_sends_what_is_new_and_keeps_what_was_sent():
    found = due("500", "500", {50: "1000"})

    assert found == DueAlerts(due=(75, 90, 100), rearmed=(), standing=(50,))


@given(steps=st.lists(st.tuples(st.integers(1, 500), st.integers(0, 600)), min_size=1, max_size=25))
def test_whatever_happens_each_share_is_sent_once_for_each_time_it_is_armed(steps):
    """Budgets go up and down, and so does what is spent or held."""
    sent = {}
    for amount, used in [(D(a), D(u)) for a, u in steps]:
        before = dict(sent)
        found = due_alerts(amount=amount, used=used, percents=USUAL, sent=sent)

        assert list(found.due) == sorted(found.due)
        for percent in found.due:
            assert used * 100 >= amount * percent
            assert percent not in before
        for percent in found.rearmed:
            assert amount > before[percent]
            assert used * 100 < amount * percent
        sent = {each: amount for each in sent if each not in found.rearmed}
        sent |= dict.fromkeys(found.due, amount)
        assert {each for each in USUAL if used * 100 >= amount * each} <= sent.keys()
        assert due_alerts(amount=amount, used=used, percents=USUAL, sent=sent).is_nothing


FIRST = date(2026, 11, 1)


def spent(*values, first=FIRST, since=FIRST):
    """Spent at the end of each day from ``since`` on."""
    return [SpentOn(since + timedelta(days=n), first, D(each)) for n, each in enumerate(values)]


def test_the_pace_is_the_average_of_the_last_seven_whole_days():
    days = spent("100", "200", "300", "310", "320", "330", "340", "350", "360", "370", "999")

    assert daily_pace(days, today=date(2026, 11, 11)) == D(10)


def test_less_than_three_whole_days_give_no_pace():
    days = spent("10", "20", "30")

    assert daily_pace(days, today=date(2026, 11, 3)) is None
    assert daily_pace(days, today=date(2026, 11, 4)) == D(10)


def test_what_was_there_before_the_first_look_belongs_to_no_day():
    days = spent("5000", "5010", "5020", "5030", since=date(2026, 11, 8))

    assert daily_pace(days, today=date(2026, 11, 11)) is None
    assert daily_pace(days, today=date(2026, 11, 12)) == D(10)


def test_a_day_without_a_look_grew_by_nothing():
    days = [*spent("10"), SpentOn(date(2026, 11, 4), FIRST, D(40))]

    assert daily_pace(days, today=date(2026, 11, 5)) == D(10)


def test_the_pace_goes_on_over_the_end_of_a_period():
    october = date(2026, 10, 1)
    days = [
        *spent("700", "710", "720", first=october, since=date(2026, 10, 29)),
        *spent("10", "20"),
    ]

    assert daily_pace(days, today=date(2026, 11, 3)) == D(10)


def at(day, hour=0):
    return datetime(2026, 11, day, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("used", "pace", "expected"),
    [
        ("900", "10", at(19)),
        ("900", "20", at(14)),
        ("900", "4", None),
        ("1000", "10", None),
        ("1200", "10", None),
        ("900", "0", None),
        ("900", "-3", None),
        ("0", "0.000000000001", None),
    ],
)
def test_when_a_budget_of_1000_ends_seen_from_the_9th(used, pace, expected):
    found = ends_at(amount=D(1000), used=D(used), pace=D(pace), now=at(9), period_end=at(30, 23))

    assert found == expected
