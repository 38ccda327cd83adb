"""The pure build: charges by segment, shares of workspaces, and corrections of earlier periods."""

import dataclasses
from datetime import UTC, datetime
from decimal import Decimal as D
from hashlib import sha256

import pytest
from msgspec.structs import replace

from billing.statements import build as builder
from billing.statements.build import build
from billing.statements.values import (
    Billed,
    Facts,
    LatePeriod,
    LateStart,
    MeterUsage,
    SeatDays,
    Segment,
    canonical,
    facts_from,
)
from plans import rating

NOVEMBER = datetime(2024, 11, 1, tzinfo=UTC)
DECEMBER = datetime(2024, 12, 1, tzinfo=UTC)
JANUARY = datetime(2025, 1, 1, tzinfo=UTC)

PLATFORM = rating.Price(key="platform", name="Platform", model=rating.Flat(D(30)))
SETUP = rating.Price(key="setup", name="Setup", model=rating.Flat(D(500)), once=True)
JOBS = rating.Price(
    key="jobs",
    name="Jobs",
    meter="jobs",
    unit="jobs",
    model=rating.Graduated(
        (rating.Tier(D(100), D("0.10")), rating.Tier(None, D("0.05"))),
    ),
)
TOKENS = rating.Price(
    key="tokens",
    name="Tokens",
    meter="tokens",
    dimensions=("model",),
    unit="tokens",
    model=rating.Matrix(
        (rating.MatrixRate(("small",), D("0.01")), rating.MatrixRate(("large",), D("0.02"))),
        default=None,
    ),
)


def jobs(quantity: str, **workspaces: str) -> MeterUsage:
    return MeterUsage(
        meter="jobs",
        cells=(((), D(quantity)),),
        workspaces=tuple((key, D(share)) for key, share in workspaces.items()),
    )


def segment(
    *usage: MeterUsage,
    version: int = 1,
    start: datetime = DECEMBER,
    end: datetime = JANUARY,
    whole: tuple[datetime, datetime] | None = None,
    opens: bool = False,
) -> Segment:
    whole_start, whole_end = whole or (start, end)
    return Segment(version, "digest", start, end, whole_start, whole_end, opens, usage)


def facts(*segments: Segment, late: tuple[LatePeriod, ...] = ()) -> Facts:
    return Facts("acme", "USD", "UTC", DECEMBER, JANUARY, segments, (), late)


def terms(*prices: rating.Price) -> dict[int, rating.Terms]:
    return {1: rating.Terms("USD", prices), 2: rating.Terms("USD", prices)}


def amounts(draft: builder.Draft) -> list[tuple[str, str, D]]:
    return [(line.kind, line.description, line.amount) for line in draft.lines]


def test_a_month_has_its_fees_and_its_usage_in_the_order_of_the_prices() -> None:
    draft = build(facts(segment(jobs("150"))), terms=terms(PLATFORM, JOBS))
    assert amounts(draft) == [
        ("charge", "Platform", D("30.00")),
        ("charge", "Jobs", D("12.50")),
    ]
    assert draft.total == D("42.50")
    assert draft.adjustments_total == 0
    tiers = [(part.quantity, part.amount) for part in draft.lines[1].explanation.parts]
    assert tiers == [(D(100), D("10.00")), (D(50), D("2.50"))]


@pytest.mark.parametrize(("opens", "expected"), [(True, D(530)), (False, D(30))])
def test_a_setup_fee_is_due_only_where_the_subscription_starts(opens: bool, expected: D) -> None:
    draft = build(facts(segment(opens=opens)), terms=terms(SETUP, PLATFORM))
    assert draft.total == expected


def test_a_fee_is_shared_between_the_versions_of_a_month_by_its_days() -> None:
    the_11th = datetime(2024, 12, 11, tzinfo=UTC)
    whole = (DECEMBER, JANUARY)
    draft = build(
        facts(
            segment(end=the_11th, whole=whole),
            segment(start=the_11th, whole=whole, version=2),
        ),
        terms=terms(PLATFORM),
    )
    assert [line.amount for line in draft.lines] == [D("9.68"), D("20.32")]
    assert [line.version for line in draft.lines] == [1, 2]


def test_each_workspace_is_shown_its_share_and_a_customer_without_any_is_not() -> None:
    shared = build(facts(segment(jobs("10", alpha="4", beta="6"))), terms=terms(JOBS))
    assert shared.lines[0].explanation.workspaces == (("alpha", D(4)), ("beta", D(6)))
    alone = MeterUsage("jobs", (((), D(10)),), (("", D(10)),))
    assert build(facts(segment(alone)), terms=terms(JOBS)).lines[0].explanation.workspaces == ()


