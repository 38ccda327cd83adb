"""kill -9 the web server and the database between admission and settlement; nothing twice or lost.

Services ask over HTTP, and ask again with the same keys once it is back. The month is closed then.
"""

import http.client
import threading
from collections.abc import Callable
from decimal import Decimal as D

import pytest

from tests.fixtures.broker import wait_for
from tests.fixtures.job_clients import JobServer, sweep
from tests.fixtures.own_services import WAIT_S, OwnServices, reach

pytestmark = pytest.mark.xdist_group("kill")

CLIENTS = 8
JOBS = 64
COMPLETED = 48
CUSTOMERS = 4
MAKE_WORLD = f"""
from decimal import Decimal
from django.utils import timezone
from tests.fixtures.jobs import job_class
from plans.rating import billing_period
from tests.fixtures.world import World
from usage.operations.api_keys import issue_key
world = World()
jobs = world.meter("jobs", event_type="tollgate.job")
tokens = world.meter("tokens", event_type="llm", aggregation="sum", value_property="tokens")
job_class(uses={{tokens: ("100", "150", "200")}})
plan = world.plan(prices=(
    {{"key": "jobs", "model": "per_unit", "amount": Decimal("0.25"), "meter": jobs}},
    {{"key": "tokens", "model": "per_unit", "amount": Decimal("0.01"), "meter": tokens}},
))
month = billing_period(anchor=None, zone="UTC", at=timezone.now())
for number in range({CUSTOMERS}):
    world.subscribe(world.customer(f"c{{number}}"), plan, starts_at=month.start)
print(issue_key(name="service", scopes=["jobs"], now=timezone.now())[1])
"""
# 0.25 for a job and 0.01 for each of its 120 tokens.
PER_JOB = D("1.45")


def test_jobs_outlive_the_web_server_and_the_database(own_services: OwnServices) -> None:
    secret = own_services.manage("shell", "-c", MAKE_WORLD).split()[-1]
    sweep(own_services)
    service = Service(own_services, secret)

    ids = kill_the_web_server_between_admissions(own_services, service)
    kill_the_database_between_completions(own_services, service, ids[:COMPLETED])
    expire_the_rest(own_services)

    # The period: what completed jobs used, once, and no hold is left.
    sweep(own_services)
    assert own_services.ask(
        "SELECT sum(usage_spent), sum(held), sum(running), count(*) FROM billing_spend"
    ) == [(PER_JOB * COMPLETED, D(0), 0, CUSTOMERS)]
    assert own_services.ask("SELECT DISTINCT pending::text FROM billing_spend") == [("[]",)]
    assert "adds up" in own_services.manage("verify_spend")
    close_the_month(own_services)


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


# Done when the month and its grace time are over, and once more.
CLOSE = """
from datetime import timedelta
from django.db.models import Max
from billing.models import Spend
from tests.fixtures.world import World
over = Spend.objects.aggregate(end=Max("period_end"))["end"] + timedelta(days=4)
first, again = World().close(now=over), World().close(now=over + timedelta(days=1))
assert (first.parked, again.parked) == (0, 0), (first, again)
assert (again.drafted, again.finalised) == (0, 0), again
"""
OF_JOBS = """SELECT c.key, sum(j.amount)
             FROM usage_job j JOIN plans_customer c ON c.id = j.customer_id
             GROUP BY c.key ORDER BY c.key"""
OF_STATEMENTS = """SELECT c.key, sum(s.total), bool_and(s.status = 'finalised')
                   FROM billing_statement s JOIN plans_customer c ON c.id = s.customer_id
                   GROUP BY c.key ORDER BY c.key"""
OF_LINES = """SELECT c.key, l.price_key, sum(l.quantity), sum(l.amount)
              FROM billing_statementline l JOIN billing_statement s ON s.id = l.statement_id
              JOIN plans_customer c ON c.id = s.customer_id
              GROUP BY c.key, l.price_key ORDER BY c.key, l.price_key"""
OF_LEDGER = """SELECT c.key, sum(e.amount) FROM billing_ledgerentry e
               JOIN billing_ledgeraccount a ON a.id = e.account_id AND a.kind = 'receivable'
               JOIN plans_customer c ON c.id = a.customer_id GROUP BY c.key ORDER BY c.key"""


def close_the_month(services: OwnServices) -> None:
    """Each customer is billed for its completed jobs, each of them once, to the cent."""
    services.manage("shell", "-c", CLOSE)
    each = COMPLETED // CUSTOMERS
    keys = [f"c{number}" for number in range(CUSTOMERS)]
    assert services.ask(OF_JOBS) == [(key, PER_JOB * each) for key in keys]
    assert services.ask(OF_STATEMENTS) == [(key, PER_JOB * each, True) for key in keys]
    assert services.ask(OF_LINES) == [
        line
        for key in keys
        for line in (
            (key, "jobs", each, D("0.25") * each),
            (key, "tokens", 120 * each, D("1.20") * each),
        )
    ]
    assert services.ask(OF_LEDGER) == [(key, PER_JOB * each) for key in keys]
    assert "holds every finalised statement once" in services.manage("check_ledger")
    assert "agree with their facts" in services.manage("verify_statements")


class Service(JobServer):
    """A service that asks for numbered jobs, each time over a new connection."""

    def __init__(self, services: OwnServices, secret: str) -> None:
        super().__init__(services, secret)
        self.ids: dict[int, str] = {}

    def admit(self, number: int) -> bool:
        """Ask for a job under its number's key; say whether it was admitted, now or before."""
        with self.client() as client:
            answer = client.admit(f"c{number % CUSTOMERS}", key=f"job-{number}")
        if answer.status in (200, 201):
            self.ids[number] = answer.body["id"]
        return answer.status in (200, 201)

    def complete(self, job_id: str) -> bool:
        """Complete a job that used 120 tokens."""
        report = {"key": "u1", "type": "llm", "data": {"tokens": 120}}
        with self.client() as client:
            return client.complete(job_id, usage=[report]).status == 200


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
