"""Store usage events: once each, whole batches in one statement, nothing lost."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import psycopg
from django.db import connection
from django.db.utils import IntegrityError

from plans.models.meters import Aggregation
from usage import sql
from usage.ingest import (
    CONFLICT,
    NUL_FAULT,
    QUARANTINED_CODES,
    UNKNOWN_SUBJECT,
    UNKNOWN_TYPE,
    CloudEvent,
    Fault,
    Rejection,
    Span,
    TooManyEvents,
    TypeRules,
    ValueRule,
    find_fault,
    find_text_fault,
    has_nul,
)
from usage.limits import accepted_span, batch_events_max
from usage.operations.hold import hold_events
from usage.operations.partitions import Month, ensure_partitions, forget_partitions, month_of
from usage.screening import SoundRow, find_sound_rows


class IngestReport(NamedTuple):
    """What became of a batch: stored, known already with the same content, and not stored."""

    accepted: int
    duplicates: int
    rejected: tuple[Rejection, ...]


class OwnEventLost(Exception):
    """An event that Tollgate makes itself was not stored; its transaction must not stand."""

    code = "own_event_lost"


class _Row(msgspec.Struct, array_like=True, gc=False):
    """One event as the statement reads it: in JSON a list, like a `SoundRow`."""

    s: str
    i: str
    y: str
    t: datetime
    k: str
    p: dict[str, Any]


class _Batch:
    """The events of one call on their way: what to store, what to hold, what to refuse."""

    def __init__(self, events: Sequence[CloudEvent]) -> None:
        self.events = events
        self.rows: dict[tuple[str, str], tuple[int, _Row]] = {}
        self.repeats: list[tuple[int, _Row]] = []
        self.held: list[tuple[int, CloudEvent, Fault]] = []
        self.rejected: list[Rejection] = []
        self.untimed: set[int] = set()


def ingest(events: Sequence[CloudEvent], *, now: datetime) -> IngestReport:
    """Store the events that are new, and tell what became of each other one.

    An event is new unless one of the same source and id was ever stored: with the same content
    it is a duplicate and counts nothing, with other content a `conflict`. Events of an unknown
    subject or type go to quarantine. Nothing of a rejected event is stored besides.
    Raises TooManyEvents for more than a batch may have.
    """
    if len(events) > batch_events_max():
        raise TooManyEvents(f"At most {batch_events_max()} events are taken at once.")
    if not events:
        return IngestReport(0, 0, ())
    types = load_types({event.type for event in events})
    span = accepted_span(now=now)
    rows = find_sound_rows(events, types=types, span=span)
    new = None if rows is None else _store_sound(rows, now=now)
    if new == len(events):
        return IngestReport(new, 0, ())
    return _answer_for_each(_sort_out(events, types=types, span=span, now=now), new=new, now=now)


def store_own(rows: Sequence[SoundRow], *, now: datetime) -> None:
    """Store events that Tollgate makes itself, in the caller's transaction: all of them.

    Raises OwnEventLost where one is there already, or nobody has its subject.
    """
    if not rows:
        return
    stored = _insert_into_months(_encoder.encode(rows), _months([row[3] for row in rows]), now=now)
    if stored != len(rows):
        raise OwnEventLost(f"Only {stored} of {len(rows)} events of ours could be stored.")


def _answer_for_each(batch: _Batch, *, new: int | None, now: datetime) -> IngestReport:
    """Tell what became of each event: `new` of them are stored; None of a batch not tried yet."""
    if new is None:
        accepted, duplicates = _store(batch, now=now)
    else:
        accepted, duplicates = _account_for_the_rest(batch, new=new, now=now)
    if batch.held:
        batch.rejected += hold_events(batch.held, now=now)
    return IngestReport(accepted, duplicates, tuple(sorted(batch.rejected)))


def _sort_out(
    events: Sequence[CloudEvent], *, types: Mapping[str, TypeRules], span: Span, now: datetime
) -> _Batch:
    batch = _Batch(events)
    rows = batch.rows
    for index, event in enumerate(events):
        fault = find_fault(event, types=types, span=span)
        if fault is not None:
            _set_aside(batch, index, event, fault)
            continue
        time = event.time
        if time is None:
            time = now
            batch.untimed.add(index)
        key = (event.source, event.id)
        row = _Row(*key, event.type, time, event.subject, event.data or {})
        if rows.setdefault(key, (index, row))[0] != index:
            batch.repeats.append((index, row))
    return batch


def _set_aside(batch: _Batch, index: int, event: CloudEvent, fault: Fault | None) -> None:
    """Hold or reject an event; without a fault of its own, its subject is unknown.

    What is wrong in itself is refused at once, and not kept for its subject to appear.
    """
    if fault is None or fault.code == UNKNOWN_TYPE:
        fault = find_text_fault("subject", event.subject) or fault
    if fault is None:
        said = f"No customer or workspace has the key “{event.subject}”."
        fault = Fault(UNKNOWN_SUBJECT, said, "subject")
    if fault.code in QUARANTINED_CODES:
        batch.held.append((index, event, fault))
    else:
        batch.rejected.append(Rejection(index, event.id, *fault))


def load_types(types: set[str]) -> dict[str, TypeRules]:
    """Return what each event type's meters ask; one cheap query, never out of date."""
    with connection.cursor() as cursor:
        cursor.execute(sql.METERS_OF_TYPES, [_json_list(types)])
        meters = defaultdict(list)
        for row in cursor.fetchall():
            meters[row[0]].append(row[1:])
    return {name: _type_rules(found) for name, found in meters.items()}


