"""What is read of a body, and what is said of an event that cannot be stored; no database."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from usage.ingest import (
    CloudEvent,
    Fault,
    MalformedBody,
    Span,
    TooManyEvents,
    TypeRules,
    ValueRule,
    as_text,
    find_fault,
    has_nul,
    passes,
    read_body,
    read_event,
)

NOW = datetime(2026, 3, 10, tzinfo=UTC)
SPAN = Span(NOW - timedelta(days=10), NOW)
WIRE = {"specversion": "1.0", "id": "e1", "source": "s", "type": "t", "subject": "acme"}


def body(*events):
    return json.dumps(list(events)).encode()


def fault(rules=None, **said):
    given = {"id": "e1", "source": "s", "type": "t", "subject": "acme", "time": NOW}
    types = {"t": rules or TypeRules()}
    found = find_fault(CloudEvent(**given | said), types=types, span=SPAN)
    return found and (found.code, found.field)


def test_numbers_are_read_as_they_are_written():
    raw = body(WIRE | {"data": {"a": 0}}).replace(b"0}", b"0.10}")
    assert read_body(raw, events_max=1).events[0].data == {"a": Decimal("0.10")}


def test_times_keep_their_instant_and_extensions_are_read_over():
    said = {"time": "2026-03-10T02:00:00.123456+02:00", "traceparent": "00-1", "data": None}
    event = read_event(json.dumps(WIRE | said).encode())
    assert event.time == NOW + timedelta(microseconds=123456)
    assert event.data is None


def test_one_bad_event_leaves_the_others():
    received = read_body(body(WIRE, 7, WIRE | {"id": "e2"}, WIRE | {"id": 3}), events_max=9)
    assert [event.id for event in received.events] == ["e1", "e2"]
    assert list(received.places) == [0, 2]
    assert [(each.index, each.code) for each in received.unreadable] == [
        (1, "malformed"), (3, "malformed"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "code", "field"),
    [
        ({"time": "yesterday"}, "invalid_time", "time"),
        ({"time": "2026-03-10T00:00:00"}, "invalid_time", "time"),
        ({"time": 5}, "invalid_time", "time"),
        ({"data": []}, "invalid_data", "data"),
        ({"data_base64": 5}, "invalid_data", "data_base64"),
        ({"subject": None}, "missing_field", "subject"),
        ({"source": {}}, "malformed", "source"),
        ({"specversion": "2"}, "malformed", "specversion"),
    ],
)
def test_what_cannot_be_read_names_its_field(said, code, field):
    found = read_event(json.dumps(WIRE | said).encode())
    assert isinstance(found, Fault)
    assert (found.code, found.field) == (code, field)


@pytest.mark.parametrize("raw", [b"", b" ", b"{", b"[{}", b"nul", b"[" * 9999, b'{"a":"\xff"}'])
def test_what_is_not_json_is_malformed_as_a_whole(raw):
    with pytest.raises(MalformedBody):
        read_body(raw, events_max=9)


def test_too_many_are_refused_before_they_are_looked_at():
    for events in ([WIRE] * 3, [7] * 3):
        with pytest.raises(TooManyEvents):
            read_body(body(*events), events_max=2)


def test_the_span_of_times_includes_both_ends():
    moment = timedelta(microseconds=1)
    assert fault(time=SPAN.oldest) is fault(time=SPAN.newest) is None
    assert fault(time=SPAN.oldest - moment) == ("time_out_of_range", "time")
    assert fault(time=SPAN.newest + moment) == ("time_out_of_range", "time")


def test_a_value_is_needed_only_where_the_filters_pass():
    rules = TypeRules(values=(ValueRule("m", "n", True, (("ok", frozenset({"true", "1"})),)),))
    assert fault(rules, data={"ok": True}) == ("missing_value", "data.n")
    assert fault(rules, data={"ok": 1}) == ("missing_value", "data.n")
    assert fault(rules, data={"ok": False}) is None
    assert fault(rules, data={}) is None


def test_dimensions_fit_into_a_row_together():
    names = tuple(f"d{n}" for n in range(4))
    rules = TypeRules(scalars=names, wide_dimensions=(names,))
    assert fault(rules, data=dict.fromkeys(names, "x" * 125)) is None
    assert fault(rules, data=dict.fromkeys(names, "x" * 126)) == ("invalid_data", "data")


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (True, "true"), (1, "1"), (Decimal("1E+2"), "100"), (Decimal("1.0"), "1.0"),
     (None, None)],
)  # fmt: skip
def test_scalars_as_text_are_those_of_the_database(value, text):
    assert as_text(value) == text
    assert passes({"a": value}, filters=(("a", frozenset({text})),))


def test_nul_is_found_wherever_it_hides():
    assert has_nul({"a": [{"b": "x\0"}]})
    assert has_nul({"a\0": 1})
    assert not has_nul({"a": ["\\u0000", 1, None]})
