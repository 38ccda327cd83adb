"""`rollup_vs_ingest`."""

from datetime import timedelta

from django.db import connection

from bench.events import CLOCK_START, PER_REQUEST, SOURCE, samples
from bench.figures import print_figure
from bench.processes import NotHere, ServerCpu
from bench.sizes import Size
from bench.world import customer_key
from usage.ingest import CloudEvent
from usage.operations.ingest import ingest
from usage.operations.rollup import roll_up


def measure_rollup(size: Size) -> None:
    """Print the figure of the rollups; the working database is fresh."""
    try:
        cpu = ServerCpu()
    except NotHere as reason:
        print(f"rollup_vs_ingest skipped: {reason}")
        return
    ingest_s = rollup_s = 0.0
    ingest_all_s = rollup_all_s = 0.0
    for first in range(0, size.rollup_events, size.rollup_step):
        events = _events(size, first)
        before, all_before = cpu.backend_s(), cpu.server_s()
        _store(events)
        between, all_between = cpu.backend_s(), cpu.server_s()
        roll_up(now=events[-1].time or CLOCK_START)
        after, all_after = cpu.backend_s(), cpu.server_s()
        ingest_s, rollup_s = ingest_s + between - before, rollup_s + after - between
        ingest_all_s += all_between - all_before
        rollup_all_s += all_after - all_between
    rows = _check(size)
    _print(size, ingest_s, rollup_s, ingest_all_s, rollup_all_s, rows)


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


def _print(
    size: Size,
    ingest_s: float,
    rollup_s: float,
    ingest_all_s: float,
    rollup_all_s: float,
    rows: int,
) -> None:
    per_event = 1e6 / size.rollup_events
    print_figure(
        "rollup_vs_ingest",
        rollup_s / ingest_s,
        f"{rollup_s * per_event:.2f} µs of database CPU an event to roll up, "
        f"{ingest_s * per_event:.2f} to ingest",
        f"{size.rollup_events:,} events of {size.customers:,} customers into {rows:,} rollup rows, "
        f"rolled up every {size.rollup_step:,} events",
        f"all of the server's processes meanwhile: {rollup_all_s * per_event:.2f} and "
        f"{ingest_all_s * per_event:.2f} µs an event",
    )