def _type_rules(meters: Iterable[tuple[str, str, str, list[str], str]]) -> TypeRules:
    values: list[ValueRule] = []
    scalars: set[str] = set()
    wide: list[tuple[str, ...]] = []
    for key, aggregation, value_property, dimensions, filters_json in meters:
        filters: dict[str, Any] = json.loads(filters_json, parse_float=Decimal)
        scalars.update(dimensions, filters)
        if len(dimensions) > 2:
            wide.append(tuple(dimensions))
        if aggregation != Aggregation.COUNT:
            number = aggregation != Aggregation.UNIQUE_COUNT
            wanted = tuple((name, sql.filter_texts(each)) for name, each in filters.items())
            values.append(ValueRule(key, value_property, number, wanted))
    return TypeRules(tuple(values), tuple(sorted(scalars)), tuple(wide))


_encoder = msgspec.json.Encoder(decimal_format="number")
_NUL = b"\\u0000"


def _json_list(texts: Iterable[str]) -> str:
    return _encoder.encode([text for text in texts if "\0" not in text]).decode()


def _store_sound(rows: Sequence[SoundRow], *, now: datetime) -> int | None:
    """Insert the rows and return how many were new; None, and nothing stored, if NUL may be there.

    A row that was not new was stored before, or nobody has its subject.
    """
    payload = _encoder.encode(rows)
    if _NUL in payload:
        return None
    return _insert_into_months(payload, _months([row[3] for row in rows]), now=now)


def _store(batch: _Batch, *, now: datetime) -> tuple[int, int]:
    """Insert the rows; return how many were new, and how many were there with the same content."""
    payload = _encode_rows(batch)
    if _NUL in payload:
        _reject_nul(batch)
        payload = _encode_rows(batch)
    if not batch.rows:
        return 0, 0
    months = _months([row.t for _, row in batch.rows.values()])
    new = _insert_into_months(payload, months, now=now)
    if new == len(batch.rows) and not batch.repeats:
        return new, 0
    return _account_for_the_rest(batch, new=new, now=now)


def _insert_into_months(payload: bytes, months: set[Month], *, now: datetime) -> int:
    """Store what is new of rows that lie in these months, and return how many they are."""
    ensure_partitions(months)
    try:
        return _insert(payload, now=now)
    except IntegrityError as error:
        if connection.in_atomic_block or not _lacks_partition(error):
            raise
        forget_partitions()
        ensure_partitions(months)
        return _insert(payload, now=now)