def test_a_matrix_line_names_the_dimension_values_it_holds() -> None:
    usage = MeterUsage("tokens", ((("large",), D(100)), (("small",), D(300))))
    draft = build(facts(segment(usage)), terms=terms(TOKENS))
    assert [(line.line_key, line.amount, line.explanation.cells) for line in draft.lines] == [
        ("small", D("3.00"), (("small",),)),
        ("large", D("2.00"), (("large",),)),
    ]


def test_usage_without_a_rate_is_never_billed_at_zero() -> None:
    usage = MeterUsage("tokens", ((("huge",), D(1)),))
    with pytest.raises(rating.RatingError, match="model=huge") as caught:
        build(facts(segment(usage)), terms=terms(TOKENS))
    assert caught.value.code == "unmatched_usage"


def late(billed: tuple[Billed, ...], *usage: MeterUsage) -> LatePeriod:
    november = segment(*usage, start=NOVEMBER, end=DECEMBER)
    return LatePeriod(origin=7, number="acme-0001", segments=(november,), billed=billed)


def billed(amount: str, quantity: str, *, line_key: str = "", price: str = "jobs") -> Billed:
    return Billed(1, price, line_key, NOVEMBER, D(quantity), D(quantity), D(amount))


def test_late_usage_is_rated_with_all_of_its_period_minus_what_was_billed() -> None:
    """90 jobs were billed at 9.00; with 20 more, ten fall into the cheaper tier: 10.50."""
    draft = build(facts(late=(late((billed("9.00", "90"),), jobs("110")),)), terms=terms(JOBS))
    (line,) = draft.lines
    assert (line.kind, line.origin, line.amount) == ("adjustment", 7, D("1.50"))
    assert (line.quantity, line.start, line.end) == (D(20), NOVEMBER, DECEMBER)
    assert (line.explanation.billed, line.explanation.rated) == (D("9.00"), D("10.50"))
    assert line.explanation.origin_number == "acme-0001"
    assert draft.total == draft.adjustments_total == D("1.50")


def test_a_period_read_again_without_a_difference_makes_no_line() -> None:
    draft = build(facts(late=(late((billed("9.00", "90"),), jobs("90")),)), terms=terms(JOBS))
    assert draft.lines == ()


def test_what_is_no_longer_found_is_taken_back() -> None:
    before = billed("3.00", "300", line_key="small", price="tokens")
    usage = MeterUsage("tokens", ((("large",), D(100)),))
    draft = build(facts(late=(late((before,), usage),)), terms=terms(TOKENS))
    assert [(line.line_key, line.amount, line.quantity) for line in draft.lines] == [
        ("large", D("2.00"), D(100)),
        ("small", D("-3.00"), D(-300)),
    ]


def test_more_lines_than_anyone_reads_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "LINES_MAX", 1)
    with pytest.raises(builder.TooManyLines):
        build(facts(segment(jobs("1"))), terms=terms(PLATFORM, JOBS))


def test_facts_come_back_from_their_text_and_build_the_same_lines() -> None:
    usage = MeterUsage("tokens", ((("small",), D("0.000000000001")),), (), (D("1.50"),))
    whole = facts(
        segment(jobs("10", alpha="4", beta="6"), usage, opens=True),
        late=(late((billed("9.00", "90"),), jobs("110")),),
    )
    again = facts_from(canonical(whole))
    assert again == whole
    assert canonical(again) == canonical(whole)
    known = terms(SETUP, JOBS, TOKENS)
    assert canonical(build(again, terms=known)) == canonical(build(whole, terms=known))


TRIAL = rating.Phase("trial", "Trial", days=14, discount_percent=D(100))
STEADY = rating.Phase("steady", "Steady")
SUPPORT = rating.Price(key="support", name="Support", model=rating.Flat(D(7)), phases=("steady",))


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        ("trial", [("Platform", D(0), "Trial")]),
        ("steady", [("Platform", D(30), "Steady"), ("Support", D(7), "Steady")]),
        ("", [("Platform", D(30), "")]),
    ],
)
def test_a_phase_has_its_own_prices_and_its_discount(phase, expected) -> None:
    said = rating.Terms("USD", (PLATFORM, SUPPORT), phases=(TRIAL, STEADY))
    draft = build(facts(replace(segment(), phase=phase)), terms={1: said})
    assert [(line.description, line.amount, line.explanation.phase) for line in draft.lines] == (
        expected
    )


