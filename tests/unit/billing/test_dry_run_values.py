"""The months of a dry run, the fingerprint, and changes in words: pure."""

from datetime import UTC, date, datetime
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.dry_runs.months import Months, ended_months
from billing.dry_runs.outcome import Failure, FingerprintedRow, Side, fingerprint, outcome_of
from billing.queries.dry_runs import Change
from billing.statements.values import Draft
from billing.wording import Money
from plans import rating

NOVEMBER = Months(date(2024, 11, 1), date(2024, 11, 1))


@pytest.mark.parametrize(
    ("end", "zone", "held"),
    [
        (datetime(2024, 12, 1, tzinfo=UTC), "UTC", True),
        (datetime(2024, 11, 1, tzinfo=UTC), "UTC", False),
        (datetime(2024, 11, 30, 15, tzinfo=UTC), "Asia/Tokyo", True),
        (datetime(2024, 12, 1, 5, tzinfo=UTC), "America/New_York", True),
        (datetime(2024, 11, 15, tzinfo=UTC), "UTC", True),
        (datetime(2024, 12, 15, tzinfo=UTC), "UTC", False),
    ],
)
def test_a_period_belongs_to_the_month_of_its_last_local_day(end, zone, held):
    assert NOVEMBER.hold(end, zone=zone) is held


@given(
    at=st.datetimes(datetime(2001, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)),
    zone=st.sampled_from(["UTC", "Asia/Tokyo", "America/New_York", "Pacific/Kiritimati"]),
    anchor=st.none() | st.dates(date(2000, 1, 1), date(2000, 12, 31)),
)
def test_each_period_belongs_to_one_month_within_whose_bounds_it_lies(at, zone, anchor):
    period = rating.billing_period(anchor=anchor, zone=zone, at=at)
    firsts = [date(year, month, 1) for year in (at.year - 1, at.year, at.year + 1)
              for month in range(1, 13)]  # fmt: skip

    holding = [month for first in firsts if (month := Months(first, first)).hold(
        period.end, zone=zone)]  # fmt: skip

    assert len(holding) == 1
    assert holding[0].earliest <= period.start
    assert holding[0].first_end < period.end <= holding[0].latest


def test_the_months_that_have_ended():
    assert ended_months(now=datetime(2024, 3, 1, tzinfo=UTC), most=3) == [
        date(2024, 2, 1), date(2024, 1, 1), date(2023, 12, 1),
    ]  # fmt: skip


def test_months_in_words_and_in_number():
    months = Months(date(2023, 11, 1), date(2024, 2, 1))

    assert (str(months), months.length) == ("November 2023 to February 2024", 4)
    assert str(NOVEMBER) == "November 2024"


def said(total):
    return Draft(lines=(), total=D(total), adjustments_total=D(0))


def test_a_customer_s_periods_add_up_and_one_that_fails_leaves_no_amount():
    whole = Side(drafts=(said("1.50"), said("2.25")), unpriced=frozenset({"fax"}))
    less = whole._replace(unpriced=frozenset({"fax", "jobs", "calls"}))
    failed = Side(failure=Failure("unmatched_usage", "No rate for b200."))

    rated = outcome_of(customer_id=1, old=whole, new=whole)
    new_fails = outcome_of(customer_id=1, old=whole, new=failed)
    loses = outcome_of(customer_id=1, old=whole, new=less)
    old_fails = outcome_of(customer_id=1, old=failed, new=whole)

    assert (rated.old_amount, rated.new_amount, rated.is_failure) == (D("3.75"), D("3.75"), False)
    assert (rated.newly_unpriced, loses.newly_unpriced) == ([], ["calls", "jobs"])
    assert (new_fails.old_amount, new_fails.new_amount) == (D("3.75"), None)
    assert new_fails.error_reason == "No rate for b200."
    assert (old_fails.old_amount, old_fails.new_amount) == (None, D("3.75"))
    assert old_fails.error_reason == "By the terms in force: No rate for b200."


ROWS = [
    FingerprintedRow("a", D("1.0000"), D("2.0000"), False, False, [], "", ""),
    FingerprintedRow("b", D("1.0000"), None, False, False, [], "unmatched_usage", "No rate."),
]


def printed(**changes):
    return fingerprint(
        **{
            "terms_digest": "d", "plan_key": "p", "customer_keys": ["b", "a"],
            "months": NOVEMBER, "rows": ROWS, **changes,
        }
    )  # fmt: skip


def test_equal_inputs_have_one_fingerprint():
    assert printed() == printed(customer_keys=["a", "b"], rows=iter(ROWS))


@pytest.mark.parametrize(
    "changes",
    [
        {"terms_digest": "e"},
        {"plan_key": "q"},
        {"customer_keys": []},
        {"months": Months(date(2024, 10, 1), date(2024, 11, 1))},
        {"rows": ROWS[:1]},
        {"rows": [ROWS[0]._replace(new_amount=D("2.0001")), ROWS[1]]},
        {"rows": [ROWS[0]._replace(newly_unpriced=["jobs"]), ROWS[1]]},
        {"rows": [ROWS[0]._replace(newly_at_minimum=True), ROWS[1]]},
        {"rows": [ROWS[0], ROWS[1]._replace(error_reason="No other.")]},
    ],
)
def test_anything_else_has_another_fingerprint(changes):
    assert printed(**changes) != printed()


@pytest.mark.parametrize(
    ("old", "new", "difference", "percent"),
    [
        ("100", "125", "+$25.00", "+25.0%"),
        ("100", "74.95", "\N{MINUS SIGN}$25.05", "\N{MINUS SIGN}25.1%"),
        ("100", "100", "$0.00", "0.0%"),
        ("0", "5", "+$5.00", "\N{EN DASH}"),
        ("0.01", "20", "+$19.99", "+199,900.0%"),
    ],
)
def test_a_change_in_words(old, new, difference, percent):
    change = Change(old=Money(D(old), "USD"), new=Money(D(new), "USD"))

    assert (change.difference, change.percent) == (difference, percent)
