"""`admission_vs_insert`, `admission_hot_vs_insert` and `admission_p99_ms`: jobs that ask to start.

Over HTTP, on the server of a deployment, beside the inserts that holds of credit are set beside.
"""

import selectors
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import count
from statistics import median
from typing import Any, NamedTuple

import msgspec
import psutil

from bench.clients import insert, make_table, rate
from bench.database import settle
from bench.estimates import finish_jobs
from bench.figures import print_figure, spread
from bench.server import CLIENTS, Line, RequestRefused, running_server
from bench.sizes import Size
from bench.world import CLASSES, customer_key
from billing.spend.rating import rate_spend
from plans.models import Customer, JobClass
from usage.operations.api_keys import issue_key
from usage.operations.partitions import keep_partitions

CUSTOMERS = 1_000
ROUNDS = 5
SECONDS = 4.0
JOB_CLASS = "class-0"
PATH = "/api/v1/jobs"
# Short requests that compute more than they wait: threads of one process would only take turns. A
# client has a kept connection to each process and asks the one with the fewest unanswered requests,
# as a proxy does: where one address leads to both, chance gives one of them most of the
# connections, and so most of the work.
PROCESSES, THREADS = 2, 1


class Turn(NamedTuple):
    """What the clients did in one round: requests a second, each one's ms, server CPU ms of one."""

    rate: float
    times_ms: list[float]
    cpu_ms: float


def measure(size: Size) -> None:
    """Print the figures; the working database is fresh."""
    customers = min(CUSTOMERS, size.customers)
    seconds, rounds = (0.5, 1) if size.name == "tiny" else (SECONDS, ROUNDS)
    now = datetime.now(tz=UTC)
    keep_partitions(now=now)
    finish_jobs(20 * customers, [JobClass.objects.create(key=JOB_CLASS, name="Class")], now=now)
    ids = Customer.objects.order_by("key").values_list("pk", flat=True)
    rate_spend(customer_ids=list(ids[:customers]), now=datetime.now(tz=UTC))
    _, secret = issue_key(name="bench", scopes=["jobs"], now=now)
    make_table()
    inserts: list[float] = []
    many: list[Turn] = []
    hot: list[Turn] = []
    with ExitStack() as servers:
        ports = [
            servers.enter_context(running_server(workers=1, threads=THREADS, pool=0))
            for _ in range(PROCESSES)
        ]
        admit = _Admissions(ports, secret)
        # So long that each process has met each customer.
        admit.run(customers, seconds=2 * seconds)
        for _ in range(rounds):
            settle()
            inserts.append(rate(insert, range(customers), seconds=seconds))
            many.append(admit.run(customers, seconds=seconds))
            hot.append(admit.run(1, seconds=seconds))
    _print(inserts, many, hot, customers=customers)


def _print(
    inserts: Sequence[float], many: Sequence[Turn], hot: Sequence[Turn], *, customers: int
) -> None:
    inserted = f"{spread(inserts)} committed inserts of a row a second by {CLIENTS} clients"
    for name, turns, whose in (
        ("admission_vs_insert", many, f"{customers:,} customers"),
        ("admission_hot_vs_insert", hot, "one customer"),
    ):
        print_figure(
            name,
            median(
                turn.rate / insert for turn, insert in zip(turns, inserts, strict=True)
            ),
            f"{spread([turn.rate for turn in turns])} jobs admitted a second of {whose} by "
            f"{CLIENTS} clients, {PROCESSES} web processes of {THREADS} thread",
            f"{spread([turn.cpu_ms for turn in turns], digits=2)} ms of the web server's CPU for "
            "each",
            inserted,
        )  # fmt: skip
    times = sorted(each for turn in many for each in turn.times_ms)
    print_figure(
        "admission_p99_ms",
        times[int(0.99 * (len(times) - 1))],
        f"{spread(times, digits=1)} ms of {len(times):,} admissions of {customers:,} customers",
    )


class _Admissions:
    """Clients that ask for jobs, each for the next one when it has its answer.

    They are one loop: a thread for each would take its share of what is measured. No two keys are
    the same.
    """

    def __init__(self, ports: Sequence[int], secret: str) -> None:
        self._ports = ports
        self._headers = {"Authorization": f"Bearer {secret}"}

    def run(self, customers: int, *, seconds: float) -> Turn:
        """Admit jobs of so many customers for so long. Raises RequestRefused, OSError."""
        asked, mark = count(), time.time_ns()
        started: dict[Line, float] = {}
        times: list[float] = []
        with ExitStack() as ending, selectors.DefaultSelector() as selector:
            # Each process's lines that wait for no answer: most where the fewest are unanswered.
            free = [[self._line(port, ending) for _ in range(CLIENTS)] for port in self._ports]
            for lines in free:
                for line in lines:
                    selector.register(line, selectors.EVENT_READ, lines)

            def ask() -> None:
                number = next(asked)
                line = max(free, key=len).pop()
                started[line] = time.perf_counter()
                line.send(
                    _body(number * 7919 % customers), **{"Idempotency-Key": f"{mark}.{number}"}
                )

            cpu, began = _server_cpu_s(), time.perf_counter()
            for _ in range(CLIENTS):
                ask()
            while started:
                for key, _ in selector.select():
                    answered: Any = key.fileobj
                    answer = answered.receive()
                    if answer is None:
                        continue
                    _check(*answer)
                    now = time.perf_counter()
                    times.append(1000 * (now - started.pop(answered)))
                    key.data.append(answered)
                    if now < began + seconds:
                        ask()
            took = time.perf_counter() - began
        return Turn(len(times) / took, times, 1000 * (_server_cpu_s() - cpu) / len(times))

    def _line(self, port: int, ending: ExitStack) -> Line:
        line = Line(port, path=PATH, headers=self._headers)
        ending.callback(line.close)
        return line


def _body(whose: int) -> bytes:
    return msgspec.json.encode(
        {
            "subject": customer_key(whose),
            "job_class": JOB_CLASS,
            "input_size": "1000",
            "dimensions": {"class": CLASSES[whose % len(CLASSES)]},
        }
    )


def _check(status: int, said: bytes) -> None:
    if status != 201:
        raise RequestRefused(f"POST {PATH}: {status} {said[:500]!r}")


def _server_cpu_s() -> float:
    """Return the CPU seconds that the web server's processes, our children, have used."""
    used = [each.cpu_times() for each in psutil.Process().children(recursive=True)]
    return float(sum(each.user + each.system for each in used))
