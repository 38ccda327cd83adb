"""Events of the world's customers in the order of time, as CloudEvents and as rows for COPY.

Ids are laid out as UUIDv7: a millisecond clock, then noise. Customers come at random, so what
arrives together is scattered over them. The same numbers always give the same events.
"""

import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from bench.world import CLASSES, KINDS, customer_key

SOURCE = "bench"
# In the month that is closed; one event a millisecond, so 1,000 a second.
CLOCK_START = datetime(2025, 1, 20, tzinfo=UTC)
PER_REQUEST = 1_000

_encoder = msgspec.json.Encoder(decimal_format="number")


class Sample(NamedTuple):
    """One event; ``customer`` is a number from 0."""

    id: str
    type: str
    customer: int
    time: datetime
    data: dict[str, Any]


def samples(first: int, count: int, *, customers: int) -> Iterator[Sample]:
    """Yield ``count`` events, one a millisecond, from ``first`` milliseconds after the start."""
    noise = random.Random(first)
    start_ms = int(CLOCK_START.timestamp()) * 1000
    for number in range(first, first + count):
        customer = noise.randrange(customers)
        kind = KINDS[number % len(KINDS)]
        data = {"class": CLASSES[customer % len(CLASSES)], "job": f"job-{number}"}
        if not kind.is_counted:
            data["amount"] = _amount(kind.meter, noise)
        yield Sample(
            time_ordered_id(start_ms + number, noise),
            kind.type,
            customer,
            CLOCK_START + timedelta(milliseconds=number),
            data,
        )


def time_ordered_id(at_ms: int, noise: random.Random) -> str:
    """Return a UUIDv7 of a time in milliseconds since 1970."""
    clock, rest = f"{at_ms:012x}", f"{noise.getrandbits(74):019x}"
    variant = "89ab"[int(rest[0], 16)]
    return f"{clock[:8]}-{clock[8:]}-7{rest[1:4]}-{variant}{rest[4:7]}-{rest[7:]}"


def _amount(meter: str, noise: random.Random) -> Any:
    if meter == "gpu-seconds":
        return Decimal(noise.randrange(1, 900_000)).scaleb(-3)
    return noise.randrange(1, 20_000 if meter == "tokens" else 9)


def bodies(found: Iterable[Sample]) -> list[bytes]:
    """Return request bodies of 1,000 CloudEvents each."""
    events = [
        {
            "specversion": "1.0",
            "id": one.id,
            "source": SOURCE,
            "type": one.type,
            "subject": customer_key(one.customer),
            "time": one.time,
            "data": one.data,
        }
        for one in found
    ]
    pages = range(0, len(events), PER_REQUEST)
    return [_encoder.encode(events[first : first + PER_REQUEST]) for first in pages]


class CopyRows(NamedTuple):
    """The same events as text for COPY, in blocks of 1,000 rows."""

    events: list[bytes]
    keys: list[bytes]


EVENT_COLUMNS = (
    '"time", customer_id, workspace_id, xid, recorded_at, type, source, event_id, properties'
)
KEY_COLUMNS = 'source, event_id, customer_id, "time"'


def copy_rows(found: Iterable[Sample], *, first_customer_id: int, xid: int) -> CopyRows:
    """Return events as rows of the event table and of the keys, all stored under one ``xid``."""
    events: list[str] = []
    keys: list[str] = []
    for one in found:
        customer, time = first_customer_id + one.customer, one.time.isoformat()
        data = _encoder.encode(one.data).decode()
        events.append(
            f"{time}\t{customer}\t\\N\t{xid}\t{time}\t{one.type}\t{SOURCE}\t{one.id}\t{data}\n"
        )
        keys.append(f"{SOURCE}\t{one.id}\t{customer}\t{time}\n")
    return CopyRows(_blocks(events), _blocks(keys))


def _blocks(lines: list[str]) -> list[bytes]:
    pages = range(0, len(lines), PER_REQUEST)
    return ["".join(lines[first : first + PER_REQUEST]).encode() for first in pages]
