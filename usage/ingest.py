"""Read CloudEvents and decide which of them can be stored; pure: values in, values out.

One event that cannot be taken never stops the batch: it gets a `Fault` with a stable code and the
field that is at fault, and the others go on. Numbers are read as `Decimal`, never as floats.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

TEXT_LENGTH_MAX = 200
QUANTITY_MAX = 10**18
DECIMALS_MAX = 12
# Together they must fit into a row of the rollups' unique index.
DIMENSIONS_LENGTH_MAX = 500
_NUMBER_LENGTH_MAX = 400

# What Tollgate records itself: events of outcomes, which nobody else may send.
OWN_SOURCE = "tollgate/outcomes"
OWN_TYPES = "tollgate.outcome."

UNKNOWN_SUBJECT = "unknown_subject"
UNKNOWN_TYPE = "unknown_type"
CONFLICT = "conflict"
QUARANTINED_CODES = frozenset({UNKNOWN_SUBJECT, UNKNOWN_TYPE})


class MalformedBody(Exception):
    """The body is not JSON, or neither an event nor a list of events; nothing was stored."""

    code = "malformed"
    http_status = 400


class TooManyEvents(Exception):
    """One request carries more events than a batch may have; nothing was stored."""

    code = "too_many_events"
    http_status = 413


class CloudEvent(msgspec.Struct, kw_only=True, gc=False):
    """A CloudEvent 1.0 with JSON data; extension attributes are read over.

    ``time`` without a value is the time of arrival. Whoever makes one in Python gives an aware
    ``time`` and exact numbers (int, Decimal or numeric strings) in ``data``.
    """

    id: str
    source: str
    type: str
    subject: str
    specversion: Literal["1.0"] = "1.0"
    time: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    data: dict[str, Any] | None = None
    data_base64: str | None = None


class _ReceivedEvent(CloudEvent, kw_only=True, gc=False):
    """As it comes over the wire, where the version must be stated."""

    specversion: Literal["1.0"]


class Fault(NamedTuple):
    """Why an event is not stored: a stable code, a sentence, and the field at fault."""

    code: str
    detail: str
    field: str = ""


class Rejection(NamedTuple):
    """One event that was not stored, by its place in the batch."""

    # The report's own word, though tuples have a method of that name.
    index: int  # type: ignore[assignment]
    id: str
    code: str
    detail: str
    field: str = ""
    quarantined: bool = False


class Received(NamedTuple):
    """A decoded body: the events that could be read with their places, and the rest."""

    events: list[CloudEvent]
    places: Sequence[int]
    unreadable: list[Rejection]
    is_single: bool


def exact_number(text: str) -> Decimal:
    """Read a JSON number; PostgreSQL's jsonb could not hold one of absurd size."""
    value = Decimal(text)
    if len(text) > _NUMBER_LENGTH_MAX or abs(value.adjusted()) > _NUMBER_LENGTH_MAX:
        raise ValueError(f"The number has more than {_NUMBER_LENGTH_MAX} digits.")
    return value


_batch = msgspec.json.Decoder(list[_ReceivedEvent], float_hook=exact_number)
_single = msgspec.json.Decoder(_ReceivedEvent, float_hook=exact_number)
_raw_batch = msgspec.json.Decoder(list[msgspec.Raw])
_anything = msgspec.json.Decoder(Any, float_hook=exact_number)


def read_body(body: bytes, *, events_max: int) -> Received:
    """Decode one CloudEvent or a list of them.

    Raises MalformedBody where the whole is not JSON of that shape, TooManyEvents for a list
    longer than `events_max`.
    """
    if not body.lstrip(b" \t\r\n").startswith(b"["):
        return _read_single(body)
    try:
        events = _batch.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return _read_one_by_one(body, events_max=events_max)
    _bound(len(events), events_max=events_max)
    return Received(list(events), range(len(events)), [], is_single=False)


def read_event(raw: bytes) -> CloudEvent | Fault:
    """Decode one CloudEvent, or tell why it cannot be read."""
    try:
        return _single.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        return _explain(raw, error)


def _read_single(body: bytes) -> Received:
    if not body.strip():
        raise MalformedBody("The body is empty: send a CloudEvent or a list of them as JSON.")
    found = read_event(body)
    if isinstance(found, CloudEvent):
        return Received([found], (0,), [], is_single=True)
    if found.code == MalformedBody.code and not found.field:
        raise MalformedBody(found.detail)
    return Received([], (), [Rejection(0, _id_of(body), *found)], is_single=True)


