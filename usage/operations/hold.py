"""Hold events that cannot be taken yet, whole, until their cause is mended."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from django.db import connection

from usage import sql
from usage.ingest import CONFLICT, NUL_FAULT, CloudEvent, Fault, Rejection, has_nul

Held = tuple[int, CloudEvent, Fault]

_encoder = msgspec.json.Encoder(decimal_format="number")


def hold_events(held: Sequence[Held], *, now: datetime) -> list[Rejection]:
    """Put events into quarantine, once for each key; return their rejections.

    An event without a time happened when it arrived: its payload says so, and a replay keeps it.
    """
    storable = [each for each in held if not has_nul(each[1].data)]
    clashing = _insert(storable, now=now) if storable else set()
    return [_rejection(each, clashing=each[0] in clashing) for each in held]


def _insert(held: Sequence[Held], *, now: datetime) -> set[int]:
    """Return the places of those that are held already with other content."""
    rows = [
        {
            "n": index,
            "u": event.time is None,
            "s": event.source,
            "i": event.id,
            "code": fault.code,
            "reason": fault.detail,
            "payload": msgspec.structs.asdict(event) | {"time": event.time or now},
        }
        for index, event, fault in held
    ]
    with connection.cursor() as cursor:
        cursor.execute(sql.QUARANTINE_EVENTS, [_encoder.encode(rows).decode(), now])
        return {index for (index,) in cursor.fetchall()}


def _rejection(held: Held, *, clashing: bool) -> Rejection:
    index, event, fault = held
    if has_nul(event.data):
        return Rejection(index, event.id, *NUL_FAULT)
    if clashing:
        said = "An event with this source and id, but with other content, is in quarantine."
        return Rejection(index, event.id, CONFLICT, said, "id")
    return Rejection(index, event.id, *fault, quarantined=True)
