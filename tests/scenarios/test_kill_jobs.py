"""kill -9 the web server and the database between admission and settlement; nothing twice or lost.

Services ask over HTTP, and ask again with the same keys once it is back.
"""

import http.client
import json
import subprocess
import threading
from collections.abc import Callable
from decimal import Decimal as D
from typing import Any

import pytest

from config.embedded.place import free_port
from tests.fixtures.broker import wait_for
from tests.fixtures.own_services import HOST, WAIT_S, OwnServices, kill, reach

pytestmark = pytest.mark.xdist_group("kill")

CLIENTS = 8
JOBS = 64
COMPLETED = 48
CUSTOMERS = 4
MAKE_WORLD = f"""
from decimal import Decimal
from django.utils import timezone
from tests.fixtures.jobs import job_class
from tests.fixtures.world import EVER, World
from usage.operations.api_keys import issue_key
world = World()
jobs = world.meter("jobs", event_type="tollgate.job")
tokens = world.meter("tokens", event_type="llm", aggregation="sum", value_property="tokens")
job_class(uses={{tokens: ("100", "150", "200")}})
plan = world.plan(prices=(
    {{"key": "jobs", "model": "per_unit", "amount": Decimal("0.25"), "meter": jobs}},
    {{"key": "tokens", "model": "per_unit", "amount": Decimal("0.01"), "meter": tokens}},
))
for number in range({CUSTOMERS}):
    world.subscribe(world.customer(f"c{{number}}"), plan, starts_at=EVER)
print(issue_key(name="service", scopes=["jobs"], now=timezone.now())[1])
"""
# 0.25 for a job and 0.01 for each of its 120 tokens.
PER_JOB = D("1.45")


def test_jobs_outlive_the_web_server_and_the_database(own_services: OwnServices) -> None:
    secret = own_services.manage("shell", "-c", MAKE_WORLD).split()[-1]
    own_services.manage("shell", "-c", SWEEP)
    service = Service(own_services, secret)

    ids = kill_the_web_server_between_admissions(own_services, service)
    kill_the_database_between_completions(own_services, service, ids[:COMPLETED])
    expire_the_rest(own_services)

    # The period: what completed jobs used, once, and no hold is left.
    own_services.manage("shell", "-c", SWEEP)
    assert own_services.ask(
        "SELECT sum(usage_spent), sum(held), sum(running), count(*) FROM billing_spend"
    ) == [(PER_JOB * COMPLETED, D(0), 0, CUSTOMERS)]
    assert own_services.ask("SELECT DISTINCT pending::text FROM billing_spend") == [("[]",)]
    assert "adds up" in own_services.manage("verify_spend")


SWEEP = """
from django.utils import timezone
from billing.spend.rating import rate_spend
from plans.models import Customer
report = rate_spend(
    customer_ids=list(Customer.objects.values_list("pk", flat=True)), now=timezone.now()
)
assert not report.problems, report
"""


def kill_the_web_server_between_admissions(services: OwnServices, service: "Service") -> list[str]:
    service.start()
    crowd = Crowd(service.admit, range(JOBS))
    with services.held_up("usage_job"):
        service.kill()
    crowd.join()
    assert 0 < crowd.lost <= CLIENTS
    assert len(service.ids) < JOBS
    # Whose answer was lost may be there, too; whoever was in the middle is not.
    keys = {key for (key,) in services.ask("SELECT key FROM usage_job")}
    assert {f"job-{number}" for number in service.ids} <= keys
    assert len(keys) < JOBS
    assert "adds up" in services.manage("verify_spend")

    # All of it again, what was acknowledged too: each key has one job, and it is the first one.
    acknowledged = dict(service.ids)
    service.start()
    Crowd(service.admit, range(JOBS)).finish()
    assert service.ids | acknowledged == service.ids
    assert services.ask("SELECT count(*), count(DISTINCT key) FROM usage_job") == [(JOBS, JOBS)]
    assert services.ask("SELECT sum(running) FROM billing_spend") == [(JOBS,)]
    assert "adds up" in services.manage("verify_spend")
    return [service.ids[number] for number in range(JOBS)]


