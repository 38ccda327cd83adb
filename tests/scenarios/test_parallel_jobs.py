"""200 clients at once against one customer: limits and budget hold, and nothing deadlocks."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal as D
from itertools import count

import pytest
from django.db import connection
from django.utils import timezone

from billing.jobs.admitting import admit
from billing.jobs.asking import JobRequest
from billing.jobs.checks import verify_spend
from billing.jobs.errors import NotAdmitted
from billing.jobs.settling import complete
from billing.models import Spend
from billing.spend.rating import rate_spend
from plans.models import Budget
from tests.fixtures.jobs import job_class, job_grants
from tests.fixtures.usage import wait_for_horizon
from tests.fixtures.world import EVER, World
from usage.models import Job

CLIENTS, AT_ONCE, ASKED, BUDGET = 200, 100, 1_400, 1_000
LANES = 8  # Connections to the database that the clients share.


@pytest.fixture
def acme(world: World):
    meter = world.meter("jobs", event_type="tollgate.job")
    plan = world.plan(
        prices=({"key": "jobs", "model": "per_unit", "amount": D(1), "meter": meter},),
        grants=job_grants(
            limits=(("concurrent_jobs", str(AT_ONCE), ""), ("jobs_per_hour", "10000", ""))
        ),
    )
    customer = world.customer("acme")
    world.subscribe(customer, plan, starts_at=EVER)
    job_class()
    Budget.objects.create(customer=customer, amount=D(BUDGET))
    return customer


class _Clients:
    """Clients that ask, hold a job for a while, and complete it."""

    def __init__(self) -> None:
        self.codes: Counter[str] = Counter()
        self.most = 0
        self._tickets = count()
        self._lanes = threading.Semaphore(LANES)
        self._running: set[str] = set()
        self._lock = threading.Lock()

    def work(self) -> None:
        waiting: list[str] = []
        while (ticket := next(self._tickets)) < ASKED:
            with self._lanes:
                job = self.ask(ticket)
                if job is not None:
                    waiting.append(job)
                if waiting and ticket % 3 != 0:
                    self.complete(waiting.pop())
                connection.close()
        with self._lanes:
            for job in waiting:
                self.complete(job)
            connection.close()

    def ask(self, ticket: int) -> str | None:
        asked = JobRequest(subject="acme", job_class="render")
        try:
            answer = admit(request=asked, key=f"k{ticket}", now=timezone.now())
        except NotAdmitted as refusal:
            with self._lock:
                self.codes[refusal.code] += 1
            return None
        job: str = answer.body["id"]
        with self._lock:
            self.codes["admitted"] += 1
            self._running.add(job)
        return job

    def complete(self, job: str) -> None:
        with self._lock:
            self.most = max(self.most, len(self._running))
            self._running.discard(job)
        complete(job_id=job, now=timezone.now())  # type: ignore[arg-type]


def test_parallel_clients_stay_within_limits_and_budget(acme) -> None:
    clients = _Clients()
    with ThreadPoolExecutor(CLIENTS) as pool:
        for future in [pool.submit(clients.work) for _ in range(CLIENTS)]:
            future.result(timeout=500)

    assert clients.most <= AT_ONCE
    assert clients.codes["admitted"] <= BUDGET
    assert set(clients.codes) <= {"admitted", "too_many_concurrent_jobs", "budget_exceeded"}
    # Those that were turned away by the limit had asked while others ran: now the budget is left.
    left = BUDGET - clients.codes["admitted"]
    for ticket in range(left):
        job = clients.ask(ASKED + ticket)
        assert job is not None
        clients.complete(job)
    assert clients.ask(ASKED + left) is None
    assert clients.codes["budget_exceeded"] >= 1

    assert Job.objects.count() == Job.objects.filter(state="succeeded").count() == BUDGET
    assert sum(Job.objects.values_list("amount", flat=True)) == BUDGET
    assert list(verify_spend(now=timezone.now())) == []
    wait_for_horizon()
    rate_spend(customer_ids=[acme.pk], now=timezone.now())
    row = Spend.objects.get(pk=acme.pk)
    assert (row.spent, row.held, row.running) == (D(BUDGET), D(0), 0)
