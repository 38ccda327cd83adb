"""The admin of usage: what each person may see and do, and that secrets show once."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from plans.operations.customers import create_customer
from plans.operations.meters import define_meter
from tests.fixtures.usage import event
from usage.models import ApiKey, Event, QuarantinedEvent
from usage.operations.api_keys import issue_key, use_key
from usage.operations.ingest import ingest
from usage.operations.rollup import roll_up

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
QUARANTINE = "/admin/usage/quarantinedevent/"


@pytest.fixture
def root(admin_client):
    return admin_client


@pytest.fixture
def supporter(staff):
    client = Client()
    client.force_login(staff("Support"))
    return client


@pytest.fixture
def clerk(staff):
    """May read everything, and clear the quarantine."""
    user = staff("Support", username="clerk")
    user.user_permissions.add(Permission.objects.get(codename="change_quarantinedevent"))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def held(db):
    define_meter(key="jobs", name="Jobs", event_type="job", aggregation="count")
    ingest([event(f"e{n}", data={"note": "<b>"}) for n in range(3)], now=NOW)


def test_a_secret_is_shown_once(root):
    page = root.post("/admin/usage/apikey/add/", {"name": "Gateway", "scopes": ["ingest", "read"]})
    secret = re.search(r'value="(tg_[^"]+)"', page.content.decode())[1]
    assert "no-store" in page["Cache-Control"]
    key = ApiKey.objects.get()
    assert use_key(secret=secret, now=NOW) == key
    assert key.scopes == ["ingest", "read"]
    for address in ("/admin/usage/apikey/", f"/admin/usage/apikey/{key.pk}/change/"):
        shown = root.get(address).content.decode()
        assert key.prefix in shown
        assert secret not in shown
        assert key.digest not in shown
    assert secret not in str(list(LogEntry.objects.values()))


@pytest.mark.parametrize("sent", [{}, {"name": "x"}, {"name": "x", "scopes": ["root"]}])
def test_a_key_needs_a_name_and_scopes(root, sent):
    assert root.post("/admin/usage/apikey/add/", sent).status_code == 200
    assert ApiKey.objects.count() == 0


def test_a_key_is_revoked_with_a_reason_and_stays(root):
    key, secret = issue_key(name="Gateway", scopes=["ingest"], now=NOW)
    address = f"/admin/usage/apikey/{key.pk}/revoke/"
    page = root.get(f"/admin/usage/apikey/{key.pk}/change/").content.decode()
    found = re.search(rf'href="([^"]*{key.pk}/revoke[^"]*)"', page)
    address = found[1] if found else address
    assert root.post(address, {"reason": ""}).status_code == 200
    assert use_key(secret=secret, now=NOW) is not None
    assert root.post(address, {"reason": "It leaked"}).status_code == 302
    assert use_key(secret=secret, now=NOW) is None
    assert "It leaked" in LogEntry.objects.latest("pk").change_message
    assert root.post(address, {"reason": "Again"}).status_code == 302
    assert root.post(f"/admin/usage/apikey/{key.pk}/delete/", {"post": "yes"}).status_code == 403
    assert ApiKey.objects.count() == 1


def test_support_reads_and_changes_nothing(supporter, held):
    key, _ = issue_key(name="Gateway", scopes=["ingest"], now=NOW)
    one = QuarantinedEvent.objects.first()
    for address in (
        "/admin/usage/apikey/", QUARANTINE, f"{QUARANTINE}{one.pk}/change/",
        "/admin/usage/rollupstate/", f"{QUARANTINE}events/",
    ):  # fmt: skip
        assert supporter.get(address).status_code == 200, address
    for address in (
        "/admin/usage/apikey/add/", f"/admin/usage/apikey/{key.pk}/revoke/",
        f"{QUARANTINE}{one.pk}/replay/", f"{QUARANTINE}dismiss/?ids={one.pk}",
        "/admin/usage/rollupstate/add/", f"{QUARANTINE}add/",
    ):  # fmt: skip
        answer = supporter.post(address, {"reason": "x", "name": "x", "scopes": ["read"]})
        assert answer.status_code in (403, 404), address
    assert ApiKey.objects.filter(revoked_at=None).count() == 1
    assert QuarantinedEvent.objects.filter(replayed_at=None, dismissed_at=None).count() == 3


def test_strangers_see_nothing(staff, held):
    client = Client()
    client.force_login(staff())
    for address in ("/admin/usage/apikey/", QUARANTINE, f"{QUARANTINE}events/"):
        assert client.get(address).status_code == 403


def test_the_quarantine_tells_why_and_shows_the_event(clerk, held):
    shown = clerk.get(QUARANTINE).content.decode()
    assert "No customer or workspace has the key “acme”." in shown
    one = QuarantinedEvent.objects.first()
    page = clerk.get(f"{QUARANTINE}{one.pk}/change/").content.decode()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page.split("Event as it came")[1].split("</pre>")[0]


def test_replay_and_dismissal(clerk, held):
    first, second, third = QuarantinedEvent.objects.order_by("id")
    create_customer(key="acme", name="Acme")
    chosen = {"action": "replay_selected", "_selected_action": [first.pk]}
    assert "1 stored" in clerk.post(QUARANTINE, chosen, follow=True).content.decode()
    assert Event.objects.get().event_id == first.event_id
    chosen = {"action": "dismiss_selected", "_selected_action": [second.pk]}
    asked = clerk.post(QUARANTINE, chosen)
    assert asked.status_code == 302
    page = clerk.get(asked["Location"]).content.decode()
    assert "1 waiting events leave" in page
    clerk.post(asked["Location"], {"reason": "Their test"})
    second.refresh_from_db()
    assert (second.dismissed_reason, second.dismissed_by.username) == ("Their test", "clerk")
    assert clerk.get(f"{QUARANTINE}?state=dismissed").content.decode().count("Their test") == 0
    listed = clerk.get(QUARANTINE).content.decode()
    assert third.event_id in listed
    assert second.event_id not in listed


def test_events_are_found_by_subject_or_key(supporter):
    create_customer(key="acme", name="Acme")
    define_meter(key="jobs", name="Jobs", event_type="job", aggregation="count")
    times = [NOW - timedelta(minutes=n) for n in range(150)]
    ingest([event(f"e{n:03}", time=time) for n, time in enumerate(times)], now=NOW)
    address = f"{QUARANTINE}events/"
    page = supporter.get(address, {"subject": "acme"}).content.decode()
    assert "e000" in page
    assert "e100" not in page
    older = re.search(r'href="\?([^"]+)"[^>]*>Older', page)[1].replace("&amp;", "&")
    page = supporter.get(f"{address}?{older}").content.decode()
    assert "e100" in page
    assert "Older events" not in page
    page = supporter.get(address, {"source": "test", "event_id": "e149"}).content.decode()
    assert page.count("<code>e149</code>") == 1
    page = supporter.get(address, {"event_id": "e149"}).content.decode()
    assert "Give a customer or workspace" in page
    assert "No event fits" in supporter.get(address, {"subject": "nobody"}).content.decode()


def test_the_rollups_state_can_be_read(root):
    roll_up(now=NOW)
    assert root.get("/admin/usage/rollupstate/").status_code == 200
    assert root.get("/admin/usage/rollupstate/1/change/").status_code == 200
