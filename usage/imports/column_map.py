"""The column map: a small YAML document that says what the columns of a CSV file of jobs mean."""

import zoneinfo
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from plans.catalogue import yaml_text
from plans.catalogue.problems import CatalogueInvalid
from plans.errors import OperationError, Problem

STATUS: Final = "status"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"


class MapInvalid(OperationError):
    """The column map cannot be used; ``problems`` lists all that is wrong with it."""

    code = "map_invalid"

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        listed = "\n".join(f"{problem.field}: {problem.message}" for problem in problems)
        super().__init__(listed, field=problems[0].field, problems=problems)


class IdRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What names a job for ever: columns that hold its id, or the content of its row.

    Rows that are equal in all columns of ``content`` are different jobs: the first, the second, …
    of their kind in the file. So a file that is exported again, with rows added, says the same ids.
    """

    columns: tuple[str, ...] = ()
    content: tuple[str, ...] = ()


class TimeRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the job ran: ``iso``, ``unix``, ``unix_ms`` or a pattern such as ``%d.%m.%Y %H:%M``.

    ``zone`` is that of times which do not state their own offset.
    """

    column: str
    format: str = "iso"
    zone: str = "UTC"


class StatusRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which values of a column say what became of the job; any other value is an error."""

    column: str
    succeeded: tuple[str, ...]
    failed: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()


class PropertyRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One property of the event: from a column, or one value for all.

    A succeeded job whose column is empty is an error unless the property is ``optional``.
    """

    column: str | None = None
    value: str | int | bool | None = None
    type: Literal["text", "integer", "number", "boolean"] = "text"
    optional: bool = False


class CsvRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the file is written."""

    delimiter: str = ","
    encoding: str = "utf-8"


class ColumnMap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file of jobs means: each finished row is an event of ``event_type``.

    Its ``source`` and id tell it from every other event for ever. The event carries the properties
    and ``status``, which is ``succeeded`` or ``failed``.
    """

    source: str
    event_type: str
    id: IdRule
    customer: str
    time: TimeRule
    properties: dict[str, PropertyRule]
    status: StatusRule | None = None
    csv: CsvRule = CsvRule()

    def columns(self) -> Iterator[tuple[str, str]]:
        """Yield each column that the map reads, after the field that names it."""
        yield from ((f"id.columns[{i}]", name) for i, name in enumerate(self.id.columns))
        yield from ((f"id.content[{i}]", name) for i, name in enumerate(self.id.content))
        yield "customer", self.customer
        yield "time.column", self.time.column
        if self.status is not None:
            yield "status.column", self.status.column
        for name, rule in self.properties.items():
            if rule.column is not None:
                yield f"properties.{name}.column", rule.column

    def canonical(self) -> bytes:
        """Return the map as bytes that are equal for equal maps."""
        return msgspec.json.encode(self, order="sorted")


def read_map(text: str, *, name: str) -> ColumnMap:
    """Return the map that a YAML document says. Raises MapInvalid with all that is wrong."""
    try:
        content = yaml_text.parse(text, name=name)
    except CatalogueInvalid as error:
        first = error.found[0]
        problem = Problem(first.code, first.path or name, f"{first.cause} {first.remedy}")
        raise MapInvalid((problem,)) from error
    try:
        found = msgspec.convert(content, ColumnMap)
    except msgspec.ValidationError as error:
        raise MapInvalid((_shape_problem(error, content),)) from error
    problems = tuple(_problems(found))
    if problems:
        raise MapInvalid(problems)
    return found


def _shape_problem(error: msgspec.ValidationError, content: Any) -> Problem:
    said, _, path = str(error).partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    if field.startswith("properties[...]"):
        said, field = _property_shape(content["properties"]) or (said, field)
    return Problem("map_shape", field or "the map", f"{said}.")


def _property_shape(properties: dict[str, Any]) -> tuple[str, str] | None:
    """Find the property that is wrong, which the error of the whole does not name."""
    for name, rule in properties.items():
        try:
            msgspec.convert(rule, PropertyRule)
        except msgspec.ValidationError as error:
            said, _, path = str(error).partition(" - at `$")
            return said, f"properties.{name}{path.rstrip('`')}"
    return None


def _problems(found: ColumnMap) -> Iterator[Problem]:
    for field, text in (("source", found.source), ("event_type", found.event_type)):
        if not 0 < len(text) <= 200:
            yield Problem("length", field, "Write 1 to 200 characters.")
    if bool(found.id.columns) == bool(found.id.content):
        said = "Name the columns that hold the job's id, or the columns of content; one of the two."
        yield Problem("id_rule", "id", said)
    yield from _time_problems(found.time)
    if found.status is not None:
        yield from _status_problems(found.status)
    for name, rule in found.properties.items():
        yield from _property_problems(name, rule)
    yield from _csv_problems(found.csv)


def _time_problems(rule: TimeRule) -> Iterator[Problem]:
    if rule.zone not in zoneinfo.available_timezones():
        said = f"“{rule.zone}” is not a time zone. Use an IANA name: Europe/Berlin, UTC."
        yield Problem("unknown_time_zone", "time.zone", said)
    if rule.format not in {"iso", "unix", "unix_ms"} and "%" not in rule.format:
        said = (
            f"“{rule.format}” is not known. Write iso, unix, unix_ms or a pattern: %Y-%m-%d %H:%M."
        )
        yield Problem("unknown_format", "time.format", said)


def _status_problems(rule: StatusRule) -> Iterator[Problem]:
    if not rule.succeeded:
        yield Problem("empty", "status.succeeded", "Name at least one value.")
    values = (*rule.succeeded, *rule.failed, *rule.unfinished)
    for value in sorted({value for value in values if values.count(value) > 1}):
        yield Problem("status_twice", "status", f"“{value}” is named twice.")


def _property_problems(name: str, rule: PropertyRule) -> Iterator[Problem]:
    field = f"properties.{name}"
    if name == STATUS:
        yield Problem(
            "reserved", field, "The status comes from “status” of the map, not from here."
        )
    if not 0 < len(name) <= 100:
        yield Problem("length", field, "A property's name has 1 to 100 characters.")
    if (rule.column is None) == (rule.value is None):
        yield Problem("property_rule", field, "Name its column, or its one value; one of the two.")


def _csv_problems(rule: CsvRule) -> Iterator[Problem]:
    if len(rule.delimiter) != 1 or rule.delimiter in '"\r\n':
        yield Problem("delimiter", "csv.delimiter", "Write one character: , or ; or a tab.")
    if not _is_like_ascii(rule.encoding):
        said = f"“{rule.encoding}” is not read here. Use utf-8, cp1252, latin-1, or save as UTF-8."
        yield Problem("unknown_encoding", "csv.encoding", said)


def _is_like_ascii(encoding: str) -> bool:
    try:
        return b"a,\n".decode(encoding) == "a,\n"
    except (LookupError, UnicodeError):
        return False


def values_of(rule: StatusRule) -> dict[str, Any]:
    """Return what each value of the status column means; None is unfinished."""
    return {
        **dict.fromkeys(rule.succeeded, SUCCEEDED),
        **dict.fromkeys(rule.failed, FAILED),
        **dict.fromkeys(rule.unfinished, None),
    }
