"""Outcomes in the portal and behind the link in an e-mail: whose they are, what is not billed."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail

from billing.models import OutcomeRequest
from billing.outcome_links import Asked, make_link, note_due_requests, send_noted_requests
from plans.models import Membership
from tests.fixtures.outcomes import claim, contract
from tests.fixtures.world import EVER, World
from usage.models import Outcome, OutcomeStep

NOW = datetime.now(UTC)
BY_CUSTOMER = {"by": "customer", "window_hours": 72, "silence": "rejected"}
BASE = "https://billing.example.com"

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(django_user_model):
    world = World()
    plan = world.plan(prices=({"key": "fee", "model": "flat", "amount": 1},))
    for key in ("acme", "other"):
        customer = world.customer(key, email=f"{key}@example.com")
        world.subscribe(customer, plan, starts_at=EVER)
        user = django_user_model.objects.create(username=key)
        Membership.objects.create(user=user, customer=customer)
    contract(plan=plan, verification=BY_CUSTOMER, dispute_days=30)
    claim("a", "b", "c", at=NOW - timedelta(hours=30), now=NOW - timedelta(hours=1))
    claim("x", at=NOW - timedelta(hours=30), now=NOW - timedelta(hours=1), subject="other")
    return world


def outcome(key):
    return Outcome.objects.get(key=key)


def shown(client):
    return client.get("/portal/outcomes/").content.decode().replace("\N{NO-BREAK SPACE}", " ")


def act(client, key, action, **said):
    return client.post(f"/portal/outcomes/{outcome(key).pk}/{action}/", said)


def test_a_customer_sees_and_decides_its_own(world, client, django_user_model):
    assert client.get("/portal/outcomes/").status_code == 302
    client.force_login(django_user_model.objects.get(username="acme"))
    text = shown(client)
    assert "3 pending, unbilled: $30.00 expected." in text
    assert "Resolutions, x" not in text

    assert act(client, "a", "verify").status_code == 302
    assert act(client, "b", "reject").status_code == 409
    assert outcome("b").state == "pending"
    assert act(client, "b", "reject", reason="Reopened.").status_code == 302
    assert act(client, "a", "dispute", reason="Not so.").status_code == 302
    text = shown(client)
    assert "1 pending, unbilled: $10.00 expected." in text
    assert "1 disputed, contested: $10.00." in text
    assert act(client, "x", "verify").status_code == 404
    assert act(client, "a", "uphold", reason="Mine.").status_code == 404
    assert [outcome(key).state for key in "abcx"] == ["disputed", "rejected", "pending", "pending"]
    step = OutcomeStep.objects.get(outcome=outcome("a"), what="dispute")
    assert (step.via, step.by.username, step.reason) == ("portal", "acme", "Not so.")


def test_a_link_is_sent_once_and_leads_to_what_it_asks_about(world, client):
    note_due_requests(now=NOW)
    assert send_noted_requests(base=BASE, now=NOW) == 2
    note_due_requests(now=NOW)
    assert send_noted_requests(base=BASE, now=NOW) == 0
    assert [each.to for each in mail.outbox] == [["acme@example.com"], ["other@example.com"]]
    assert mail.outbox[0].subject == "3 outcomes wait for your word"
    (address,) = [line for line in mail.outbox[0].body.splitlines() if line.startswith(BASE)]
    link = address.removeprefix(BASE)
    text = client.get(link).content.decode()
    assert "Outcomes of Acme" in text
    assert "Resolutions, x" not in text

    answer = client.post(f"{link}{outcome('a').pk}/verify/")
    assert (answer.status_code, outcome("a").state) == (200, "verified")
    assert OutcomeStep.objects.get(outcome=outcome("a"), what="verify").who == "acme@example.com"
    assert client.post(f"{link}{outcome('x').pk}/verify/").status_code == 404
    assert client.post(f"{link}{outcome('a').pk}/dispute/", {"reason": "x"}).status_code == 404
    assert client.get(link.replace("verify/", "verify/x", 1)).status_code == 404
    claim("d", at=NOW - timedelta(hours=3), now=NOW - timedelta(hours=1))
    note_due_requests(now=NOW)
    assert send_noted_requests(base=BASE, now=NOW) == 1


def test_a_link_reaches_no_other_customer(world, client):
    x = outcome("x")
    acme = outcome("a").customer_id
    link = make_link(Asked(acme, 1, x.pk, "acme@example.com"), base="")
    assert client.post(f"{link}{x.pk}/verify/").status_code == 404
    assert outcome("x").state == "pending"


def test_a_mail_that_fails_is_tried_again(world, monkeypatch):
    def fail(**_):
        raise ConnectionRefusedError

    note_due_requests(now=NOW)
    with monkeypatch.context() as patched:
        patched.setattr("billing.outcome_links.send_mail", fail)
        assert send_noted_requests(base=BASE, now=NOW) == 0
    assert OutcomeRequest.objects.filter(sent_at=None).count() == 2
    assert send_noted_requests(base=BASE, now=NOW) == 2
