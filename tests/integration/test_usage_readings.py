"""Whatever happened in whatever order, a reading is what a sum over all events by hand gives."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plans.models import Customer, Meter, Workspace
from tests.fixtures.usage import empty_usage, event
from tests.integration.usage_model import day_levels, reading
from usage.models import RollupState
from usage.operations.ingest import ingest
from usage.operations.rollup import roll_up
from usage.queries import DayWindow, Window, read_day_levels, read_usage, verify_rollups

START = datetime(2026, 3, 27, tzinfo=UTC)
HOURS = 24 * 12
NOW = START + timedelta(hours=HOURS)
ZONES = ["UTC", "Europe/Berlin", "America/Havana", "Pacific/Chatham", "Asia/Kolkata"]
METERS = [
    {"aggregation": "count"},
    {"aggregation": "count", "filters": {"status": ["ok", 1]}, "dimensions": ["model"]},
    {"aggregation": "sum", "value_property": "n"},
    {"aggregation": "sum", "value_property": "n", "dimensions": ["model", "status"]},
    {"aggregation": "sum", "value_property": "n", "rounding": "up", "rounding_multiple": "0.3"},
    {"aggregation": "sum", "value_property": "n", "rounding": "nearest", "rounding_multiple": "5"},
    {"aggregation": "max", "value_property": "n", "dimensions": ["model"]},
    {"aggregation": "max", "value_property": "n", "rounding": "down", "rounding_multiple": "2"},
    {"aggregation": "latest", "value_property": "n"},
    {"aggregation": "latest", "value_property": "n", "dimensions": ["model"],
     "filters": {"status": ["ok"], "model": ["a", "b"]}},
    {"aggregation": "unique_count", "value_property": "who", "dimensions": ["model"]},
    {"aggregation": "unique_count", "value_property": "who"},
    {"aggregation": "time_weighted", "value_property": "n"},
    {"aggregation": "time_weighted", "value_property": "n", "dimensions": ["model"],
     "rounding": "nearest", "rounding_multiple": "0.5"},
]  # fmt: skip

SEAT_METERS = [index for index, said in enumerate(METERS) if said["aggregation"] == "time_weighted"]

# Whole hours and their edges, so that days, windows and events often meet at one instant.
instants = st.builds(
    lambda hours, us: START + timedelta(hours=hours, microseconds=us),
    st.integers(0, HOURS - 1),
    st.sampled_from([0, 0, 0, -1, 1, 1_800_000_000]),
)
data = st.fixed_dictionaries(
    {
        "n": st.sampled_from([0, 1, "2.5", Decimal("0.000000000001"), Decimal("7.3"), 10**17, 12]),
        "who": st.sampled_from(["u1", "u2", 3, "3"]),
    },
    optional={
        "model": st.sampled_from(["a", "b", True, 4, None]),
        "status": st.sampled_from(["ok", "failed", 1]),
    },
)
usages = st.tuples(st.just("use"), st.sampled_from(["c1", "c2", "c1-w1", "c1-w2"]), instants, data)
steps = st.lists(
    st.one_of(
        usages, usages, usages, usages,
        st.tuples(st.just("roll")),
        st.tuples(st.just("zone"), st.sampled_from(ZONES)),
        st.tuples(st.just("meter"), st.integers(0, len(METERS) - 1)),
        st.tuples(st.just("forget"), st.integers(0, len(METERS) - 1)),
    ),
    min_size=1,
    max_size=30,
)  # fmt: skip
windows = st.lists(st.tuples(instants, instants), min_size=1, max_size=4)


@pytest.fixture
def stage(transactional_db, clean_usage):
    """Two customers and all kinds of meters, empty again before every example."""
    customers = {key: Customer.objects.create(key=key, name=key) for key in ("c1", "c2")}
    workspaces = {
        key: Workspace.objects.create(customer=customers["c1"], key=key, name=key)
        for key in ("c1-w1", "c1-w2")
    }

    def reset():
        empty_usage()
        RollupState.objects.all().delete()
        Meter.objects.all().delete()
        Customer.objects.update(time_zone="UTC")

    return customers, workspaces, reset


def make_meter(index):
    said = METERS[index]
    return Meter.objects.create(key=f"m{index}", name="m", event_type="t", **said)


@given(history=steps, spans=windows, zone=st.sampled_from(ZONES), late_meters=st.booleans())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_readings_equal_the_model(stage, history, spans, zone, late_meters):
    customers, workspaces, reset = stage
    reset()
    Customer.objects.update(time_zone=zone)
    make_meter(0)
    for index in range(1, 0 if late_meters else len(METERS)):
        make_meter(index)
    happened = []
    for number, step in enumerate(history):
        act(step, number, happened)
    expected = {}
    asked = []
    for ref, (one, other) in enumerate(spans * 2):
        customer = customers["c1" if ref < len(spans) else "c2"]
        start, end = min(one, other), max(one, other)
        asked.append(Window(ref, customer.id, start, end))
        own = events_of(customer, happened, workspaces)
        found = {
            meter.id: each
            for meter in Meter.objects.all()
            if start < end and (each := reading(meter, own, start=start, end=end)) is not None
        }
        if found:
            expected[ref] = found
    assert read_usage(asked).readings == expected
    assert verify_rollups() == []


day_windows = st.lists(st.tuples(st.integers(-2, 14), st.integers(0, 9)), min_size=1, max_size=3)


@given(
    history=steps,
    spans=day_windows,
    zone=st.sampled_from(ZONES),
    until=st.none() | instants,
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_levels_by_day_equal_the_model(stage, history, spans, zone, until):
    customers, workspaces, reset = stage
    reset()
    Customer.objects.update(time_zone=zone)
    for index in SEAT_METERS:
        make_meter(index)
    meters = list(Meter.objects.all())
    happened = []
    moves = [step for step in history if step[0] in ("use", "roll")]
    for number, step in enumerate(moves):
        act(step, number, happened)
    expected, asked = {}, []
    for ref, (offset, days) in enumerate(spans * 2):
        customer = customers["c1" if ref < len(spans) else "c2"]
        first = date(2026, 3, 27) + timedelta(days=offset)
        asked.append(DayWindow(ref, customer.id, zone, first, days))
        own = events_of(customer, happened, workspaces)
        for meter in meters:
            levels = day_levels(meter, own, zone=zone, first=first, days=days, until=until)
            if levels is not None:
                expected[ref, meter.id] = levels
    found = read_day_levels(asked, meter_ids=[meter.id for meter in meters], until=until)
    assert {key: levels for key, levels in found.items() if any(levels)} == {
        key: levels for key, levels in expected.items() if any(levels)
    }
    assert found.keys() <= {(window.ref, meter.id) for window in asked for meter in meters}


def act(step, number, happened):
    match step:
        case ("use", subject, time, said):
            sent = event(f"e{number}", type="t", subject=subject, time=time, data=said)
            assert ingest([sent], now=NOW).accepted == 1
            happened.append((subject, time, said))
        case ("roll",):
            roll_up(now=NOW, events_per_step=3)
        case ("zone", name):
            # One by one, as a person does.
            for customer in Customer.objects.order_by("id"):
                Customer.objects.filter(pk=customer.pk).update(time_zone=name)
        case ("meter", index):
            if not Meter.objects.filter(key=f"m{index}").exists():
                make_meter(index)
            else:
                Meter.objects.filter(key=f"m{index}").update(
                    rounding="up", rounding_multiple=Decimal(3)
                )
        case ("forget", index):
            if index:
                Meter.objects.filter(key=f"m{index}").delete()


def events_of(customer, happened, workspaces):
    return [
        (time, workspaces[subject].id if subject in workspaces else None, said)
        for subject, time, said in happened
        if subject.startswith(customer.key)
    ]
