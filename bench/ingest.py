"""`ingest_http_vs_copy` and `ingest_10m_vs_empty`."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from statistics import median

from django.db import connection

from bench.database import direct_connection, run_sql, settle
from bench.events import (
    CLOCK_START,
    EVENT_COLUMNS,
    KEY_COLUMNS,
    PER_REQUEST,
    CopyRows,
    bodies,
    copy_rows,
    samples,
)
from bench.figures import print_figure, spread
from bench.load import Span, load_events_and_keys
from bench.server import CLIENTS, THREADS, WORKERS, Sent, post_events, running_server
from bench.sizes import Size
from bench.world import first_customer_id
from usage.operations.api_keys import issue_key
from usage.operations.partitions import ensure_partitions, month_of

_STREAMS = 2
_WARM_UP_REQUESTS = 2 * WORKERS


def measure(size: Size) -> None:
    """Print the figures of the ingest; the working database is fresh."""
    ensure_partitions({month_of(CLOCK_START)})
    _, secret = issue_key(name="bench", scopes=["ingest"], now=datetime.now(tz=UTC))
    first_id = first_customer_id(customers=size.customers)
    with running_server() as port:
        post_events(port, _bodies(size, 0, requests=_WARM_UP_REQUESTS), secret=secret)
        empty, copied = _into_empty(size, port=port, secret=secret, first_id=first_id)
        _print_http_vs_copy(size, empty, copied)
        _empty_tables()
        _preload(size, first_id=first_id)
        full = _into_full(size, port=port, secret=secret)
    _print_full_vs_empty(size, empty, full)


def _into_empty(
    size: Size, *, port: int, secret: str, first_id: int
) -> tuple[list[Sent], list[float]]:
    """Return what HTTP and COPY took for the same events into emptied tables, in turns."""
    sent: list[Sent] = []
    copied: list[float] = []
    posted = _bodies(size, 0, requests=size.requests)
    streams = _streams(size, first_id=first_id)
    for _ in range(size.ingest_rounds):
        _empty_tables()
        sent.append(post_events(port, posted, secret=secret))
        _expect_events(_events(size))
        _empty_tables()
        copied.append(_copy_seconds(streams))
        _expect_events(_events(size))
    return sent, copied


def _into_full(size: Size, *, port: int, secret: str) -> list[Sent]:
    sent: list[Sent] = []
    for turn in range(size.ingest_rounds):
        posted = _bodies(size, turn * _events(size), requests=size.requests)
        settle()
        sent.append(post_events(port, posted, secret=secret))
    _expect_events(size.keys + size.ingest_rounds * _events(size))
    return sent


def _preload(size: Size, *, first_id: int) -> None:
    """Store as many events with their keys as came before, at the same 1,000 a second."""
    span = Span(
        count=size.keys,
        start=CLOCK_START - timedelta(milliseconds=size.keys),
        end=CLOCK_START,
        customers=size.customers,
        first_id=first_id,
    )
    load_events_and_keys(span)
    run_sql("VACUUM (ANALYZE) usage_eventkey, usage_event")


def _events(size: Size) -> int:
    return size.requests * PER_REQUEST


def _bodies(size: Size, first: int, *, requests: int) -> list[bytes]:
    return bodies(samples(first, requests * PER_REQUEST, customers=size.customers))


def _streams(size: Size, *, first_id: int) -> list[CopyRows]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT usage_xid()")
        (xid,) = cursor.fetchone()
    share = _events(size) // _STREAMS
    return [
        copy_rows(
            samples(turn * share, share, customers=size.customers),
            first_customer_id=first_id,
            xid=xid,
        )
        for turn in range(_STREAMS)
    ]


def _copy_seconds(streams: Sequence[CopyRows]) -> float:
    started = time.perf_counter()
    with ThreadPoolExecutor(len(streams)) as pool:
        list(pool.map(_copy, streams))
    return time.perf_counter() - started


def _copy(rows: CopyRows) -> None:
    """Copy one stream's events and keys in one transaction, as COPY does best."""
    with direct_connection() as direct, direct.cursor() as cursor:
        for table, columns, blocks in (
            ("usage_event", EVENT_COLUMNS, rows.events),
            ("usage_eventkey", KEY_COLUMNS, rows.keys),
        ):
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for block in blocks:
                    copy.write(block)


def _empty_tables() -> None:
    run_sql("TRUNCATE usage_event, usage_eventkey")
    settle()


def _expect_events(expected: int) -> None:
    with connection.cursor() as cursor:
        for table in ("usage_event", "usage_eventkey"):
            cursor.execute(f"SELECT count(*) FROM {table}")
            (found,) = cursor.fetchone()
            assert found == expected, f"{found} rows in {table}, not {expected}"


def _rates(size: Size, seconds: Sequence[float]) -> list[float]:
    return [_events(size) / each for each in seconds]


def _print_http_vs_copy(size: Size, sent: Sequence[Sent], copied: Sequence[float]) -> None:
    http = _rates(size, [each.seconds for each in sent])
    copy = _rates(size, copied)
    busy = median(each.client_cpu_s / each.seconds for each in sent)
    print_figure(
        "ingest_http_vs_copy",
        median(http) / median(copy),
        f"HTTP {spread(http)} events/s: {size.requests} requests of {PER_REQUEST:,} events, "
        f"{WORKERS} workers of {THREADS} threads, {CLIENTS} clients using {busy:.0%} of a core",
        f"COPY {spread(copy)} events/s: {_STREAMS} streams, each its events and then their keys "
        "in one transaction",
        f"{size.ingest_rounds} rounds in turns, each of {_events(size):,} events into emptied "
        f"tables, {size.customers:,} customers",
    )


def _print_full_vs_empty(size: Size, empty: Sequence[Sent], full: Sequence[Sent]) -> None:
    before = _rates(size, [each.seconds for each in empty])
    after = _rates(size, [each.seconds for each in full])
    print_figure(
        "ingest_10m_vs_empty",
        median(after) / median(before),
        f"HTTP {spread(after)} events/s with {size.keys:,} keys and their events present, "
        f"{spread(before)} with none",
    )
