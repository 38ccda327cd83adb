"""kill -9 the database while 64 clients spend one pool: what was acknowledged is there, once."""

import threading
from decimal import Decimal as D

import psycopg
import pytest

from tests.fixtures.own_services import OwnServices

pytestmark = pytest.mark.xdist_group("kill")

CLIENTS = 64
ATTEMPTS = 5_000
CREDIT = 1_000
KILL_AFTER = 200
MAKE_POOL = f"""
from datetime import UTC, datetime
from decimal import Decimal
from billing.credits.granting import define_credit_unit, grant_credit, open_pool
from plans.models import Customer
owner = Customer.objects.create(key="acme", name="Acme", currency="USD", time_zone="UTC")
unit = define_credit_unit(code="TOKN", name="Tokens")
pool = open_pool(customer=owner, key="main", name="Main", unit=unit)
now = datetime(2026, 3, 1, tzinfo=UTC)
for number in range(10):
    grant_credit(
        pool=pool, key=f"grant {{number}}", source="bought", amount=Decimal({CREDIT // 10}),
        cost=Decimal("3.33"), effective_at=now, now=now,
    )
"""
AT = "2026-03-01 12:00+00"
USES = "SELECT key, count(*) FROM billing_ledgertransaction WHERE reason = 'use' GROUP BY key"


def test_acknowledged_spends_outlive_the_database(own_services: OwnServices) -> None:
    own_services.manage("shell", "-c", MAKE_POOL)
    clients = Clients(own_services)
    clients.begin()
    clients.wait_for(KILL_AFTER)
    own_services.kill_database()
    clients.join()
    acknowledged = set(clients.acknowledged)
    assert KILL_AFTER <= len(acknowledged) < CREDIT
    assert clients.lost > 0

    own_services.start()
    own_services.manage("check_ledger")
    posted = dict(own_services.ask(USES))
    assert {f"use:main:{key}" for key in acknowledged} <= set(posted)
    assert set(posted.values()) == {1}
    assert own_services.ask(
        "SELECT sum(used), count(*) FILTER (WHERE status <> 'posted') FROM billing_hold"
    ) == [(D(len(posted)), 0)]

    # All of it again, what was acknowledged too: no key is spent twice, and nothing beyond.
    again = Clients(own_services)
    again.begin()
    again.join()
    assert again.lost == 0
    assert acknowledged <= set(again.acknowledged)
    assert len(again.acknowledged) == CREDIT
    assert own_services.ask(
        "SELECT sum(remaining), sum(held), sum(recognised) FROM billing_creditgrant"
    ) == [(D(0), D(0), D("33.30"))]
    own_services.manage("check_ledger")


class Clients:
    """64 clients that spend one credit each time, 5,000 times in all, until their database dies."""

    def __init__(self, services: OwnServices) -> None:
        self._services = services
        self._threads = [
            threading.Thread(target=self._work, args=(number,)) for number in range(CLIENTS)
        ]
        self._reached = threading.Condition()
        self.acknowledged: list[str] = []
        self.lost = 0

    def begin(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(timeout=120)
            assert not thread.is_alive()

    def wait_for(self, count: int) -> None:
        with self._reached:
            assert self._reached.wait_for(lambda: len(self.acknowledged) >= count, timeout=60)

    def _work(self, number: int) -> None:
        try:
            with self._services.connect() as connection:
                for attempt in range(number, ATTEMPTS, CLIENTS):
                    if spent(connection, key=str(attempt)):
                        with self._reached:
                            self.acknowledged.append(str(attempt))
                            self._reached.notify()
        except psycopg.OperationalError:
            with self._reached:
                self.lost += 1


def spent(connection: psycopg.Connection, *, key: str) -> bool:
    """Spend one credit as `spend` does, and tell whether there was one."""
    with connection.transaction():
        connection.execute("SELECT billing_lock_pool(id) FROM billing_creditpool")
        (hold_id,) = connection.execute(
            "SELECT h.hold_id FROM billing_creditpool p,"
            " billing_place_hold(p.id, %s, 1, %s, %s, '', '') AS h",
            [key, AT, AT],
        ).fetchone()
        if hold_id is not None:
            connection.execute("SELECT billing_settle_hold(%s, 1, %s)", [hold_id, AT])
    return hold_id is not None
