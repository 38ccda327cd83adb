"""Which statements are due: counted from the anchor, never twice, never a gap."""

import itertools
from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from billing.statements.opening import Cycle, draft_due, due_periods


def cycle(
    starts: datetime,
    ends: datetime | None = None,
    *,
    anchor: date | None = None,
    zone: str = "UTC",
    billed_until: datetime | None = None,
) -> Cycle:
    return Cycle(1, starts, ends, anchor, zone, "USD", 48, billed_until)


def at(year: int, month: int, day: int, hour: int = 0) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


def spans(cycles: list[Cycle], until: datetime) -> list[tuple[datetime, datetime]]:
    return [(opening.start, opening.end) for opening in due_periods(cycles, until=until)]


def test_a_calendar_customer_gets_each_month_that_has_ended() -> None:
    assert spans([cycle(at(2024, 11, 15))], at(2025, 1, 10)) == [
        (at(2024, 11, 1), at(2024, 12, 1)),
        (at(2024, 12, 1), at(2025, 1, 1)),
    ]


def test_a_period_that_still_runs_is_not_due() -> None:
    assert spans([cycle(at(2024, 11, 15))], at(2024, 11, 30)) == []


def test_months_of_an_anchor_on_the_31st_do_not_drift() -> None:
    cycles = [cycle(at(2025, 1, 31), anchor=date(2025, 1, 31))]
    assert spans(cycles, at(2025, 5, 1)) == [
        (at(2025, 1, 31), at(2025, 2, 28)),
        (at(2025, 2, 28), at(2025, 3, 31)),
        (at(2025, 3, 31), at(2025, 4, 30)),
    ]


def test_an_ended_subscription_has_its_last_whole_month_and_no_more() -> None:
    cycles = [cycle(at(2024, 11, 1), at(2024, 12, 10))]
    assert spans(cycles, at(2025, 6, 1))[-1] == (at(2024, 12, 1), at(2025, 1, 1))


def test_two_subscriptions_of_one_calendar_share_the_month_they_meet_in() -> None:
    cycles = [cycle(at(2024, 11, 1), at(2024, 11, 20)), cycle(at(2024, 11, 20))]
    assert spans(cycles, at(2024, 12, 5)) == [(at(2024, 11, 1), at(2024, 12, 1))]


def test_a_change_of_anchor_ends_the_month_early() -> None:
    change = at(2025, 3, 15)
    cycles = [cycle(at(2025, 3, 1), change), cycle(change, anchor=date(2025, 3, 15))]
    assert spans(cycles, at(2025, 5, 1)) == [
        (at(2025, 3, 1), at(2025, 3, 15)),
        (at(2025, 3, 15), at(2025, 4, 15)),
    ]


def test_what_has_a_statement_is_not_opened_again() -> None:
    cycles = [cycle(at(2024, 11, 1), billed_until=at(2024, 12, 1))]
    assert spans(cycles, at(2025, 1, 1)) == [(at(2024, 12, 1), at(2025, 1, 1))]


def test_drafts_are_due_at_two_in_the_customers_night() -> None:
    berlin_december = at(2024, 11, 30, 23)
    assert draft_due(berlin_december, zone="Europe/Berlin") == at(2024, 12, 1, 1)
    assert draft_due(at(2024, 12, 1), zone="UTC") == at(2024, 12, 1, 2)


def test_the_grace_time_is_counted_from_the_end_of_the_period() -> None:
    (opening,) = due_periods([cycle(at(2024, 11, 1))], until=at(2024, 12, 1))
    assert opening.finalise_due_at == at(2024, 12, 3)
    assert opening.draft_due_at == at(2024, 12, 1, 2)


@given(
    starts=st.datetimes(datetime(2020, 1, 1), datetime(2024, 1, 1), timezones=st.just(UTC)),
    anchor=st.none() | st.dates(date(2019, 1, 1), date(2024, 1, 1)),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Pacific/Auckland"]),
    days=st.integers(0, 900),
)
def test_periods_follow_each_other_without_a_gap(
    starts: datetime, anchor: date | None, zone: str, days: int
) -> None:
    until = starts + timedelta(days=days)
    found = spans([cycle(starts, anchor=anchor, zone=zone)], until)
    assert all(end <= until for _, end in found)
    assert all(one[1] == two[0] for one, two in itertools.pairwise(found))
    if found:
        assert found[0][0] <= starts < found[0][1]
