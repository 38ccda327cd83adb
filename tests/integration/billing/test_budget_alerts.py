"""Alerts of budgets: each once, in order, armed again by a raise, and none lost or doubled."""

import smtplib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from django.core import mail
from django.db import connection

from billing.alerts import alert_spend
from billing.alerts.sending import customers_to_tell, send_alerts
from billing.models import BudgetAlert, Spend, SpendDay, WebhookDelivery, WebhookEvent
from billing.tasks import alert_budgets
from billing.webhooks.endpoints import create_endpoint
from plans.operations.budgets import BudgetTerms, Scope, set_budget
from plans.operations.customers import create_customer, create_workspace

START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 9, 12, tzinfo=UTC)


@pytest.fixture
def acme(transactional_db):
    customer = create_customer(key="acme", name="Acme", email="billing@acme.example")
    create_workspace(customer=customer, key="film", name="Film")
    return customer


def budget(customer, amount="1000", *, workspace=None, **said):
    scope = Scope(customer=customer, workspace=workspace)
    return set_budget(scope=scope, terms=BudgetTerms(amount=D(amount), **said))


def spend(customer, spent, held="0", *, at=NOW, film="0", start=START, end=END):
    values = {
        "period_start": start,
        "period_end": end,
        "spent": D(spent),
        "usage_spent": D(spent),
        "held": D(held),
        "by_workspace": {"film": film},
        "rated_at": at,
    }
    Spend.objects.update_or_create(customer=customer, defaults=values)


def look(customer, now=NOW):
    alert_spend(customer_ids=[customer.pk], now=now)
    send_alerts(customer_id=customer.pk, now=now)


def subjects():
    return [message.subject for message in mail.outbox]


def test_a_jump_sends_each_threshold_once_and_in_order(acme):
    budget(acme)
    spend(acme, "500", held="260")

    look(acme)
    look(acme)

    assert subjects() == [
        "Acme: 50% of the budget for November 2026 is used",
        "Acme: 75% of the budget for November 2026 is used",
    ]
    [half, _] = mail.outbox
    assert half.to == ["billing@acme.example"]
    assert "Spent: $500.00" in half.body
    assert "Held by running jobs: $260.00" in half.body
    assert "76%" in half.alternatives[0].content

    spend(acme, "1000")
    look(acme)

    assert subjects()[2:] == [
        "Acme: 90% of the budget for November 2026 is used",
        "Acme: the budget for November 2026 is used up",
    ]
    assert "No further job is admitted." in mail.outbox[-1].body


def test_a_raise_arms_again_what_lies_above_the_new_share(acme):
    budget(acme, "1000")
    spend(acme, "1000")
    look(acme)
    budget(acme, "1600")
    look(acme)
    assert len(mail.outbox) == 4

    spend(acme, "1200")
    look(acme)

    assert subjects()[4:] == ["Acme: 75% of the budget for November 2026 is used"]
    assert "of $" not in mail.outbox[4].subject
    assert "Budget: $1,600.00" in mail.outbox[4].body


def test_the_next_period_begins_anew(acme):
    budget(acme)
    spend(acme, "600")
    look(acme)
    spend(acme, "500", start=END, end=datetime(2027, 1, 1, tzinfo=UTC), at=END)
    look(acme, now=END + timedelta(hours=1))

    assert subjects() == [
        "Acme: 50% of the budget for November 2026 is used",
        "Acme: 50% of the budget for December 2026 is used",
    ]


def test_a_workspace_has_alerts_of_its_own_at_its_own_address(acme):
    film = acme.workspaces.get()
    budget(acme, "10000")
    budget(acme, "100", workspace=film, alert_percents=(80,), email="film@acme.example")
    spend(acme, "900", film="85.5")

    look(acme)

    assert subjects() == ["Acme, Film: 80% of the budget for November 2026 is used"]
    assert mail.outbox[0].to == ["film@acme.example"]


def test_what_a_mail_server_refuses_is_sent_later_in_order_and_once(acme, monkeypatch):
    budget(acme)
    spend(acme, "800")
    answers = iter([True, False])
    send = mail.EmailMultiAlternatives.send

    def failing(message):
        if not next(answers, True):
            raise smtplib.SMTPServerDisconnected("Connection lost.")
        return send(message)

    monkeypatch.setattr(mail.EmailMultiAlternatives, "send", failing)
    look(acme)

    assert subjects() == ["Acme: 50% of the budget for November 2026 is used"]
    waiting = BudgetAlert.objects.get(sent_at=None)
    assert (waiting.percent, waiting.attempts) == (75, 1)
    assert waiting.failure == "SMTPServerDisconnected: Connection lost."
    assert customers_to_tell(now=NOW, limit=9) == []

    later = NOW + timedelta(minutes=2)
    assert customers_to_tell(now=later, limit=9) == [acme.pk]
    send_alerts(customer_id=acme.pk, now=later)
    send_alerts(customer_id=acme.pk, now=later)

    assert subjects()[1:] == ["Acme: 75% of the budget for November 2026 is used"]


