"""What usage adds to a period: tiers, allowances and bounds as they stand, exactly."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.spend.margin import MarginAmount, MarginPricer, Standing, Used
from billing.statements.build import PricedBy, segment_share
from billing.statements.values import MeterUsage, Segment
from plans import rating
from plans.rating.money import minus, total

NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)

GRADUATED = rating.Price(
    key="jobs",
    name="Jobs",
    meter="jobs",
    unit="jobs",
    model=rating.Graduated((rating.Tier(D(100), D("0.10")), rating.Tier(None, D("0.05")))),
)
VOLUME = rating.Price(
    key="calls",
    name="Calls",
    meter="calls",
    model=rating.Volume((rating.Tier(D(100), D("0.013")), rating.Tier(None, D("0.01")))),
)
TOKENS = rating.Price(
    key="tokens",
    name="Tokens",
    meter="tokens",
    dimensions=("model",),
    model=rating.Matrix((rating.MatrixRate(("small",), D("0.001")),), default=D("0.0033")),
)
FEE = rating.Price(key="fee", name="Fee", model=rating.Flat(D(30)))


def standing(*prices: rating.Price, highest: frozenset[str] = frozenset(), **used: str) -> Standing:
    usage = tuple(
        MeterUsage(meter=meter, cells=((_cell(meter), D(quantity)),))
        for meter, quantity in used.items()
    )
    segment = Segment(1, "digest", NOVEMBER, DECEMBER, NOVEMBER, DECEMBER, False, usage)
    return Standing(
        segments=(segment,),
        by=PricedBy({1: rating.Terms("USD", prices)}, {}),
        currency="USD",
        zone="UTC",
        highest=highest,
    )


def _cell(meter: str) -> tuple[str, ...]:
    return ("small",) if meter == "tokens" else ()


def used(meter: str, quantity: str, *dimensions: str) -> Used:
    return Used(meter, dimensions, D(quantity))


def amounts_at_margin(
    standing: Standing,
    *,
    quantities: Sequence[Used],
    pending: Sequence[Used] = (),
    workspace: str = "",
) -> tuple[MarginAmount, ...]:
    """Return what a job's quantities add, price by price, on top of the usage so far.

    ``pending`` is usage that the reading does not hold yet: jobs that are settled and not rated,
    or that run. Raises RatingError.
    """
    meters = {each.meter for each in (*quantities, *pending)}
    pricer = MarginPricer(standing, meters=meters, workspace=workspace)
    if not pending:
        return pricer.amounts(quantities)
    before = pricer.amounts(pending)
    with_all = pricer.amounts((*pending, *quantities))
    return tuple(
        amount._replace(
            exact=minus(amount.exact, already.exact),
            rounded=minus(amount.rounded, already.rounded),
        )
        for amount, already in zip(with_all, before, strict=True)
    )


def money(amounts: Iterable[MarginAmount]) -> D:
    """Return the exact money of amounts at the margin; credits are left out."""
    return total(amount.exact for amount in amounts if not amount.credit)


def test_a_job_across_a_tier_pays_each_part_at_its_own_rate() -> None:
    there = standing(GRADUATED, FEE, jobs="90")

    (amount,) = amounts_at_margin(there, quantities=[used("jobs", "30")])

    assert amount == ("jobs", "", D("2.00"), D("2.00"))  # 10 at 0.10 and 20 at 0.05


def test_a_volume_price_that_falls_may_make_a_job_cheaper_than_nothing() -> None:
    there = standing(VOLUME, calls="100")

    assert money(amounts_at_margin(there, quantities=[used("calls", "1")])) == D("-0.29")


def test_allowance_maximum_and_minimum_count_as_they_stand() -> None:
    included = rating.Price(
        key="jobs", name="Jobs", meter="jobs", model=rating.PerUnit(D(1)), allowance=D(100),
        minimum=D(5), maximum=D(20),
    )  # fmt: skip
    jobs = [used("jobs", "10")]

    assert money(amounts_at_margin(standing(included, jobs="90"), quantities=jobs)) == 0
    assert money(amounts_at_margin(standing(included, jobs="100"), quantities=jobs)) == D(5)
    assert money(amounts_at_margin(standing(included, jobs="115"), quantities=jobs)) == D(5)
    assert money(amounts_at_margin(standing(included, jobs="120"), quantities=jobs)) == 0


def test_usage_that_is_pending_comes_before_the_job() -> None:
    there = standing(GRADUATED, jobs="90")
    jobs = [used("jobs", "10")]

    assert money(amounts_at_margin(there, quantities=jobs)) == D("1.00")
    assert money(amounts_at_margin(there, quantities=jobs, pending=jobs)) == D("0.50")


def test_a_meter_that_keeps_its_highest_value_costs_only_what_it_rises() -> None:
    price = rating.Price(key="peak", name="Peak", meter="peak", model=rating.PerUnit(D(2)))
    there = standing(price, highest=frozenset({"peak"}), peak="10")

    assert money(amounts_at_margin(there, quantities=[used("peak", "7")])) == 0
    assert money(amounts_at_margin(there, quantities=[used("peak", "12")])) == D(4)


def test_each_workspace_has_its_own_allowance() -> None:
    price = rating.Price(
        key="jobs", name="Jobs", meter="jobs", model=rating.PerUnit(D(1)), allowance=D(10),
        allowance_per="workspace",
    )  # fmt: skip
    there = standing(price)
    usage = MeterUsage(meter="jobs", cells=(((), D(10)),), workspaces=(("lab", D(10)),))
    segment = Segment(1, "digest", NOVEMBER, DECEMBER, NOVEMBER, DECEMBER, False, (usage,))
    there = Standing(segments=(segment,), by=there.by, currency="USD", zone="UTC")
    jobs = [used("jobs", "4")]

    assert money(amounts_at_margin(there, quantities=jobs, workspace="lab")) == D(4)
    assert money(amounts_at_margin(there, quantities=jobs, workspace="shop")) == 0


def test_credits_are_told_apart_from_money() -> None:
    credit = rating.Price(
        key="tokens", name="Tokens", meter="tokens", dimensions=("model",),
        model=rating.PerUnit(D(2)), credit=rating.CreditUnit("TOKN"),
    )  # fmt: skip

    amounts = amounts_at_margin(standing(credit), quantities=[used("tokens", "3", "small")])

    assert [(one.credit, one.exact) for one in amounts] == [("TOKN", D(6))]
    assert money(amounts) == 0


def test_nothing_is_admitted_beyond_an_allowance_that_refuses_more() -> None:
    price = rating.Price(
        key="jobs", name="Jobs", meter="jobs", model=rating.PerUnit(D(0)), allowance=D(10),
        overage=rating.Overage(policy="refuse"),
    )  # fmt: skip

    assert money(amounts_at_margin(standing(price, jobs="9"), quantities=[used("jobs", "1")])) == 0
    with pytest.raises(rating.RatingError, match="10 are included"):
        amounts_at_margin(standing(price, jobs="9"), quantities=[used("jobs", "2")])


quantities = st.decimals("0", "500", places=4)
jobs = st.lists(
    st.lists(
        st.one_of(
            st.builds(lambda q: Used("jobs", (), q), quantities),
            st.builds(lambda q: Used("calls", (), q), quantities),
            st.builds(
                lambda model, q: Used("tokens", (model,), q),
                st.sampled_from(["small", "large", ""]),
                quantities,
            ),
        ),
        max_size=4,
    ),
    max_size=6,
)


@given(jobs=jobs, before=quantities)
def test_jobs_one_after_the_other_come_to_what_rating_says_of_all(
    jobs: list[list[Used]], before: D
) -> None:
    there = standing(GRADUATED, VOLUME, TOKENS, jobs=str(before), tokens="12")
    everything = [each for job in jobs for each in job]

    whole = amounts_at_margin(there, quantities=everything)

    exact, rounded, done = D(0), D(0), list[Used]()
    for job in jobs:
        added = amounts_at_margin(there, quantities=job, pending=done)
        exact += sum(one.exact for one in added)
        rounded += sum(one.rounded for one in added)
        done += job
    assert exact == sum(one.exact for one in whole)
    assert rounded == sum(one.rounded for one in whole)


amounts = st.decimals("0", "3", places=3)
bounds = st.one_of(st.none(), st.decimals("0", "60", places=2))
tiers = st.builds(
    lambda steps, closed: tuple(
        rating.Tier(
            None if place == len(steps) - 1 and not closed else D(60 * (place + 1)), amount, fee
        )
        for place, (amount, fee) in enumerate(steps)
    ),
    st.lists(
        st.tuples(amounts, st.sampled_from([D(0), D(0), D(4)])), min_size=1, max_size=3
    ),
    st.booleans(),
)  # fmt: skip
models = st.one_of(
    st.builds(rating.PerUnit, amounts, st.sampled_from([D(1), D(1000), D(3)])),
    st.builds(rating.Graduated, tiers, st.sampled_from([D(1), D(10)])),
    st.builds(rating.Volume, tiers),
    st.builds(rating.Package, amounts, st.sampled_from([D(1), D("7.5")])),
)
priced = st.one_of(
    st.builds(
        rating.Price,
        key=st.just("jobs"), name=st.just("Jobs"), meter=st.just("jobs"), model=models,
        allowance=st.sampled_from([D(0), D(0), D(70)]),
        allowance_per=st.sampled_from(["customer", "customer", "workspace"]),
        discount_percent=st.sampled_from([D(0), D("12.5")]), minimum=bounds, maximum=bounds,
        overage=st.sampled_from([rating.Overage(), rating.Overage(policy="refuse")]),
    ),
    st.builds(
        rating.Price,
        key=st.just("jobs"), name=st.just("Jobs"), meter=st.just("jobs"),
        dimensions=st.just(("model",)), model=st.just(TOKENS.model),
        allowance=st.sampled_from([D(0), D(70)]), minimum=st.none(), maximum=bounds,
    ),
    st.builds(
        rating.Price,
        key=st.just("jobs"), name=st.just("Jobs"), meter=st.just("jobs"),
        dimensions=st.just(("model",)), class_dimension=st.just("model"),
        model=st.builds(rating.PerUnit, amounts, st.sampled_from([D(1), D(3)])),
        classes=st.just((rating.ServiceClass("small", "Small", D("0.33")),
                         rating.ServiceClass("large", "Large", D(2)))),
        discount_percent=st.sampled_from([D(0), D("12.5")]), minimum=bounds, maximum=bounds,
    ),
)  # fmt: skip


@given(
    price=priced,
    before=quantities,
    job=st.lists(st.tuples(st.sampled_from(["small", "large"]), quantities), max_size=3),
    days=st.sampled_from([0, 10]),
    highest=st.booleans(),
)
def test_what_is_told_of_straight_prices_is_what_rating_says(
    price: rating.Price, before: D, job: list[tuple[str, D]], days: int, *, highest: bool
) -> None:
    there = _begun(price, before, days=days, highest=highest)
    more = [Used("jobs", (model,) if price.dimensions else (), each) for model, each in job]

    # On one standing, so that what was found out for one job serves the next.
    for job in [_together(more[:count]) for count in range(4)]:
        rated = _or_code(_by_rating, there, job)
        assert _or_code(_at_margin, there, job) == rated
        one_of_three = _or_code(_by_columns, there, job)
        assert one_of_three == (rated if isinstance(rated, str) else rated[:1])


def _begun(price: rating.Price, before: D, *, days: int, highest: bool) -> Standing:
    """Return a standing in a period of which so many days had passed when it began."""
    cells = ((("small",) if price.dimensions else (), before),)
    usage = MeterUsage(meter="jobs", cells=cells, workspaces=(("", before),))
    start = NOVEMBER.replace(day=1 + days)
    segment = Segment(1, "digest", start, DECEMBER, NOVEMBER, DECEMBER, False, (usage,))
    by = PricedBy({1: rating.Terms("USD", (price,))}, {})
    kept = frozenset({"jobs"}) if highest else frozenset[str]()
    return Standing(segments=(segment,), by=by, currency="USD", zone="UTC", highest=kept)


def _together(more: list[Used]) -> list[Used]:
    """Return what a job used, each cell once."""
    cells: dict[tuple[str, tuple[str, ...]], D] = {}
    for meter, values, quantity in more:
        cells[meter, values] = cells.get((meter, values), D(0)) + quantity
    return [Used(*cell, quantity) for cell, quantity in cells.items()]


def _by_rating(there: Standing, more: list[Used]) -> tuple[D, D]:
    """Rate all usage with and without a job: the exact difference, and that of rounded lines."""
    (segment,), (price,) = there.segments, there.prices
    before = dict(segment.usage[0].cells)
    join = max if there.highest else D.__add__
    after = dict(before)
    for each in more:
        after[each.dimensions] = join(after.get(each.dimensions, D(0)), each.quantity)
    lines = [_rated(price, cells, segment) for cells in (before, after)]
    exact = [total(line.exact_amount for line in each) for each in lines]
    rounded = [total(line.amount for line in each) for each in lines]
    return exact[1] - exact[0], rounded[1] - rounded[0]


def _rated(
    price: rating.Price, cells: dict[tuple[str, ...], D], segment: Segment
) -> tuple[rating.RatedLine, ...]:
    usage = rating.Usage(
        cells=tuple(rating.Cell(*cell) for cell in cells.items()),
        shares=(sum(cells.values(), D(0)),) if price.allowance_per == "workspace" else (),
    )
    share = segment_share(segment, zone="UTC")
    return rating.rate(price, usage, currency="USD", share=share)


def _at_margin(there: Standing, more: list[Used]) -> tuple[D, D]:
    (amount,) = MarginPricer(there, meters={"jobs"}).amounts(more)
    return amount.exact, amount.rounded


def _by_columns(there: Standing, more: list[Used]) -> tuple[D]:
    """Price one job among others, which use nothing and then the same again."""
    pricer = MarginPricer(there, meters={"jobs"})
    cells = {(meter, values): [quantity, D(0), quantity] for meter, values, quantity in more}
    found = pricer.of_jobs(cells, jobs=3)
    if found.refusals:
        assert found.by_unit == {"": [D(0)]}
        raise found.refusals[0]
    first, nothing, last = found.by_unit[""]
    assert (nothing, last) == (0, first)
    return (first,)


Priced = Callable[[Standing, list[Used]], tuple[D, ...]]


def _or_code(priced: Priced, there: Standing, more: list[Used]) -> tuple[D, ...] | str:
    """Return amounts to 20 decimals, or the code of the error."""
    try:
        found = priced(there, more)
    except rating.RatingError as error:
        return error.code
    return tuple(amount.quantize(D("1e-20")) for amount in found)
