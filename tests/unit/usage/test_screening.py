"""A batch that is seen to be sound at once is one in which no event has a fault; no database."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from usage.ingest import CloudEvent, Span, TypeRules, ValueRule, find_fault
from usage.screening import find_sound_rows

NOW = datetime(2026, 3, 10, tzinfo=UTC)
SPAN = Span(NOW - timedelta(days=10), NOW)
MOMENT = timedelta(microseconds=1)
WIDE = ("a", "b", "c")
HUMAN = (("kind", frozenset({"x"})),)
TYPES = {
    "call": TypeRules(),
    "llm": TypeRules((ValueRule("tokens", "n", True),), ("model",)),
    "seen": TypeRules((ValueRule("users", "user", False, HUMAN),), ("kind",)),
    "wide": TypeRules((), WIDE, (WIDE,)),
}


def event(id, type="call", **said):
    given = {"source": "s", "subject": "acme", "time": NOW, "data": {}}
    return CloudEvent(id=id, type=type, **given | said)


def rows_of(*events):
    return find_sound_rows(events, types=TYPES, span=SPAN)


def test_a_sound_batch_gives_its_rows():
    events = [
        event("e1", data=None),
        event("e2", "llm", subject="acme-eu", data={"n": 7, "model": "large"}),
        event("e3", "llm", time=SPAN.oldest, data={"n": Decimal("0.25"), "model": None}),
        event("e4", "seen", source="t", data={"user": "ann", "kind": True}),
        event("e1", "wide", source="t", data=dict.fromkeys(WIDE, "x" * 160)),
    ]
    assert rows_of(*events) == [
        ("s", "e1", "call", NOW, "acme", {}),
        ("s", "e2", "llm", NOW, "acme-eu", {"n": 7, "model": "large"}),
        ("s", "e3", "llm", SPAN.oldest, "acme", {"n": Decimal("0.25"), "model": None}),
        ("t", "e4", "seen", NOW, "acme", {"user": "ann", "kind": True}),
        ("t", "e1", "wide", NOW, "acme", dict.fromkeys(WIDE, "x" * 160)),
    ]


@pytest.mark.parametrize(
    "bad",
    [
        event("e1"),
        event(""),
        event("x" * 201),
        event("e2", source="x" * 201),
        event("e2", "unknown"),
        event("e2", time=None),
        event("e2", time=SPAN.oldest - MOMENT),
        event("e2", time=SPAN.newest + MOMENT),
        event("e2", data_base64="AA=="),
        event("e2", "llm", data={}),
        event("e2", "llm", data={"n": -1}),
        event("e2", "llm", data={"n": 10**18}),
        event("e2", "llm", data={"n": True}),
        event("e2", "llm", data={"n": Decimal("NaN")}),
        event("e2", "llm", data={"n": Decimal("sNaN")}),
        event("e2", "llm", data={"n": Decimal("Infinity")}),
        event("e2", "llm", data={"n": "1.0000000000001"}),
        event("e2", "llm", data={"n": 1, "model": "x" * 201}),
        event("e2", "llm", data={"n": 1, "model": ["x"]}),
        event("e2", "seen", data={"user": {}, "kind": "x"}),
        event("e2", "wide", data=dict.fromkeys(WIDE, "x" * 170)),
    ],
)
def test_one_event_that_is_not_sound_sends_all_to_be_looked_at(bad):
    assert rows_of(event("e1"), event("e3", "llm", data={"n": 1}), bad) is None


def test_values_that_only_a_close_look_can_accept_pass():
    assert rows_of(event("e1", "llm", data={"n": "12.5"})) is not None
    assert rows_of(event("e1", "seen", data={"user": {}, "kind": "y"})) is not None


_values = some.one_of(
    some.none(), some.booleans(), some.integers(-2, 10**18), some.decimals(), some.floats(),
    some.text(max_size=3), some.sampled_from(["x" * 200, "x" * 201, "7", "1e3", [], {}]),
)  # fmt: skip
_names = some.sampled_from([*WIDE, "n", "model", "user", "kind"])
_events = some.builds(
    CloudEvent,
    id=some.sampled_from(["a", "b", "c", "d", "", "x" * 200]),
    source=some.sampled_from(["s", "t"]),
    type=some.sampled_from([*TYPES, "unknown"]),
    subject=some.just("acme"),
    time=some.sampled_from([NOW, SPAN.oldest, NOW + MOMENT, None]),
    data=some.none() | some.dictionaries(_names, _values),
)


@settings(max_examples=400)
@given(some.lists(_events, min_size=1, max_size=4))
def test_what_passes_at_once_passes_one_by_one_and_the_other_way_round(events):
    faults = [find_fault(each, types=TYPES, span=SPAN) for each in events]
    is_sound = (
        not any(faults)
        and all(each.time is not None for each in events)
        and len({(each.source, each.id) for each in events}) == len(events)
    )
    rows = find_sound_rows(events, types=TYPES, span=SPAN)
    assert (rows is not None) == is_sound
    assert rows is None or [(row[0], row[1], row[5]) for row in rows] == [
        (each.source, each.id, each.data or {}) for each in events
    ]