YEARLY = rating.Price(key="yearly", name="Yearly", model=rating.Flat(D(100)), every_months=12)


@pytest.mark.parametrize(
    ("subscribed", "expected"),
    [
        (datetime(2024, 12, 15, tzinfo=UTC), D(100)),
        (datetime(2022, 12, 31, 23, tzinfo=UTC), D(100)),
        (datetime(2024, 11, 30, 23, tzinfo=UTC), D(0)),
        (datetime(2025, 1, 1, tzinfo=UTC), D(0)),
    ],
)
def test_a_yearly_fee_is_due_whole_in_the_month_of_its_day(subscribed, expected) -> None:
    part = replace(segment(), subscribed=subscribed, whole_end=datetime(2025, 3, 1, tzinfo=UTC))
    assert build(facts(part), terms=terms(YEARLY)).total == expected


AGREED = rating.Price(
    key="jobs", name="Jobs", meter="jobs", unit="jobs", model=rating.PerUnit(D(1))
)


def test_an_agreed_price_stands_where_that_of_the_plan_stood_and_is_marked() -> None:
    part = replace(segment(jobs("150")), agreed=(8, 9))
    other = rating.Price(key="unknown", name="Nothing", model=rating.Flat(D(999)))
    draft = build(facts(part), terms=terms(JOBS, PLATFORM), agreed={8: other, 9: AGREED})
    assert [(line.description, line.amount, line.explanation.agreed) for line in draft.lines] == [
        ("Jobs", D(150), 9),
        ("Platform", D(30), None),
    ]
    with pytest.raises(KeyError):
        build(facts(part), terms=terms(JOBS, PLATFORM), agreed={9: AGREED})


def test_an_agreed_price_is_withdrawn_under_its_own_name() -> None:
    billed = Billed(1, "jobs", "", NOVEMBER, D(5), D(5), D(5))
    part = replace(segment(start=NOVEMBER, end=DECEMBER), agreed=(9,))
    late = LatePeriod(4, "acme-0001", (part,), (billed,))
    agreed = {9: dataclasses.replace(AGREED, name="Jobs as agreed")}
    (line,) = build(facts(late=(late,)), terms=terms(JOBS), agreed=agreed).lines
    assert (line.description, line.amount, line.meter) == ("Jobs as agreed", D(-5), "jobs")
    assert (line.explanation.agreed, line.explanation.rated) == (9, 0)


SEATS = rating.Price(
    key="seats", name="Seats", meter="seats", unit="seats", model=rating.Seats(D(31))
)


def held(*levels: int, before: int = 0) -> MeterUsage:
    days = SeatDays(tuple(D(level) for level in levels), D(before))
    return MeterUsage("seats", (((), D(1_000_000)),), (("alpha", D(1_000_000)),), (), days)


def test_seats_are_billed_by_day_and_have_no_shares_of_seconds() -> None:
    draft = build(facts(segment(held(*[2] * 10, *[3] * 21))), terms=terms(SEATS))
    assert [(line.description, line.line_key, line.amount) for line in draft.lines] == [
        ("2 seats", "", D(62)),
        ("1 seat from day 11, 21 of 31 days", "day-11", D(21)),
    ]
    assert all(line.explanation.workspaces == () for line in draft.lines)


def test_seats_that_were_given_up_before_a_change_are_paid_after_it() -> None:
    whole = (DECEMBER, JANUARY)
    part = segment(held(*[2] * 21, before=5), start=datetime(2024, 12, 11, tzinfo=UTC), whole=whole)
    (line,) = build(facts(part), terms=terms(SEATS)).lines
    assert (line.description, line.amount) == ("5 seats from day 11, 21 of 31 days", D(105))


def test_nobody_held_a_seat() -> None:
    assert build(facts(segment()), terms=terms(SEATS)).lines == ()


def test_a_service_class_line_holds_the_values_of_its_class() -> None:
    classes = (rating.ServiceClass("std", "Standard"), rating.ServiceClass("fast", "Fast", D(2)))
    price = rating.Price(
        key="tokens", name="Tokens", meter="tokens", dimensions=("model", "queue"), unit="tokens",
        model=rating.PerUnit(D("0.01")), class_dimension="queue", classes=classes,
    )  # fmt: skip
    cells = ((("a", "fast"), D(100)), (("a", "std"), D(10)), (("b", "fast"), D(50)))
    lines = build(facts(segment(MeterUsage("tokens", cells))), terms=terms(price)).lines
    assert [(line.description, line.amount, line.explanation.cells) for line in lines] == [
        ("Tokens, Standard", D("0.10"), (("a", "std"),)),
        ("Tokens, Fast", D(3), (("a", "fast"), ("b", "fast"))),
    ]


