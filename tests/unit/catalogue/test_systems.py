"""Every shipped system, rated from its events by the rating core alone, comes to its statement.

The metering here is a plain loop over the events, written against DESIGN and not against the code
that meters in the database: `manage.py systems` is the proof of that one.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from pathlib import Path

import pytest

from plans import rating
from plans.catalogue.document import Source, read_sources
from plans.catalogue.systems import FOLDER, catalogue_of, events, month_after, read_system
from plans.terms import terms_from

MONTHS = [date(2026, 2, 1), date(2024, 2, 1), date(2026, 12, 1)]
# Outcomes are rated with the contracts' fees: tests/unit/rating has them.
FILES = [path for path in sorted(FOLDER.glob("*.yaml")) if "contracts:" not in path.read_text()]
WITH_CREDIT = {"s03.yaml", "s07d.yaml"}
RATED = [path for path in FILES if path.name not in WITH_CREDIT]
TEMPLATES = FOLDER.parent


def midnight(day):
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def periods(month, count):
    found = []
    for _ in range(count):
        found.append((midnight(month), midnight(month_after(month))))
        month = month_after(month)
    return found


def segments(plan, start, end):
    """Each version with the part of the period in which it is in force."""
    for index, version in enumerate(plan.versions):
        later = plan.versions[index + 1 :]
        until = later[0].effective_from if later else end
        yield version, max(start, version.effective_from), min(end, until)


def metered(meter, used):
    """Cells and shares by workspace of a meter over events in the order of time."""
    latest, total, shares = {}, {}, {}
    for event in sorted(used, key=lambda event: event.time):
        data = {name: str(value) for name, value in event.data.items()}
        if event.type != meter.event_type:
            continue
        if any(data.get(name) not in accepted for name, accepted in meter.filters.items()):
            continue
        value = Decimal(1 if meter.aggregation == "count" else data[meter.value_property])
        if meter.rounding == "up":
            steps = (value / meter.rounding_multiple).to_integral_value(ROUND_CEILING)
            value = steps * meter.rounding_multiple
        cell = tuple(data.get(name, "") for name in meter.dimensions)
        latest[event.workspace, cell] = value
        total[cell] = total.get(cell, 0) + value
        shares[event.workspace] = shares.get(event.workspace, 0) + value
    if meter.aggregation == "latest":
        total = {cell: value for (_, cell), value in latest.items()}
    cells = tuple(rating.Cell(cell, quantity) for cell, quantity in total.items())
    return rating.Usage(cells=cells), shares


def seats_by_day(meter, used, *, start, end):
    """The level at the end of each day of a whole period, for events of the customer itself."""
    days = (end - start).days
    ends = [start + timedelta(days=number) for number in range(1, days + 1)]
    levels = [
        next(
            (
                Decimal(event.data[meter.value_property])
                for event in sorted(used, key=lambda event: event.time, reverse=True)
                if event.time < day_end
            ),
            Decimal(0),
        )
        for day_end in ends
    ]
    return rating.Usage(days=rating.DayLevels(tuple(levels), 1, days))


def statement(plan, used, *, start, end, first):
    lines = []
    for version, since, until in segments(plan, start, end):
        terms, meters = terms_from(currency=version.currency, rows=version.rows)
        inside = [event for event in used if since <= event.time < until]
        for price in terms.prices:
            if price.once and not first:
                continue
            usage, shares = rating.Usage(), {}
            if price.meter:
                usage, shares = metered(meters[price.meter], inside)
            if isinstance(price.model, rating.Seats):
                usage = seats_by_day(meters[price.meter], inside, start=since, end=until)
            for line in rating.rate(price, usage, currency=terms.currency):
                lines.append((price.key, line, shares))  # noqa: PERF401
    return lines


@pytest.mark.parametrize("month", MONTHS, ids=str)
@pytest.mark.parametrize("path", RATED, ids=lambda path: path.stem)
def test_a_system_comes_to_its_statement(path, month):
    system = read_system(path, month=month)
    plan = next(each for each in catalogue_of([system]).plans if each.key == system.plan)
    used = list(events(system))
    if system.commitment is not None or system.jobs:
        pytest.skip("jobs, and many statements of a commitment, are a matter of make systems")
    counted = 0
    for index, (start, end) in enumerate(periods(system.month, len(system.expected))):
        expected = system.expected[index]
        lines = statement(plan, used, start=start, end=end, first=index == 0)
        assert [
            (key, line.key, line.label, line.quantity, line.amount) for key, line, _ in lines
        ] == [
            (said.price, said.line, said.description, said.quantity, said.amount)
            for said in expected.lines
        ]
        assert sum(line.amount for _, line, _ in lines) == expected.total
        for said, (_, line, shares) in zip(expected.lines, lines, strict=True):
            if said.parts:
                assert tuple(part.quantity for part in line.parts) == said.parts
            if said.workspaces:
                assert shares == said.workspaces
        counted += sum(start <= event.time < end for event in used)
    assert counted == len(used), "an event lies outside the months that are billed"


def test_the_systems_are_there():
    systems = [read_system(path, month=MONTHS[0]) for path in FILES]
    assert {system.system for system in systems} == {
        "S01", "S01-package", "S02", "S03", "S04", "S04b", "S05", "S06", "S07a", "S07b", "S07c",
        "S07d", "S08", "S09", "S10", "S10-volume", "S11", "S12", "S19", "S20", "S21a", "S21b",
        "S22", "S23", "S24", "S25", "S27", "S28", "S28-completion",
    }  # fmt: skip
    assert all(len(list(events(system))) <= 11_000 for system in systems)
    catalogue = catalogue_of(systems)
    others = {"s11.ultimate", "s22.basic", "s22.enterprise"}
    others |= {f"s07{one}.{plan}" for one in "abc" for plan in ("professional", "enterprise")}
    assert {plan.key for plan in catalogue.plans} == {system.plan for system in systems} | others


@pytest.mark.parametrize(
    ("month", "chosen"),
    [
        (date(2026, 8, 1), date(2026, 6, 1)),
        (date(2026, 9, 1), date(2026, 9, 1)),
        (date(2026, 3, 1), date(2025, 11, 1)),
    ],
)
def test_a_system_that_needs_thirty_days_has_the_last_month_of_them(month, chosen):
    assert read_system(FOLDER / "s11.yaml", month=month).month == chosen
    assert read_system(FOLDER / "s10.yaml", month=month).month == month


FEATURES = {
    "s22.basic": {"batch", "standard"},
    "s22.professional": {"batch", "standard", "realtime", "premium"},
    "s22.enterprise": {"batch", "standard", "realtime", "premium", "custom", "dedicated"},
}


def test_each_plan_grants_its_features():
    system = read_system(FOLDER / "s22.yaml", month=MONTHS[0])
    granted = {
        plan.key: {key.removeprefix("s22.") for key in plan.versions[0].grants.features}
        for plan in catalogue_of([system]).plans
    }
    assert granted == FEATURES
    assert {key.removeprefix("s22.") for key in system.features} == FEATURES["s22.professional"]


def test_an_event_exactly_at_a_new_price_is_the_new_ones():
    system = read_system(FOLDER / "s02.yaml", month=MONTHS[0])
    change = datetime(2026, 2, 15, tzinfo=UTC)
    assert [event.data["tokens"] for event in events(system) if event.time == change] == [1500000]


IMAGES = [
    ("20", "0.00"), ("21", "0.04"), ("1000", "39.20"), ("1001", "39.23"), ("5000", "159.20"),
]  # fmt: skip


def image_generation():
    path = TEMPLATES / "image-generation.yaml"
    catalogue = read_sources([Source(path.name, path.read_text())])
    version = catalogue.plans[0].versions[0]
    terms, _ = terms_from(currency=version.currency, rows=version.rows)
    return {price.key: price for price in terms.prices}


@pytest.mark.parametrize(("images", "amount"), IMAGES)
def test_images_cost_what_the_description_says(images, amount):
    usage = rating.Usage(cells=(rating.Cell((), Decimal(images)),))
    (line,) = rating.rate(image_generation()["images"], usage, currency="USD")
    assert (line.label, line.amount) == ("Images", Decimal(amount))


def test_gpu_time_has_a_line_for_inpainting_and_one_for_the_rest():
    cells = [("INPAINTING", 1800), ("TXT_TO_IMG", 3600), ("UPSCALE", 1800), ("", 3600)]
    usage = rating.Usage(
        cells=tuple(rating.Cell((kind,), Decimal(seconds)) for kind, seconds in cells)
    )
    lines = rating.rate(image_generation()["gpu"], usage, currency="USD")
    assert [(line.label, line.quantity, line.amount) for line in lines] == [
        ("GPU time, inpainting", Decimal(1800), Decimal("2.25")),
        ("GPU time", Decimal(9000), Decimal("7.50")),
    ]


def test_every_shipped_document_is_a_catalogue():
    for path in sorted(Path(TEMPLATES).glob("*.yaml")):
        assert read_sources([Source(path.name, path.read_text())]).plans
