"""A column map says what is wrong with it, field by field."""

import pytest

from tests.fixtures.traces import MAP
from usage.imports.column_map import MapInvalid, read_map

GOOD = """
source: log
event_type: job.completed
id: {columns: [job]}
customer: who
time: {column: at}
properties:
  images: {column: n, type: integer}
"""


def refused(text: str) -> list[tuple[str, str]]:
    with pytest.raises(MapInvalid) as caught:
        read_map(text, name="a.yaml")
    return [(problem.field, problem.message) for problem in caught.value.problems]


def test_the_example_is_a_map() -> None:
    found = read_map(MAP.read_text(), name=MAP.name)
    assert found.status is not None
    assert found.status.unfinished == ("PENDING", "PROCESSING")
    assert dict(found.columns())["properties.gpu_seconds.column"] == "exec_time_seconds"


def test_what_is_not_said_has_its_usual_value() -> None:
    found = read_map(GOOD, name="a.yaml")
    assert (found.time.format, found.time.zone, found.csv.delimiter) == ("iso", "UTC", ",")
    assert found.canonical() == read_map(f"# a remark\n{GOOD}", name="b.yaml").canonical()


@pytest.mark.parametrize(
    ("said", "instead", "field", "cause"),
    [
        ("source: log", "sauce: log", "the map", "unknown field `sauce`"),
        ("source: log", "", "the map", "missing required field `source`"),
        ("source: log", "source: 7", "source", "Expected `str`, got `int`"),
        ("source: log", "source: ''", "source", "1 to 200 characters"),
        ("{column: at}", "{column: at, zone: Mars/Base}", "time.zone", "“Mars/Base” is not"),
        ("{column: at}", "{column: at, format: us}", "time.format", "“us” is not known"),
        ("{column: at}", "{colum: at}", "time", "unknown field `colum`"),
        ("{columns: [job]}", "{}", "id", "one of the two"),
        ("{columns: [job]}", "{columns: [job], content: [job]}", "id", "one of the two"),
        ("type: integer", "type: int", "properties.images.type", "Invalid enum value 'int'"),
        ("{column: n, type: integer}", "{}", "properties.images", "one of the two"),
        ("images: {", "status: {", "properties.status", "comes from “status”"),
    ],
)
def test_a_wrong_map_is_refused_by_field_and_cause(said, instead, field, cause) -> None:
    ((where, message),) = refused(GOOD.replace(said, instead))
    assert where == field
    assert cause in message


def test_all_that_is_wrong_is_said_at_once() -> None:
    text = GOOD.replace("{column: at}", "{column: at, zone: X, format: y}") + (
        "status: {column: s, succeeded: [], failed: [A], unfinished: [A]}\n"
        "csv: {delimiter: ';;', encoding: utf-16}\n"
    )
    assert [field for field, _ in refused(text)] == [
        "time.zone", "time.format", "status.succeeded", "status", "csv.delimiter", "csv.encoding",
    ]  # fmt: skip


def test_broken_yaml_is_refused_with_its_line() -> None:
    ((where, message),) = refused("source: [log\nid: 1")
    assert where.startswith("line 2")
    assert message