def test_each_workspace_uses_its_own_allowance() -> None:
    price = dataclasses.replace(
        JOBS, model=rating.PerUnit(D(1)), allowance=D(10), allowance_per="workspace"
    )
    draft = build(facts(segment(jobs("29", alpha="4", beta="25"))), terms=terms(price))
    assert (draft.lines[0].quantity, draft.total) == (D(15), D(15))


FROZEN = (
    '{"customer":"acme","currency":"USD","zone":"UTC","start":"2024-12-01T00:00:00Z",'
    '"end":"2025-01-01T00:00:00Z","segments":[[1,"digest","2024-12-01T00:00:00Z",'
    '"2024-12-16T00:00:00Z","2024-12-01T00:00:00Z","2025-01-01T00:00:00Z",false,[["jobs",'
    '[[[],"150"]],[["alpha","100"],["beta","50"]],[]]]],[1,"digest","2024-12-16T00:00:00Z",'
    '"2025-01-01T00:00:00Z","2024-12-01T00:00:00Z","2025-01-01T00:00:00Z",false,[]]],'
    '"unpriced":[["fax","12"]],"late":[[7,"acme-0001",[[1,"digest","2024-11-01T00:00:00Z",'
    '"2024-12-01T00:00:00Z","2024-11-01T00:00:00Z","2024-12-01T00:00:00Z",true,[["jobs",'
    '[[[],"30"]],[],[]]]]],[[1,"jobs","","2024-11-01T00:00:00Z","20","15","1.50"],'
    '[1,"platform","","2024-11-01T00:00:00Z","0","1","30"]]]]}'
)
FROZEN_LINES = "5b5e840bdaa9d7d49e52c85ed91cf85d4b07cc560db72376841f858a2450a12f"


def test_facts_that_were_frozen_before_there_were_phases_still_give_the_same_bytes() -> None:
    """Both were written by the version of November 2026, before terms could change in time."""
    price = dataclasses.replace(JOBS, allowance=D(5))
    draft = build(facts_from(FROZEN), terms=terms(PLATFORM, price))
    assert sha256(canonical(draft.lines).encode()).hexdigest() == FROZEN_LINES
    assert draft.total == D("43.38")


def test_facts_are_read_back_as_they_were_written() -> None:
    part = replace(
        segment(jobs("3"), held(1, 2, before=4)), phase="trial", subscribed=DECEMBER, agreed=(3, 5)
    )
    assert facts_from(canonical(facts(part))) == facts(part)


def test_late_starts_give_back_no_more_than_the_most_over_the_parts_of_a_period() -> None:
    """The version changes in the middle, and its most from 0.50 to 0.60; three start late in each.

    A subscription that began later has its own most.
    """
    premium = rating.ServiceClass("premium", "premium", D("1.5"), 15, D(100))
    price = rating.Price(
        key="jobs", name="Jobs", meter="jobs", unit="job", model=rating.PerUnit(D("0.40")),
        dimensions=("class", "started_late"), class_dimension="class", classes=(premium,),
    )  # fmt: skip
    bounded = {
        version: rating.Terms(
            "USD", (price,), service_classes=(premium,), jobs=rating.JobTerms(late_start_most=most)
        )
        for version, most in ((1, D("0.499")), (2, D("0.60")))
    }
    job = LateStart("premium", "j1", DECEMBER, DECEMBER)
    usage = MeterUsage(
        "jobs", ((("premium", ""), D(7)), (("premium", "true"), D(3))), late_starts=(job,)
    )
    whole, middle = (DECEMBER, JANUARY), datetime(2024, 12, 16, tzinfo=UTC)
    parts = (
        segment(usage, end=middle, whole=whole),
        segment(usage, start=middle, version=2, whole=whole),
        replace(segment(usage, version=2, whole=whole), subscribed=middle),
    )
    draft = build(facts(*parts), terms=bounded)
    given = [line for line in draft.lines if line.line_key == "late:premium"]
    assert [line.amount for line in given] == [D("-0.50"), D("-0.10"), D("-0.60")]
    assert draft.total == 18 - D("1.20")
    for line in given:
        assert line.explanation.cells == (("premium", "true"),)
        assert line.explanation.late_starts == (job,)
    assert build(facts_from(canonical(facts(*parts))), terms=bounded) == draft
    older = facts_from(canonical(facts(*parts)).replace(f",{canonical((job,))}", ""))
    assert build(older, terms=bounded).total == draft.total
