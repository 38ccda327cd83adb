"""The admin's pages of budgets, jobs and webhooks: who may do what, and in how many queries."""

from decimal import Decimal as D

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing.models import EventType, WebhookDelivery, WebhookEndpoint
from billing.webhooks.emitting import NewEvent, emit
from plans.models import Budget

LISTS = [
    "usage_job", "plans_budget", "billing_budgetalert", "billing_webhookendpoint",
    "billing_webhookdelivery",
]  # fmt: skip


def text(response):
    assert response.status_code == 200, response.status_code
    return " ".join(response.content.decode().split())


@pytest.fixture
def approver(client, staff):
    client.force_login(staff("Finance approver"))
    return client


@pytest.fixture
def support(client, staff):
    client.force_login(staff("Support"))
    return client


@pytest.mark.parametrize("name", LISTS)
def test_support_reads_every_list(support, job_world, name):
    WebhookEndpoint.objects.create(
        url="https://a.example/h", event_types=["job.settled"], secret="x",
        created_at=job_world.now,
    )  # fmt: skip
    assert support.get(reverse(f"admin:{name}_changelist")).status_code == 200


def test_a_job_says_what_it_was_estimated_at_and_what_it_came_to(support, job_world):
    page = text(support.get(reverse("admin:usage_job_change", args=[job_world.run.pk])))

    for words in ("$8.00", "$16.00", "$12.40", "within the range", "Failed, by the provider",
                  "With all of them: $22.00", "model: large; tokens: 81234",
                  "Attempt began"):  # fmt: skip
        assert words in page
    found = support.get(reverse("admin:usage_job_named", args=[job_world.run.public_id]))
    assert found.headers["Location"].endswith(f"/{job_world.run.pk}/change/")


def test_lists_need_as_many_queries_for_many_rows_as_for_few(support, job_world):
    def queries():
        with CaptureQueriesContext(
            connection,
        ) as found:
            for name in ("usage_job", "plans_budget"):
                support.get(reverse(f"admin:{name}_changelist"))
        return len(found)

    queries()
    before = queries()
    for number in range(8):
        job_world.job(f"more-{number}", amount="1", estimate=("1", "2", "3"))

    assert queries() == before


def test_a_budget_is_set_from_the_customers_page_with_its_reason(approver, job_world):
    customer = job_world.customer
    assert "Set a budget" in text(
        approver.get(reverse("admin:plans_customer_change", args=[customer.pk]))
    )
    address = reverse("admin:plans_customer_budget", args=[customer.pk])
    chosen = approver.post(address, {"scope": "aurora-ads"})
    assert chosen.headers["Location"] == f"{address}?of=aurora-ads"
    said = {"amount": "5,000", "alerts": "50, 100", "stops": "on", "throttle_to": "1"}

    refused = text(approver.post(f"{address}?of=aurora-ads", said))
    assert "This field is required." in refused
    assert not Budget.objects.filter(workspace=job_world.ads).exists()
    done = approver.post(f"{address}?of=aurora-ads", {**said, "reason": "Agreed by phone."})

    assert done.status_code == 302
    budget = Budget.objects.get(workspace=job_world.ads)
    assert (budget.amount, budget.alert_percents) == (D(5000), [50, 100])
    assert budget.history.get().history_change_reason == "Agreed by phone."
    removing = reverse("admin:plans_budget_remove", args=[budget.pk])
    approver.post(removing, {"reason": "It is over."})
    assert not Budget.objects.filter(workspace=job_world.ads).exists()


def test_support_sets_no_budget_and_manages_no_webhook(support, job_world):
    address = reverse("admin:plans_customer_budget", args=[job_world.customer.pk])
    assert support.get(f"{address}?of=").status_code == 404
    assert support.get(reverse("admin:billing_webhookendpoint_add")).status_code == 403


def test_an_endpoint_is_added_told_and_its_message_replayed(approver, job_world):
    add = reverse("admin:billing_webhookendpoint_add")
    said = {"url": "http://acme.example/h", "event_types": ["budget.alert"], "customer": ""}
    assert "Webhooks go over HTTPS only." in text(approver.post(add, said))
    assert not WebhookEndpoint.objects.exists()
    shown = text(approver.post(add, {**said, "url": "https://acme.example/h"}))
    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.secret in shown
    page = reverse("admin:billing_webhookendpoint_change", args=[endpoint.pk])
    assert endpoint.secret not in text(approver.get(page))
    old = endpoint.secret
    rotate = reverse("admin:billing_webhookendpoint_rotate", args=[endpoint.pk])
    assert old not in text(approver.get(rotate))
    assert "copied it" in text(approver.post(rotate))
    endpoint.refresh_from_db()
    assert endpoint.secret != old
    emit([NewEvent(key="budget.alert:1", type=EventType.BUDGET_ALERT, data={"percent": 50},
                   customer_id=job_world.customer.pk, happened_at=job_world.now)])  # fmt: skip
    delivery = WebhookDelivery.objects.get()
    delivery.status, delivery.attempts = "failed", 10
    delivery.save()

    message = reverse("admin:billing_webhookdelivery_change", args=[delivery.pk])
    assert "percent" in text(approver.get(message))
    approver.post(reverse("admin:billing_webhookdelivery_replay", args=[delivery.pk]))

    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == ("pending", 0)
    for verb in ("disable", "enable"):
        address = reverse(f"admin:billing_webhookendpoint_{verb}", args=[endpoint.pk])
        assert approver.post(address, {"reason": "A test."}).status_code == 302
    change = reverse("admin:billing_webhookendpoint_edit", args=[endpoint.pk])
    approver.post(change, {"url": "https://b.example/h", "event_types": ["job.settled"]})
    endpoint.refresh_from_db()
    assert (endpoint.url, endpoint.event_types) == ("https://b.example/h", ["job.settled"])


def test_the_home_page_lists_what_is_in_trouble(support, job_world):
    running = job_world.job("silent-1", state="running", held="9")
    running.silent_at = job_world.now
    running.save()
    WebhookEndpoint.objects.create(
        url="https://down.example/h", event_types=["job.settled"], secret="x",
        created_at=job_world.now, failing_since=job_world.now,
    )  # fmt: skip
    job_world.customer.budget_alerts.update(sent_at=None, attempts=2, failure="No route.")

    page = text(support.get("/admin/"))

    told = "Holds about to expire;silent-1;$9.00 held;Failing webhooks;https://down.example/h"
    for words in [*told.split(";"), "Alerts that could not be mailed", "No route."]:
        assert words in page