def _read_one_by_one(body: bytes, *, events_max: int) -> Received:
    try:
        raws = _raw_batch.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedBody(f"The body is not valid JSON: {error}.") from error
    _bound(len(raws), events_max=events_max)
    received = Received([], [], [], is_single=False)
    places: list[int] = []
    for index, raw in enumerate(raws):
        found = read_event(bytes(raw))
        if isinstance(found, CloudEvent):
            received.events.append(found)
            places.append(index)
        else:
            received.unreadable.append(Rejection(index, _id_of(bytes(raw)), *found))
    return received._replace(places=places)


def _bound(count: int, *, events_max: int) -> None:
    if count > events_max:
        raise TooManyEvents(
            f"The request carries {count} events; at most {events_max} are taken at once. Split it."
        )


def _id_of(raw: bytes) -> str:
    try:
        found = _anything.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return ""
    value = found.get("id") if isinstance(found, dict) else None
    return value[:TEXT_LENGTH_MAX] if isinstance(value, str) else ""


def _explain(raw: bytes, error: Exception) -> Fault:
    """Find what is wrong with an event that the decoder refused."""
    try:
        found = _anything.decode(raw)
    except msgspec.ValidationError as inner:
        return Fault("invalid_data", f"A number cannot be kept: {inner}.", "data")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as inner:
        return Fault("malformed", f"The event is not valid JSON: {inner}.")
    if not isinstance(found, dict):
        return Fault("malformed", "An event is a JSON object, and this is none.")
    unreadable = Fault("malformed", f"The event cannot be read: {error}.", "data")
    return _explain_attributes(found) or _explain_values(found) or unreadable


def _explain_attributes(found: Mapping[str, Any]) -> Fault | None:
    for name in ("specversion", "id", "source", "type", "subject"):
        if found.get(name) is None:
            return Fault("missing_field", f"The event has no “{name}”.", name)
        if not isinstance(found[name], str):
            return Fault("malformed", f"“{name}” must be a string.", name)
    if found["specversion"] != "1.0":
        return Fault("malformed", "“specversion” must be “1.0”.", "specversion")
    return None


def _explain_values(found: Mapping[str, Any]) -> Fault | None:
    try:
        msgspec.convert({"time": found.get("time")}, _Time)
    except msgspec.ValidationError:
        wanted = "an RFC 3339 time with its offset, such as 2026-01-31T12:00:00Z"
        return Fault("invalid_time", f"“time” must be {wanted}.", "time")
    if not isinstance(found.get("data"), dict | None):
        return Fault("invalid_data", "“data” must be a JSON object.", "data")
    if not isinstance(found.get("data_base64"), str | None):
        return Fault("invalid_data", "“data_base64” must be a string.", "data_base64")
    return None


class _Time(msgspec.Struct):
    time: Annotated[datetime, msgspec.Meta(tz=True)] | None


class ValueRule(NamedTuple):
    """A meter's claim on the events of its type: the property, and whether it must be a number.

    It holds for events that pass the meter's filters: property name -> accepted values as text.
    """

    meter: str
    name: str
    is_number: bool
    filters: tuple[tuple[str, frozenset[str]], ...] = ()


class TypeRules(NamedTuple):
    """What the meters of one event type ask of its events."""

    values: tuple[ValueRule, ...] = ()
    scalars: tuple[str, ...] = ()
    wide_dimensions: tuple[tuple[str, ...], ...] = ()


class Span(NamedTuple):
    """The event times that are accepted, both ends included."""

    oldest: datetime
    newest: datetime


def find_fault(event: CloudEvent, *, types: Mapping[str, TypeRules], span: Span) -> Fault | None:
    """Return why the event cannot be stored, or None; whether its subject exists is not asked."""
    key, source, time = event.id, event.source, event.time
    if not (0 < len(key) <= TEXT_LENGTH_MAX and 0 < len(source) <= TEXT_LENGTH_MAX) or (
        "\0" in key or "\0" in source
    ):
        return find_text_fault("id", key) or find_text_fault("source", source)
    if time is not None and not span.oldest <= time <= span.newest:
        return Fault(
            "time_out_of_range",
            f"“time” must lie between {_said(span.oldest)} and {_said(span.newest)}.",
            "time",
        )
    if event.source == OWN_SOURCE or event.type.startswith(OWN_TYPES):
        name = "source" if event.source == OWN_SOURCE else "type"
        said = f"“{name}” is kept for what Tollgate records itself. Claim outcomes instead."
        return Fault("reserved", said, name)
    if event.data_base64 is not None:
        return Fault("invalid_data", "“data” must be JSON: “data_base64” is not read.", "data")
    rules = types.get(event.type)
    if rules is None:
        said = f"No meter counts events of the type “{event.type}”."
        return find_text_fault("type", event.type) or Fault(UNKNOWN_TYPE, said, "type")
    return find_data_fault(event.data or {}, rules)


