"""What a row says, exactly; and which value is at fault, and why."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from usage.imports.column_map import read_map
from usage.imports.converting import Converter
from usage.imports.reading import RowFault
from usage.imports.row_ids import row_ids

MAP = """
source: log
event_type: job.completed
id: {content: [who, at, n]}
customer: who
time: {column: at, format: iso, zone: Europe/Berlin}
status: {column: state, succeeded: [OK], failed: [ERR], unfinished: [RUN]}
properties:
  images: {column: n, type: integer}
  seconds: {column: s, type: number}
  model: {column: m, optional: true}
  paid: {column: paid, type: boolean, optional: true}
  pool: {value: shared}
"""
ROW = {
    "who": "acme", "at": "2024-07-01 12:00:00", "state": "OK", "n": "4.0", "s": "1.50",
    "m": "M1", "paid": "",
}  # fmt: skip


def convert(map_text: str = MAP, **changes: str):
    return Converter(read_map(map_text, name="map")).convert(ROW | changes, id="a")


def fault(**changes: str) -> tuple[str, str, str]:
    found = convert(**changes)
    assert isinstance(found, RowFault)
    assert found.cause
    return found[:3]


def test_a_row_is_an_event_with_exact_values() -> None:
    event = convert()
    assert (event.source, event.id, event.type) == ("log", "a", "job.completed")
    assert (event.subject, event.time) == ("acme", datetime(2024, 7, 1, 10, tzinfo=UTC))
    assert event.data == {
        "status": "succeeded", "images": 4, "seconds": Decimal("1.50"), "model": "M1",
        "pool": "shared",
    }  # fmt: skip
    assert type(event.data["images"]) is int


def test_a_failed_job_may_lack_what_a_finished_one_must_have() -> None:
    assert convert(state="ERR", n="", s="").data == {
        "status": "failed", "model": "M1", "pool": "shared",
    }  # fmt: skip


def test_an_unfinished_job_is_no_event_whatever_else_it_says() -> None:
    assert convert(state="RUN", n="x", at="never") is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"n": ""}, ("missing_value", "n", "")),
        ({"n": "1.5"}, ("invalid_value", "n", "1.5")),
        ({"n": "nan"}, ("invalid_value", "n", "nan")),
        ({"s": "1,5"}, ("invalid_value", "s", "1,5")),
        ({"s": "0x10"}, ("invalid_value", "s", "0x10")),
        ({"s": "\uff11"}, ("invalid_value", "s", "\uff11")),
        ({"paid": "perhaps"}, ("invalid_value", "paid", "perhaps")),
        ({"state": "DONE"}, ("unknown_status", "state", "DONE")),
        ({"state": ""}, ("unknown_status", "state", "")),
        ({"who": ""}, ("missing_value", "who", "")),
        ({"at": ""}, ("invalid_time", "at", "")),
        ({"at": "2024-02-30 10:00:00"}, ("invalid_time", "at", "2024-02-30 10:00:00")),
        ({"at": "2024-10-27 02:30:00"}, ("invalid_time", "at", "2024-10-27 02:30:00")),
        ({"at": "2024-03-31 02:30:00"}, ("invalid_time", "at", "2024-03-31 02:30:00")),
    ],
)
def test_a_bad_value_is_named_with_its_column(change, expected) -> None:
    assert fault(**change) == expected


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        ("{column: at, format: iso}", "2024-11-30T23:59:59+01:00", (2024, 11, 30, 22, 59, 59)),
        ("{column: at, format: unix}", "1733011199", (2024, 11, 30, 23, 59, 59)),
        ("{column: at, format: unix_ms}", "1733011199500", (2024, 11, 30, 23, 59, 59, 500_000)),
        ("{column: at, format: '%d.%m.%Y %H:%M'}", "30.11.2024 23:59", (2024, 11, 30, 23, 59)),
    ],
)
def test_times_are_read_as_the_map_says(rule, text, expected) -> None:
    said = "{column: at, format: iso, zone: Europe/Berlin}"
    assert convert(MAP.replace(said, rule), at=text).time == datetime(*expected, tzinfo=UTC)


def test_equal_rows_are_different_jobs_with_the_same_names_next_time() -> None:
    rows = [ROW, ROW | {"n": "2"}, ROW, ROW | {"m": "not in the content"}]
    name, again = row_ids(read_map(MAP, name="map")), row_ids(read_map(MAP, name="map"))
    names = [name(row) for row in rows]
    assert len(set(names)) == 4
    assert [one[-2:] for one in names] == ["-1", "-1", "-2", "-3"]
    assert [again(row) for row in rows] == names


def test_ids_of_columns_never_run_together() -> None:
    job_map = read_map(MAP.replace("{content: [who, at, n]}", "{columns: [who, m]}"), name="map")
    name = row_ids(job_map)
    assert name(ROW) == "acme/M1"
    assert name({"who": "a/b", "m": "c"}) != name({"who": "a", "m": "b/c"})
    missing = name({"who": "a", "m": ""})
    assert isinstance(missing, RowFault)
    assert missing[:2] == ("missing_value", "m")
