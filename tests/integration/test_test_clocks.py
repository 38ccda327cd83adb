"""Customers to test with: their clock, who moves it, and what is due by it."""

import json
from datetime import UTC, datetime
from decimal import Decimal as D

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client

from plans.clock import now_for
from plans.models import Customer
from plans.operations.clock import ClockGoesBack, NoTestClock, advance_clock
from plans.operations.customers import create_customer, create_workspace
from tests.fixtures.world import World, at
from usage.operations.api_keys import issue_key

OCTOBER = datetime(2025, 10, 1, tzinfo=UTC)
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def acme(db) -> Customer:
    customer = create_customer(key="acme", name="Acme", clock_at=OCTOBER)
    create_workspace(customer=customer, key="acme.team", name="Team")
    create_customer(key="real", name="Real")
    return customer


def test_a_customer_and_its_workspaces_stand_at_its_clock_all_others_in_real_time(acme) -> None:
    assert [now_for(key, now=NOW) for key in ("acme", "acme.team", "real", "nobody")] == [
        OCTOBER, OCTOBER, NOW, NOW,
    ]  # fmt: skip


def test_the_clock_only_moves_on(acme) -> None:
    later = datetime(2025, 10, 2, tzinfo=UTC)
    assert advance_clock(customer=acme, to=later).clock_at == later
    assert advance_clock(customer=acme, to=later).clock_at == later
    with pytest.raises(ClockGoesBack, match="2025-10-02 00:00:00 UTC and only moves on"):
        advance_clock(customer=acme, to=OCTOBER)
    with pytest.raises(NoTestClock):
        advance_clock(customer=Customer.objects.get(key="real"), to=NOW)
    assert sorted(Customer.objects.values_list("key", "clock_at")) == [
        ("acme", later), ("real", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE plans_customer SET clock_at = NULL WHERE key = 'acme'",
        "UPDATE plans_customer SET clock_at = clock_at - interval '1 day' WHERE key = 'acme'",
        "UPDATE plans_customer SET clock_at = now() WHERE key = 'real'",
    ],
)
def test_the_database_holds_it(acme, sql) -> None:
    with (
        pytest.raises(IntegrityError, match="it only moves on"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)


@pytest.mark.parametrize(
    ("key", "scope", "said", "status", "code"),
    [
        ("acme", "test", {"at": "2025-10-05T00:00:00Z"}, 200, None),
        ("acme", "test", {"at": "2025-09-05T00:00:00Z"}, 409, "clock_goes_back"),
        ("real", "test", {"at": "2025-10-05T00:00:00Z"}, 409, "no_test_clock"),
        ("nobody", "test", {"at": "2025-10-05T00:00:00Z"}, 404, "unknown_customer"),
        ("acme", "test", {"at": "soon"}, 422, "invalid"),
        ("acme", "ingest", {"at": "2025-10-05T00:00:00Z"}, 403, "permission_denied"),
    ],
)
def test_services_with_the_scope_move_it(acme, key, scope, said, status, code) -> None:
    _, secret = issue_key(name="tests", scopes=[scope], now=NOW)
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    answer = client.post(
        f"/api/v1/customers/{key}/clock", json.dumps(said), content_type="application/json"
    )
    assert (answer.status_code, answer.json().get("code")) == (status, code)
    moved = datetime(2025, 10, 5, tzinfo=UTC) if status == 200 else OCTOBER
    assert Customer.objects.get(key="acme").clock_at == moved


@pytest.mark.django_db(transaction=True)
def test_a_statement_is_due_by_the_customers_clock(world: World) -> None:
    """In real time it is June; January is closed when the clock says so."""
    plan = world.plan(prices=({"key": "fee", "name": "Fee", "model": "flat", "amount": D(31)},))
    acme = world.customer(clock_at=at(2025, 1, 31))
    world.subscribe(acme, plan, starts_at=at(2025, 1, 1))
    june = at(2025, 6, 1)
    world.close(now=june)
    assert world.statements() == []
    advance_clock(customer=acme, to=at(2025, 2, 1))
    world.close(now=june)
    assert [row.status for row in world.statements()] == ["due"]
    advance_clock(customer=acme, to=at(2025, 2, 2))
    world.close(now=june)
    assert [row.status for row in world.statements()] == ["draft"]
    advance_clock(customer=acme, to=at(2025, 2, 3))
    world.close(now=june)
    assert [(row.status, row.total) for row in world.statements()] == [("finalised", D(31))]
