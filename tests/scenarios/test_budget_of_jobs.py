"""S24 in small: jobs against a budget with alerts, a throttle, a stop, and a raise."""

from decimal import Decimal as D

import pytest
from django.core import mail
from django.utils import timezone

from billing import tasks
from billing.alerts.changing import change_budget
from billing.alerts.sending import send_alerts
from billing.models import BudgetAlert
from plans.operations.budgets import BudgetTerms, scope_of
from tests.fixtures.jobs import Service, job_class
from tests.fixtures.usage import wait_for_horizon
from tests.fixtures.world import EVER

TERMS = BudgetTerms(amount=D(10), throttle_percent=90, throttle_to=1)


@pytest.fixture
def service(world, monkeypatch):
    """A service of Acme, whose jobs cost 1.00 each."""
    jobs = world.meter("jobs", event_type="tollgate.job")
    customer = world.customer(workspaces=("lab",), email="billing@acme.example")
    price = {"key": "jobs", "model": "per_unit", "meter": jobs, "amount": D(1)}
    world.subscribe(customer, world.plan(prices=(price,)), starts_at=EVER)
    job_class()
    monkeypatch.setattr(
        tasks.send_alerts, "delay", lambda id_: send_alerts(customer_id=id_, now=timezone.now())
    )
    return Service()


def run(service, subject):
    status, body = service.ask(subject)
    assert status == 201, body
    service.post(f"jobs/{body['id']}/complete", {})


def sweep():
    wait_for_horizon()
    tasks.sweep_spend()


@pytest.mark.parametrize("subject", ["acme", "lab"])
def test_alerts_come_once_in_order_and_a_raise_admits_at_once(service, subject):
    change_budget(scope=scope_of(key=subject), terms=TERMS, now=timezone.now())
    for number in range(1, 11):
        run(service, subject)
        if number in (5, 8):
            sweep()
    sweep()
    sweep()
    tasks.alert_budgets()

    sent = [alert.percent for alert in BudgetAlert.objects.order_by("pk")]
    assert sent == [50, 75, 90, 100]
    assert [message.subject.partition(": ")[2][:3] for message in mail.outbox] == [
        "50%", "75%", "90%", "the",
    ]  # fmt: skip

    status, refusal = service.ask(subject)
    assert (status, refusal["rule"]) == (402, "budget")
    raised = BudgetTerms(amount=D(20), throttle_percent=90)
    change_budget(scope=scope_of(key=subject), terms=raised, now=timezone.now())
    assert service.ask(subject)[0] == 201
    for _ in range(4):
        run(service, subject)
    sweep()

    assert [message.subject.partition(": ")[2][:3] for message in mail.outbox[4:]] == ["75%"]