def kill_the_database_between_completions(
    services: OwnServices, service: "Service", ids: list[str]
) -> None:
    Crowd(lambda number: service.complete(ids[number]), range(CLIENTS)).finish()
    crowd = Crowd(lambda number: service.complete(ids[number]), range(len(ids)))
    with services.held_up("usage_event"):
        services.kill_database()
    crowd.join()
    assert 0 < len(crowd.done) < len(ids)

    services.start()
    ended = "SELECT public_id::text FROM usage_job WHERE state = 'succeeded'"
    acknowledged = {ids[number] for number in crowd.done}
    succeeded = {key for (key,) in services.ask(ended)}
    assert acknowledged <= succeeded
    assert len(succeeded) < len(ids)
    # A job and its usage stand or fall together: one event of its own, and one of its tokens.
    assert services.ask("SELECT count(*) FROM usage_event") == [(2 * len(succeeded),)]
    assert "adds up" in services.manage("verify_spend")

    # The web server has outlived its database; a connection may be found dead once for each thread.
    wait_for(service.is_healthy, within_s=WAIT_S, every_s=0.1)
    again = Crowd(lambda number: service.complete(ids[number]), range(len(ids)))
    again.join()
    Crowd(lambda number: service.complete(ids[number]), range(len(ids))).finish()
    assert services.ask(f"SELECT count(*) FROM ({ended}) AS j") == [(len(ids),)]
    assert services.ask("SELECT count(*), count(DISTINCT (source, event_id)) FROM usage_event") == [
        (2 * len(ids),) * 2
    ]


def expire_the_rest(services: OwnServices) -> None:
    """Let those who never reported again fall silent: their holds end, and nothing is billed."""
    with services.connect() as connection:
        connection.execute(
            "UPDATE usage_job SET silent_at = now() - interval '1 second' WHERE ended_at IS NULL"
        )
    services.worker()
    services.send("billing.tasks.expire_jobs")
    expired = "SELECT count(*) FROM usage_job WHERE state = 'expired'"
    reach(services, expired, least=JOBS - COMPLETED)
    assert services.ask("SELECT count(*) FROM usage_event") == [(2 * COMPLETED,)]


class Service:
    """A service that asks over HTTP, and the web server that answers it."""

    def __init__(self, services: OwnServices, secret: str) -> None:
        self._services = services
        self._headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        self._port = free_port(host=HOST)
        self._server: subprocess.Popen | None = None
        self.ids: dict[int, str] = {}

    def start(self) -> None:
        self._server = self._services.serve(self._port)
        wait_for(self.is_healthy, within_s=WAIT_S, every_s=0.1)

    def kill(self) -> None:
        assert self._server is not None
        kill(self._server)

    def is_healthy(self) -> bool:
        try:
            return self._ask("GET", "/healthz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def admit(self, number: int) -> bool:
        """Ask for a job under its number's key; say whether it was admitted, now or before."""
        asked = {"subject": f"c{number % CUSTOMERS}", "job_class": "render"}
        status, body = self._ask("POST", "/api/v1/jobs", asked, key=f"job-{number}")
        if status in (200, 201):
            self.ids[number] = body["id"]
        return status in (200, 201)

    def complete(self, job_id: str) -> bool:
        """Complete a job that used 120 tokens."""
        report = {"key": "u1", "type": "llm", "data": {"tokens": 120}}
        status, _ = self._ask(
            "POST", f"/api/v1/jobs/{job_id}/complete", {"usage": [report]}, key="complete"
        )
        return status == 200

    def _ask(self, method: str, path: str, body: Any = None, *, key: str = "") -> tuple[int, Any]:
        web = http.client.HTTPConnection(HOST, self._port, timeout=60)
        try:
            headers = self._headers | ({"Idempotency-Key": key} if key else {})
            web.request(method, path, body=json.dumps(body or {}), headers=headers)
            answer = web.getresponse()
            said = answer.read()
            is_json = "json" in answer.headers.get("Content-Type", "")
            return answer.status, json.loads(said) if is_json else None
        finally:
            web.close()


class Crowd:
    """Clients that do a thing for each number, until what they ask is gone."""

    def __init__(self, do: Callable[[int], bool], numbers: range) -> None:
        self._do, self._numbers = do, numbers
        self.done: list[int] = []
        self.lost = 0
        self._threads = [
            threading.Thread(target=self._work, args=(first,)) for first in range(CLIENTS)
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(timeout=120)
            assert not thread.is_alive()

    def finish(self) -> None:
        """Wait for the end; everything must have been done."""
        self.join()
        assert sorted(self.done) == list(self._numbers)

    def _work(self, first: int) -> None:
        try:
            for number in self._numbers[first::CLIENTS]:
                if not self._do(number):
                    break
                self.done.append(number)
            else:
                return
        except (OSError, http.client.HTTPException):
            pass
        self.lost += 1
