"""`admission_vs_insert`, `admission_hot_vs_insert` and `admission_p99_ms`: jobs that ask to start.

Over HTTP, on the server of a deployment, beside the inserts that holds of credit are set beside.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
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
        _run(admit.client(customers), seconds=2 * seconds)
        for _ in range(rounds):
            settle()
            inserts.append(rate(insert, range(customers), seconds=seconds))
            many.append(_run(admit.client(customers), seconds=seconds))
            hot.append(_run(admit.client(1), seconds=seconds))
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
    """Clients that ask for jobs; no two keys are the same."""

    def __init__(self, ports: Sequence[int], secret: str) -> None:
        self._ports = ports
        self._headers = {"Authorization": f"Bearer {secret}"}

    def client(self, customers: int) -> Callable[[int, float], list[float]]:
        """Return what one client does: admit jobs of so many customers until an instant."""
        unanswered = [0] * len(self._ports)
        choice = threading.Lock()

        def work(number: int, until: float) -> list[float]:
            lines = [Line(port, path=PATH, headers=self._headers) for port in self._ports]
            times: list[float] = []
            mark = f"{time.time_ns()}.{number}"
            while (started := time.perf_counter()) < until:
                whose = (len(times) * CLIENTS + number) * 7919 % customers
                with choice:
                    least = unanswered.index(min(unanswered))
                    unanswered[least] += 1
                self._admit(lines[least], whose, key=f"{mark}.{len(times)}")
                with choice:
                    unanswered[least] -= 1
                times.append(1000 * (time.perf_counter() - started))
            for line in lines:
                line.close()
            return times

        return work

    def _admit(self, web: Line, whose: int, *, key: str) -> None:
        asked: dict[str, Any] = {
            "subject": customer_key(whose),
            "job_class": JOB_CLASS,
            "input_size": "1000",
            "dimensions": {"class": CLASSES[whose % len(CLASSES)]},
        }
        status, said = web.post(msgspec.json.encode(asked), **{"Idempotency-Key": key})
        if status != 201:
            raise RequestRefused(f"POST {PATH}: {status} {said[:500]!r}")


def _run(work: Callable[[int, float], list[float]], *, seconds: float) -> Turn:
    """Let all clients work for so long, a thread each. Raises RequestRefused."""
    found: list[list[float]] = []
    failures: list[Exception] = []
    until = time.perf_counter() + seconds

    def client(number: int) -> None:
        try:
            found.append(work(number, until))
        except (RequestRefused, OSError) as error:
            failures.append(error)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    cpu, started = _server_cpu_s(), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    if failures:
        raise RequestRefused(str(failures[0]))
    times = [each for one in found for each in one]
    return Turn(len(times) / took, times, 1000 * (_server_cpu_s() - cpu) / len(times))


def _server_cpu_s() -> float:
    """Return the CPU seconds that the web server's processes, our children, have used."""
    used = [each.cpu_times() for each in psutil.Process().children(recursive=True)]
    return float(sum(each.user + each.system for each in used))
