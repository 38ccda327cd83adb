"""Turn the values of a row into an event, exactly, or say which value is at fault and why."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from usage.imports.column_map import (
    STATUS,
    SUCCEEDED,
    ColumnMap,
    PropertyRule,
    StatusRule,
    TimeRule,
    values_of,
)
from usage.imports.reading import RowFault, shown
from usage.ingest import CloudEvent

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS: Final = {"unix": Decimal(1_000_000), "unix_ms": Decimal(1_000)}


class NotThat(Exception):
    """A value is not what its column should hold; the message says why."""


class Converter:
    """Turns rows into events by one map; what is worked out once is worked out here."""

    def __init__(self, job_map: ColumnMap) -> None:
        self._map = job_map
        self._parse_time = _time_parser(job_map.time)
        self._statuses = {} if job_map.status is None else values_of(job_map.status)

    def convert(self, cells: Mapping[str, str], *, id: str) -> CloudEvent | RowFault | None:  # noqa: A002
        """Return the row's event, or why it has none; None for a job that has not ended."""
        status = self._status(cells)
        if status is None or isinstance(status, RowFault):
            return status
        data: dict[str, Any] = {STATUS: status}
        for name, rule in self._map.properties.items():
            found = _property(rule, cells, required=status == SUCCEEDED and not rule.optional)
            if isinstance(found, RowFault):
                return found
            if found is not None:
                data[name] = found
        return self._event(cells, id=id, data=data)

    def _status(self, cells: Mapping[str, str]) -> str | RowFault | None:
        rule = self._map.status
        if rule is None:
            return SUCCEEDED
        text = cells[rule.column]
        return self._statuses[text] if text in self._statuses else _unknown_status(rule, text)

    def _event(
        self,
        cells: Mapping[str, str],
        *,
        id: str,  # noqa: A002 - CloudEvents' own word
        data: dict[str, Any],
    ) -> CloudEvent | RowFault:
        said = self._map.time.column
        if not cells[self._map.customer]:
            return RowFault("missing_value", self._map.customer, "", "the customer is empty")
        try:
            time = self._parse_time(cells[said].strip())
        except NotThat as error:
            return RowFault("invalid_time", said, shown(cells[said]), str(error))
        return CloudEvent(
            id=id,
            source=self._map.source,
            type=self._map.event_type,
            subject=cells[self._map.customer],
            time=time,
            data=data,
        )

    def customer_of(self, cells: Mapping[str, str]) -> str:
        """Return the key of the row's customer."""
        return cells[self._map.customer]

    def column_of(self, field: str) -> str:
        """Return the column that a field of the event came from; the field itself if none."""
        rule = self._map.properties.get(field.removeprefix("data."))
        if rule is not None and rule.column is not None:
            return rule.column
        return {"subject": self._map.customer, "time": self._map.time.column}.get(field, field)


def _unknown_status(rule: StatusRule, text: str) -> RowFault:
    known = ", ".join(values_of(rule))
    cause = f"it is none of the statuses that the map names: {known}"
    return RowFault("unknown_status", rule.column, shown(text), cause)


def _property(rule: PropertyRule, cells: Mapping[str, str], *, required: bool) -> Any:
    if rule.column is None:
        return rule.value
    text = cells[rule.column]
    if not text.strip():
        cause = "it is empty, and the job succeeded"
        return RowFault("missing_value", rule.column, "", cause) if required else None
    try:
        return _TYPES[rule.type](text)
    except NotThat as error:
        return RowFault("invalid_value", rule.column, shown(text), str(error))


def _number(text: str) -> int | Decimal:
    if not _NUMBER.fullmatch(text.strip()):
        raise NotThat("it is not a number; write digits with at most one point: 12.5")
    value = Decimal(text.strip())
    return int(value) if value == value.to_integral_value() else value


def _integer(text: str) -> int:
    value = _number(text)
    if isinstance(value, Decimal):
        raise NotThat("it is not a whole number")
    return value


def _boolean(text: str) -> bool:
    try:
        return {"true": True, "1": True, "false": False, "0": False}[text.strip().lower()]
    except KeyError:
        raise NotThat("it is neither true nor false") from None


_TYPES: Final[dict[str, Callable[[str], Any]]] = {
    "text": str,
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
}


def _time_parser(rule: TimeRule) -> Callable[[str], datetime]:
    zone = ZoneInfo(rule.zone)
    if rule.format in _MICROSECONDS:
        return lambda text: _since_epoch(text, microseconds=_MICROSECONDS[rule.format])

    def parse(text: str) -> datetime:
        try:
            found = (
                datetime.fromisoformat(text)
                if rule.format == "iso"
                else datetime.strptime(text, rule.format)  # noqa: DTZ007 - the zone follows
            )
        except ValueError as error:
            wanted = "2024-11-30T23:59:59Z" if rule.format == "iso" else rule.format
            raise NotThat(f"it is not a time written as {wanted}") from error
        return found if found.tzinfo else _in_zone(found, zone)

    return parse


def _since_epoch(text: str, *, microseconds: Decimal) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=int(_number(text) * microseconds))
    except OverflowError as error:
        raise NotThat("it is no time of this calendar") from error


def _in_zone(local: datetime, zone: ZoneInfo) -> datetime:
    """Return a clock's time as an instant. Raises NotThat where it has none, or two."""
    first = local.replace(tzinfo=zone)
    if first.utcoffset() == first.replace(fold=1).utcoffset():
        return first
    back = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None)
    there = "twice" if back == local else "never"
    raise NotThat(f"the clock in {zone.key} shows it {there} that day; write times in UTC")
