"""200 clients at once against one customer: limits and budget hold, and nothing deadlocks.

Real clients, each on a connection of its own that stays open, against the two processes of a
deployment's web server.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal as D
from itertools import count

import pytest

from tests.fixtures.job_clients import Answer, JobClient, JobServer, sweep
from tests.fixtures.own_services import OwnServices

pytestmark = pytest.mark.xdist_group("kill")

CLIENTS, AT_ONCE, BUDGET = 200, 100, 1_000
PAUSE_S = 3.0  # Before a client that the limit turned away asks again.
LOOK_EVERY_S = 0.05
MAKE_WORLD = f"""
from decimal import Decimal
from django.utils import timezone
from plans.models import Budget
from tests.fixtures.jobs import job_class, job_grants
from tests.fixtures.world import EVER, World
from usage.operations.api_keys import issue_key
world = World()
jobs = world.meter("jobs", event_type="tollgate.job")
job_class()
plan = world.plan(
    prices=({{"key": "jobs", "model": "per_unit", "amount": Decimal(1), "meter": jobs}},),
    grants=job_grants(
        limits=(("concurrent_jobs", "{AT_ONCE}", ""), ("jobs_per_hour", "10000", ""))
    ),
)
customer = world.customer("acme")
world.subscribe(customer, plan, starts_at=EVER)
Budget.objects.create(customer=customer, amount=Decimal({BUDGET}))
print(issue_key(name="service", scopes=["jobs"], now=timezone.now())[1])
"""
# One snapshot: what the customer's row says and what the jobs are.
STANDING = """SELECT s.running, s.spent + s.held,
                     (SELECT count(*) FROM usage_job WHERE ended_at IS NULL)
              FROM billing_spend s"""


class Clients:
    """Clients that ask, hold a job for a while and complete it, until the budget is used up."""

    def __init__(self, server: JobServer) -> None:
        self.refusals: list[Answer] = []
        self.admitted = 0
        self.most = 0
        self._server = server
        self._numbers = count()
        self._running: set[str] = set()
        self._lock = threading.Lock()
        self._all_asked = threading.Barrier(CLIENTS)

    def work(self) -> None:
        """Be one of the clients: ask at the same time as all others do, then go on alone."""
        with self._server.client() as client:
            self._all_asked.wait(timeout=60)
            answer = self.ask(client)
            self._all_asked.wait(timeout=60)
            while answer.status != 402:
                if answer.status == 201:
                    self.complete(client, answer.body["id"])
                else:
                    time.sleep(PAUSE_S)
                answer = self.ask(client)

    def ask(self, client: JobClient) -> Answer:
        answer = client.admit("acme", key=f"k{next(self._numbers)}")
        with self._lock:
            if answer.status == 201:
                self.admitted += 1
                self._running.add(answer.body["id"])
                self.most = max(self.most, len(self._running))
            else:
                assert answer.status in (402, 429), answer
                self.refusals.append(answer)
        return answer

    def complete(self, client: JobClient, job: str) -> None:
        # It ends from now on: those that are counted are running for certain.
        with self._lock:
            self._running.discard(job)
        answer = client.complete(job)
        assert (answer.status, answer.body["state"]) == (200, "succeeded")


@contextmanager
def looked_at(services: OwnServices) -> Iterator[list[tuple[int, D, int]]]:
    """Look at the customer's standing again and again during a block; return all that was seen."""
    seen: list[tuple[int, D, int]] = []
    over = threading.Event()

    def look() -> None:
        with services.connect() as connection:
            while not over.wait(LOOK_EVERY_S):
                seen.extend(connection.execute(STANDING).fetchall())

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        try:
            yield seen
        finally:
            over.set()
        looking.result()


def test_parallel_clients_stay_within_limits_and_budget(own_services: OwnServices) -> None:
    secret = own_services.manage("shell", "-c", MAKE_WORLD).split()[-1]
    server = JobServer(own_services, secret)
    server.start(workers=2)
    clients = Clients(server)
    with looked_at(own_services) as seen, ThreadPoolExecutor(CLIENTS) as pool:
        for future in [pool.submit(clients.work) for _ in range(CLIENTS)]:
            future.result(timeout=300)

    # All asked before anyone had finished: just as many were admitted as may run.
    assert clients.most == AT_ONCE
    assert clients.admitted == BUDGET
    assert_refusals_name_their_rule(clients.refusals)
    assert max(running for running, _, _ in seen) == AT_ONCE
    assert max(spent_and_held for _, spent_and_held, _ in seen) == BUDGET
    assert all(running == jobs for running, _, jobs in seen)
    assert_jobs_events_and_spend_agree(own_services)


def assert_refusals_name_their_rule(refusals: list[Answer]) -> None:
    said = Counter((each.status, each.body["code"], each.body["rule"]) for each in refusals)
    limit, budget = (
        (429, "too_many_concurrent_jobs", "concurrent_jobs"),
        (402, "budget_exceeded", "budget"),
    )
    assert set(said) == {limit, budget}
    assert said[limit] >= CLIENTS - AT_ONCE
    assert said[budget] == CLIENTS
    for each in refusals:
        numbers = each.body["numbers"]
        if each.status == 429:
            assert each.retry_after == "5"
            assert numbers == {"limit": str(AT_ONCE), "running": str(AT_ONCE), "job_class": ""}
        else:
            assert D(numbers.pop("spent")) + D(numbers.pop("held")) == BUDGET
            assert numbers == {"budget": str(BUDGET), "amount": "1", "workspace": ""}


def assert_jobs_events_and_spend_agree(services: OwnServices) -> None:
    assert services.ask("SELECT state, count(*), sum(amount) FROM usage_job GROUP BY state") == [
        ("succeeded", BUDGET, D(BUDGET))
    ]
    assert services.ask("SELECT count(*), count(DISTINCT (source, event_id)) FROM usage_event") == [
        (BUDGET, BUDGET)
    ]
    assert "adds up" in services.manage("verify_spend")
    sweep(services)
    assert services.ask("SELECT spent, held, running FROM billing_spend") == [(D(BUDGET), D(0), 0)]
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert services.ask(deadlocks) == [(0,)]
