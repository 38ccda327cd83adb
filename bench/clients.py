"""Clients that are processes of their own, and the inserts that holds and jobs are set beside."""

import multiprocessing
import time
from collections.abc import Callable, Sequence
from typing import Any

from django.db import connection

from bench.server import CLIENTS


def rate(work: Callable[[int, str], int], ids: Sequence[int], *, seconds: float) -> float:
    """Return how much all clients do in a second.

    Each of them works on one id after the other, under keys that no other uses, and returns what
    it has done.
    """
    connection.close()
    context = multiprocessing.get_context("fork")
    ready = context.Barrier(CLIENTS + 1)
    done: Any = context.Queue()
    clients = [
        context.Process(
            target=_client,
            args=(work, number, ids),
            kwargs={"seconds": seconds, "ready": ready, "done": done},
        )
        for number in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    ready.wait()
    rates: list[float] = [done.get() for _ in clients]
    for client in clients:
        client.join()
    return sum(rates)


def _client(
    work: Callable[[int, str], int],
    number: int,
    ids: Sequence[int],
    *,
    seconds: float,
    ready: Any,
    done: Any,
) -> None:
    connection.ensure_connection()
    mark = f"{time.time_ns()}.{number}"
    ready.wait()
    started = time.perf_counter()
    count = 0
    while time.perf_counter() - started < seconds:
        which = ids[(count * CLIENTS + number) * 7919 % len(ids)]
        count += work(which, f"{mark}.{count}")
    done.put(count / (time.perf_counter() - started))
    connection.close()


def make_table() -> None:
    """Make the table that `insert` writes to."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_row (id bigserial PRIMARY KEY, whose bigint, key text)")


def insert(whose: int, key: str) -> int:
    """Insert and commit a row."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO bench_row (whose, key) VALUES (%s, %s)", [whose, key])
    return 1
