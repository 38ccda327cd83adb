"""`close_vs_sql`, `close_2_vs_1`, `close_worker_peak_mib` and `verify_differences`."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

from django.db import connection

from bench.close_sql import Spent, close_by_sql, differing_lines
from bench.database import run_sql, settle
from bench.figures import print_figure, spread
from bench.load import Span, load_events
from bench.sizes import Size
from bench.world import MONTH_END, MONTH_START, first_customer_id
from billing.statements.verify import Difference, verify_statements
from usage.operations.rollup import roll_up

_DAYS = (MONTH_END - MONTH_START).days
_STEPS = ("open", "draft", "finalise")


class Closed(NamedTuple):
    """One close: the wall clock of each step in seconds, and what each worker's process cost."""

    seconds: dict[str, float]
    costs: list[dict[str, float]]

    @property
    def whole_s(self) -> float:
        """Return the seconds of the whole close."""
        return sum(self.seconds.values())


def measure(size: Size) -> None:
    """Print the figures of the close; the working database is fresh."""
    _load(size)
    by_sql = [close_by_sql()]
    closed: dict[int, list[Closed]] = {1: [], 2: []}
    for _ in range(size.close_rounds):
        for workers in (1, 2):
            closed[workers].append(_close(size, workers=workers))
        by_sql.append(close_by_sql())
    different = differing_lines()
    assert not different, f"{different} lines differ from those of the SQL statement"
    _print_vs_sql(size, closed[1], by_sql)
    _print_two_vs_one(size, closed[2], closed[1])
    _print_peak(closed[1] + closed[2])
    _verify()


def _load(size: Size) -> None:
    """Store the month's events day by day, and roll up each day as it ends."""
    span = Span(
        count=size.close_events,
        start=MONTH_START,
        end=MONTH_END,
        customers=size.customers,
        first_id=first_customer_id(customers=size.customers),
    )
    edges = [size.close_events * day // _DAYS for day in range(_DAYS + 1)]
    for first, last in pairwise(edges):
        load_events(span, first=first, last=last)
        roll_up(now=MONTH_END)
    run_sql("VACUUM (ANALYZE) usage_event, usage_rollup")


def _close(size: Size, *, workers: int) -> Closed:
    """Close the month once, from nothing."""
    run_sql("TRUNCATE billing_statement CASCADE", "VACUUM billing_statement")
    settle()
    with _started(workers) as processes:
        seconds: dict[str, float] = {}
        for step in _STEPS:
            at_it = processes[:1] if step == "open" else processes
            started = time.perf_counter()
            done = sum(answer["done"] for answer in _ask(at_it, step))
            seconds[step] = time.perf_counter() - started
            assert done == size.customers, f"{step}: {done} statements"
        return Closed(seconds, _ask(processes, "cost"))


_Process = subprocess.Popen[str]


@contextmanager
def _started(workers: int) -> Iterator[list[_Process]]:
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.close_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(workers)
    ]
    try:
        _ask(processes, "cost")  # They are up, and connected.
        yield processes
    finally:
        for process in processes:
            process.communicate(timeout=30)


def _ask(processes: Sequence[_Process], command: str) -> list[dict[str, Any]]:
    """Give all processes a command at once; return their answers when all have answered."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{command}\n")
        process.stdin.flush()
    answers = []
    for process in processes:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"a worker of the close ended at “{command}”"
        answers.append(json.loads(line))
    return answers


def _print_vs_sql(size: Size, one: Sequence[Closed], by_sql: Sequence[Spent]) -> None:
    seconds = [each.whole_s for each in one]
    sql_seconds = [each.seconds for each in by_sql]
    python = median(each.costs[0]["python_cpu_s"] for each in one)
    database = median(each.costs[0]["database_cpu_s"] for each in one)
    sql_cpu = median(each.database_cpu_s for each in by_sql)
    print_figure(
        "close_vs_sql",
        median(seconds) / median(sql_seconds),
        f"close {spread(seconds, digits=2)} s ({_steps(one)}), "
        f"one SQL statement {spread(sql_seconds, digits=2)} s",
        f"{size.customers:,} customers, {size.close_events:,} events, {_lines():,} lines equal to "
        f"those of the statement, {_rollup_rows():,} rollup rows",
        f"CPU: worker {python:.2f} s and its database backend {database:.2f} s, "
        f"the statement {sql_cpu:.2f} s: {(python + database) / (sql_cpu or 1):.2f} times",
    )


def _steps(closed: Sequence[Closed]) -> str:
    return ", ".join(
        f"{step} {median(each.seconds[step] for each in closed):.2f}" for step in _STEPS
    )


def _print_two_vs_one(size: Size, two: Sequence[Closed], one: Sequence[Closed]) -> None:
    fast = [size.customers / each.whole_s for each in two]
    slow = [size.customers / each.whole_s for each in one]
    print_figure(
        "close_2_vs_1",
        median(fast) / median(slow),
        f"{spread(fast)} customers/s with two workers ({_steps(two)} s), {spread(slow)} with one",
    )


def _print_peak(closed: Sequence[Closed]) -> None:
    peak = max(cost["peak_mib"] for each in closed for cost in each.costs)
    print_figure("close_worker_peak_mib", peak, "most resident memory of any worker process")


def _verify() -> None:
    started = time.perf_counter()
    found = list(verify_statements())
    differences = [each for each in found if isinstance(each, Difference)]
    compared = sum(each for each in found if not isinstance(each, Difference))
    print_figure(
        "verify_differences",
        len(differences),
        f"{compared:,} finalised statements built again in {time.perf_counter() - started:.2f} s",
        *(f"{each.number}: {each.what}" for each in differences[:10]),
    )
    assert not differences, "statements differ from their facts"


def _lines() -> int:
    return _count("billing_statementline")


def _rollup_rows() -> int:
    return _count("usage_rollup")


def _count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        (count,) = cursor.fetchone()
    return int(count)
