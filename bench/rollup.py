"""`rollup_vs_ingest`."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from django.db import connection

from bench.events import CLOCK_START, PER_REQUEST, SOURCE, samples
from bench.figures import print_figure
from bench.processes import NotHere, ServerCpu
from bench.sizes import Size
from bench.world import customer_key
from usage.ingest import CloudEvent
from usage.operations.ingest import ingest
from usage.operations.rollup import roll_up


def measure(size: Size) -> None:
    """Print the figure of the rollups; the working database is fresh."""
    try:
        cpu = ServerCpu.of_django()
    except NotHere as reason:
        print(f"rollup_vs_ingest skipped: {reason}")
        return
    used: list[_Step] = []
    for first in range(0, size.rollup_events, size.rollup_step):
        events = _events(size, first)
        before, all_before = cpu.backend_s(), cpu.server_s()
        _store(events)
        between, all_between = cpu.backend_s(), cpu.server_s()
        roll_up(now=events[-1].time or CLOCK_START)
        used.append(
            _Step(
                ingest=between - before,
                rollup=cpu.backend_s() - between,
                server_ingest=all_between - all_before,
                server_rollup=cpu.server_s() - all_between,
            )
        )
    _print(size, used, rows=_check(size))


class _Step(NamedTuple):
    """CPU seconds of one step: of the connection's backend, and of all of the server."""

    ingest: float
    rollup: float
    server_ingest: float
    server_rollup: float


def _events(size: Size, first: int) -> list[CloudEvent]:
    count = min(size.rollup_step, size.rollup_events - first)
    return [
        CloudEvent(
            id=one.id,
            source=SOURCE,
            type=one.type,
            subject=customer_key(one.customer),
            time=one.time,
            data=one.data,
        )
        for one in samples(first, count, customers=size.customers)
    ]


def _store(events: list[CloudEvent]) -> None:
    now = CLOCK_START + timedelta(days=1)
    for first in range(0, len(events), PER_REQUEST):
        batch = events[first : first + PER_REQUEST]
        report = ingest(batch, now=now)
        assert report.accepted == len(batch), report


def _check(size: Size) -> int:
    """Return the number of rollup rows, which must hold every event once."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), sum(events) FROM usage_rollup")
        rows, events = cursor.fetchone()
    assert events == size.rollup_events, f"{events} events are rolled up"
    return int(rows)


def _print(size: Size, used: Sequence[_Step], *, rows: int) -> None:
    sums = _Step(*(1e6 * sum(column) / size.rollup_events for column in zip(*used, strict=True)))
    print_figure(
        "rollup_vs_ingest",
        sums.rollup / sums.ingest,
        f"{sums.rollup:.2f} µs of database CPU an event to roll up, {sums.ingest:.2f} to ingest",
        f"{size.rollup_events:,} events of {size.customers:,} customers into {rows:,} rollup rows, "
        f"rolled up every {size.rollup_step:,} events",
        f"all of the server's processes meanwhile: {sums.server_rollup:.2f} and "
        f"{sums.server_ingest:.2f} µs an event",
    )