def _said(time: datetime) -> str:
    return time.isoformat(timespec="seconds")


def find_text_fault(name: str, text: str) -> Fault | None:
    """Return what is wrong with an attribute's length or characters, or None."""
    if "\0" in text:
        return Fault("invalid_data", f"“{name}” contains a NUL character.", name)
    if not text:
        return Fault("missing_field", f"“{name}” is empty.", name)
    if len(text) > TEXT_LENGTH_MAX:
        return Fault("id_too_long", f"“{name}” has more than {TEXT_LENGTH_MAX} characters.", name)
    return None


def find_data_fault(data: dict[str, Any], rules: TypeRules) -> Fault | None:
    """Return what the meters of its type find wrong with an event's data, or None."""
    for name in rules.scalars:
        value = data.get(name)
        if type(value) is str:
            if len(value) > TEXT_LENGTH_MAX:
                wanted = f"at most {TEXT_LENGTH_MAX} characters"
                return Fault("invalid_data", f"“{name}” may have {wanted}.", f"data.{name}")
        elif isinstance(value, dict | list):
            wanted = "a string, a number or a truth value"
            return Fault("invalid_data", f"“{name}” must be {wanted}.", f"data.{name}")
    for names in rules.wide_dimensions:
        if sum(len(as_text(data.get(name)) or "") for name in names) > DIMENSIONS_LENGTH_MAX:
            wanted = f"at most {DIMENSIONS_LENGTH_MAX} characters together"
            return Fault("invalid_data", f"{', '.join(names)} may have {wanted}.", "data")
    for rule in rules.values:
        value = data.get(rule[1])
        if type(value) is int and 0 <= value < QUANTITY_MAX:
            continue
        fault = _find_value_fault(value, rule)
        if fault is not None and passes(data, filters=rule.filters):
            return fault
    return None


def passes(data: Mapping[str, Any], *, filters: tuple[tuple[str, frozenset[str]], ...]) -> bool:
    """Tell whether an event's data passes a meter's filters."""
    return all(as_text(data.get(name)) in wanted for name, wanted in filters)


def as_text(value: Any) -> str | None:
    """Return a scalar as PostgreSQL's ``->>`` does; None for null and for what is absent."""
    if value is None or type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value)


def _find_value_fault(value: object, rule: ValueRule) -> Fault | None:
    field = f"data.{rule.name}"
    if value is None:
        said = f"The meter “{rule.meter}” needs the property “{rule.name}”."
        return Fault("missing_value", said, field)
    if rule.is_number:
        said = _number_fault(value)
        return Fault("invalid_value", f"“{rule.name}” {said}", field) if said else None
    if isinstance(value, str | int | Decimal | float):
        return None
    return Fault("invalid_value", f"“{rule.name}” must be a string or a number.", field)


# What JSON calls a number. PostgreSQL and Python would both take more than that, and not the same.
_NUMERIC_TEXT = re.compile(r"[0-9]{1,18}(?:\.[0-9]+)?")


def _number_fault(value: object) -> str:
    """Say what is wrong with a meter's value, or nothing.

    A JSON number with more than 12 decimals is taken (floats carry noise there) and rounded half
    away from zero where it is metered; a string says exactly what it means and is refused.
    """
    if isinstance(value, str):
        if not _NUMERIC_TEXT.fullmatch(value):
            return "must be a number: a JSON number, or a string such as “12.5”."
        if len(value.partition(".")[2]) > DECIMALS_MAX:
            return f"may have at most {DECIMALS_MAX} decimals."
        value = Decimal(value)
    if isinstance(value, float):
        value = Decimal(repr(value))
    if type(value) is not int and not isinstance(value, Decimal):
        return "must be a number."
    if isinstance(value, Decimal) and not value.is_finite():
        return "must be finite."
    if not 0 <= value < QUANTITY_MAX:
        return "must be at least 0 and less than 10^18."
    return ""


NUL_FAULT = Fault("invalid_data", "A string contains a NUL character.", "data")


def has_nul(value: Any) -> bool:
    """Tell whether a NUL character, which jsonb cannot hold, stands anywhere in JSON data."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any("\0" in name or has_nul(each) for name, each in value.items())
    return isinstance(value, list) and any(has_nul(each) for each in value)
