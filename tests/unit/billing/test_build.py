"""The pure build: charges by segment, shares of workspaces, and corrections of earlier periods."""

from datetime import UTC, datetime
from decimal import Decimal as D

import pytest

from billing.statements import build as builder
from billing.statements.build import build
from billing.statements.values import (
    Billed,
    Facts,
    LatePeriod,
    MeterUsage,
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