def test_a_worker_that_dies_before_it_sends_loses_nothing(acme):
    budget(acme)
    spend(acme, "500")
    alert_spend(customer_ids=[acme.pk], now=NOW)
    BudgetAlert.objects.update(claimed_until=NOW + timedelta(minutes=5))
    send_alerts(customer_id=acme.pk, now=NOW)
    assert mail.outbox == []

    send_alerts(customer_id=acme.pk, now=NOW + timedelta(minutes=6))

    assert len(mail.outbox) == 1


def test_parallel_sweeps_store_and_send_each_alert_once(acme):
    budget(acme)
    spend(acme, "1000")

    def sweep(_):
        try:
            look(acme)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(sweep, range(24)))

    assert [alert.percent for alert in BudgetAlert.objects.order_by("pk")] == [50, 75, 90, 100]
    assert len(mail.outbox) == 4
    assert [subject[6:9] for subject in subjects()] == ["50%", "75%", "90%", "the"]


def test_the_forecast_names_the_day_once_a_period(acme):
    budget(acme, alert_percents=())
    for day, spent in [(6, "600"), (7, "700"), (8, "800"), (9, "880")]:
        spend(acme, spent, at=datetime(2026, 11, day, 23, tzinfo=UTC))
        look(acme, now=datetime(2026, 11, day, 23, tzinfo=UTC))
        if day < 9:
            assert mail.outbox == []
    assert mail.outbox == []

    spend(acme, "900", at=datetime(2026, 11, 10, 12, tzinfo=UTC))
    look(acme, now=datetime(2026, 11, 10, 12, tzinfo=UTC))
    spend(acme, "930", at=datetime(2026, 11, 11, 12, tzinfo=UTC))
    look(acme, now=datetime(2026, 11, 11, 12, tzinfo=UTC))

    assert subjects() == [
        "Acme: at this pace the budget for November 2026 ends on 11 November 2026"
    ]
    assert BudgetAlert.objects.get().ends_on.day == 11
    assert SpendDay.objects.count() == 6


def test_endpoints_are_told_in_the_transaction_of_the_alert(acme):
    other = create_customer(key="other", name="Other")
    types = ["budget.alert"]
    create_endpoint(customer=acme, url="https://acme.example/h", event_types=types, now=NOW)
    create_endpoint(customer=None, url="https://us.example/h", event_types=types, now=NOW)
    create_endpoint(customer=other, url="https://other.example/h", event_types=types, now=NOW)
    budget(acme)
    spend(acme, "500", held="12.50")

    look(acme)

    event = WebhookEvent.objects.get()
    assert event.payload == (
        '{"type":"budget.alert","timestamp":"2026-11-09T12:00:00+00:00","data":{"customer":"acme",'
        '"workspace":null,"period_start":"2026-11-01T00:00:00+00:00",'
        '"period_end":"2026-12-01T00:00:00+00:00","currency":"USD","budget":"1000",'
        '"spent":"500","held":"12.5","stops":true,"percent":50}}'
    )
    told = {delivery.endpoint.url for delivery in WebhookDelivery.objects.all()}
    assert told == {"https://acme.example/h", "https://us.example/h"}


def test_beat_finds_what_nobody_looked_at(acme, settings, monkeypatch):
    settings.CELERY_TASK_ALWAYS_EAGER = True
    monkeypatch.setattr("billing.tasks.send_alerts.delay", lambda customer_id: send_alerts(
        customer_id=customer_id, now=datetime.now(tz=UTC)
    ))  # fmt: skip
    now = datetime.now(tz=UTC)
    budget(acme)
    spend(acme, "500", start=now - timedelta(days=1), end=now + timedelta(days=9), at=now)

    alert_budgets()

    assert len(mail.outbox) == 1


def test_without_a_budget_or_a_rated_period_nothing_is_stored(acme):
    spend(acme, "500")
    look(acme)
    other = create_customer(key="other", name="Other")
    budget(other)
    look(other)

    assert not BudgetAlert.objects.exists()
    assert mail.outbox == []