def _account_for_the_rest(batch: _Batch, *, new: int, now: datetime) -> tuple[int, int]:
    """Tell why not all rows were new; return how many are, and how many were there before.

    A row was stored before, or its subject is unknown; or the subject came to be just now.
    """
    every = [*batch.rows.values(), *batch.repeats]
    owners = _load_subjects({row.k for _, row in every})
    for index, row in every:
        if row.k not in owners:
            _set_aside(batch, index, batch.events[index], None)
    _drop(batch, {index for index, row in every if row.k not in owners})
    if not batch.rows:
        return new, 0
    same = _compare(batch, owners)
    if len(same) < len(batch.rows) + len(batch.repeats):
        new += _insert(_encode_rows(batch), now=now)
        same = _compare(batch, owners)
    for index, row in [*batch.rows.values(), *batch.repeats]:
        if not same[index]:
            said = "An event with this source and id, but with other content, is stored already."
            batch.rejected.append(Rejection(index, row.i, CONFLICT, said, "id"))
    return new, sum(same.values()) - new


def _load_subjects(subjects: set[str]) -> dict[str, tuple[int, int | None]]:
    asked = {subject for subject in subjects if "\0" not in subject}
    with connection.cursor() as cursor:
        cursor.execute(sql.SUBJECTS, [_json_list(asked)])
        return {key: (customer, workspace) for key, customer, workspace in cursor.fetchall()}


def _encode_rows(batch: _Batch) -> bytes:
    return _encoder.encode([row for _, row in batch.rows.values()])


def _reject_nul(batch: _Batch) -> None:
    """Take out the rows that PostgreSQL's text and jsonb cannot hold."""
    gone = set()
    for index, row in (*batch.rows.values(), *batch.repeats):
        if "\0" in row.k:
            _set_aside(batch, index, batch.events[index], None)
        elif has_nul(row.p):
            batch.rejected.append(Rejection(index, row.i, *NUL_FAULT))
        else:
            continue
        gone.add(index)
    _drop(batch, gone)


def _drop(batch: _Batch, gone: set[int]) -> None:
    """Take rows out; a repeat of a row that is gone is the first of its key now."""
    kept = [each for each in (*batch.rows.values(), *batch.repeats) if each[0] not in gone]
    batch.rows, batch.repeats = {}, []
    for index, row in kept:
        if batch.rows.setdefault((row.s, row.i), (index, row))[0] != index:
            batch.repeats.append((index, row))


def _months(times: Sequence[datetime]) -> set[Month]:
    first, last = month_of(min(times)), month_of(max(times))
    return {first} if first == last else {month_of(time) for time in times}


def _lacks_partition(error: IntegrityError) -> bool:
    """Tell whether a partition that this process had seen is gone."""
    return getattr(error.__cause__, "sqlstate", "") == "23514"


def _insert(payload: bytes, *, now: datetime) -> int:
    """Store the events whose keys are new, and return how many they are.

    The parameter goes to the server as it is, past Django's cursor, which would first quote all
    of it into the statement: half a megabyte that is copied and scanned three times over.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(sql.INSERT_EVENTS, [payload.decode(), now])
        row: tuple[int] | None = cursor.fetchone()
    assert row is not None
    return row[0]


def _compare(batch: _Batch, owners: dict[str, tuple[int, int | None]]) -> dict[int, bool]:
    """Return for each row that is stored, by place, whether it is stored as it came."""
    asked = []
    for index, row in [*batch.rows.values(), *batch.repeats]:
        customer, workspace = owners[row.k]
        asked.append(
            {"n": index, "u": index in batch.untimed, "c": customer, "w": workspace}
            | msgspec.structs.asdict(row)
        )
    with connection.cursor() as cursor:
        cursor.execute(sql.COMPARE_EVENTS, [_encoder.encode(asked).decode()])
        return dict(cursor.fetchall())
