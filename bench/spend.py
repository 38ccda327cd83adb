"""`spend_lag_s`: from the answer to an event until the customer's spend knows it."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from random import Random

import msgspec
from django.core.management import call_command
from django.db import connection

from bench.figures import print_figure, spread
from bench.server import HOST, RequestRefused, running_server
from bench.sizes import Size
from bench.world import KINDS, customer_key
from billing.models import Spend
from usage.operations.api_keys import issue_key
from usage.operations.partitions import keep_partitions

EVENTS_PER_S = 1_000
PER_REQUEST = 50
WARM_UP_S = 10.0
SECONDS = 60.0
POLL_S = 0.1
# An event is looked for at most so long after the last was sent.
PATIENCE_S = 60.0
STARTED_WITHIN_S = 1_800.0

_WORKER = ("worker", "--loglevel=WARNING", "--concurrency=2")
_BEAT = ("beat", "--loglevel=WARNING", "--pidfile=")


class Probes:
    """Customers that get one event each: when it was answered, and when their spend knew it."""

    def __init__(self) -> None:
        self.answered: dict[str, float] = {}
        self.known: dict[str, float] = {}

    def look(self) -> None:
        """Note whose spend knows the event now, as `GET /spend` reads it."""
        waiting = [key for key in list(self.answered) if key not in self.known]
        if not waiting:
            return
        with connection.cursor() as cursor:
            cursor.execute(_KNOWN, [waiting])
            at = time.perf_counter()
            self.known |= {key: at for (key,) in cursor.fetchall()}

    @property
    def lags(self) -> list[float]:
        """Return the seconds that each took."""
        return [self.known[key] - at for key, at in self.answered.items() if key in self.known]


_KNOWN = """
SELECT c.key FROM plans_customer c JOIN billing_spend s ON s.customer_id = c.id
WHERE c.key = ANY(%s) AND s.usage_spent > 0
"""


def measure(size: Size) -> None:
    """Print the figure; the working database is fresh. Worker, Beat and web server are real."""
    is_tiny = size.name == "tiny"
    seconds, warm_up = (3.0, 2.0) if is_tiny else (SECONDS, WARM_UP_S)
    keep_partitions(now=datetime.now(tz=UTC))
    call_command("migrate", verbosity=0)
    _, secret = issue_key(name="bench", scopes=["ingest"], now=datetime.now(tz=UTC))
    probes = Probes()
    with running_server() as port, _running(*_WORKER), _running(*_BEAT):
        _wait_for_sweep()
        sender = threading.Thread(
            target=_send, args=(port, secret, size, probes), kwargs={"seconds": warm_up + seconds}
        )
        sender.start()
        begun = time.perf_counter()
        while sender.is_alive() or (
            len(probes.known) < len(probes.answered)
            and time.perf_counter() - begun < warm_up + seconds + PATIENCE_S
        ):
            probes.look()
            time.sleep(POLL_S)
        sender.join()
    _print(size, probes, seconds=warm_up + seconds)


def _wait_for_sweep() -> None:
    """Wait until worker and Beat have started, and every customer's spend was rated once."""
    deadline = time.perf_counter() + STARTED_WITHIN_S
    while Spend.objects.filter(rated_at=None).exists() or not Spend.objects.exists():
        if time.perf_counter() > deadline:
            raise RequestRefused(f"no sweep within {STARTED_WITHIN_S:.0f} s")
        time.sleep(0.5)


def _print(size: Size, probes: Probes, *, seconds: float) -> None:
    unknown = len(probes.answered) - len(probes.known)
    if unknown or not probes.lags:
        raise RequestRefused(f"{unknown} of {len(probes.answered)} events never came into spend")
    lags = sorted(probes.lags)
    print_figure(
        "spend_lag_s",
        lags[int(0.99 * (len(lags) - 1))],
        f"{spread(lags, digits=2)} s for {len(lags):,} events of as many customers, looked for "
        f"each {POLL_S} s",
        f"{EVENTS_PER_S:,} events a second for {seconds:.0f} s over {size.customers:,} customers, "
        f"{PER_REQUEST} a request; one worker of two processes, Beat and web server beside it",
    )


def _send(port: int, secret: str, size: Size, probes: Probes, *, seconds: float) -> None:
    """Send at an even pace; the last event of each request is a probe's, while there are any."""
    noise = Random(1)
    probed = size.customers // 2
    http, started = HTTPConnection(HOST, port, timeout=60), time.perf_counter()
    for turn in range(int(seconds * EVENTS_PER_S / PER_REQUEST)):
        time.sleep(max(0.0, started + turn * PER_REQUEST / EVENTS_PER_S - time.perf_counter()))
        others = [customer_key(noise.randrange(probed, size.customers)) for _ in range(PER_REQUEST)]
        probe = customer_key(turn) if turn < probed else None
        subjects = [*others[1:], probe or others[0]]
        _post(http, secret, subjects, turn=turn)
        if probe:
            probes.answered[probe] = time.perf_counter()
    http.close()


def _post(http: HTTPConnection, secret: str, subjects: list[str], *, turn: int) -> None:
    now = datetime.now(tz=UTC)
    events = [
        {
            "specversion": "1.0",
            "id": f"{turn}-{place}",
            "source": "bench",
            "type": KINDS[1].type,
            "subject": subject,
            "time": now,
            "data": {"amount": 60},
        }
        for place, subject in enumerate(subjects)
    ]
    headers = {
        "Authorization": f"Bearer {secret}",
        "Content-Type": "application/cloudevents-batch+json",
        "X-Forwarded-Proto": "https",
    }
    http.request("POST", "/api/v1/events", body=msgspec.json.encode(events), headers=headers)
    answer = http.getresponse()
    said = answer.read()
    if answer.status != 204:
        raise RequestRefused(f"POST /api/v1/events: {answer.status} {said[:500]!r}")


@contextmanager
def _running(*command: str) -> Iterator[None]:
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "config", *command],
            env=dict(os.environ), stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)
