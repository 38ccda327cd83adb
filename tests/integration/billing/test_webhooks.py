"""Signed webhooks: what a receiver gets, what is tried again, and where nothing may go."""

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from billing.models import EventType, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from billing.webhooks.emitting import NewEvent, emit
from billing.webhooks.endpoints import (
    EndpointDisabled,
    EndpointInvalid,
    StillUnderWay,
    create_endpoint,
    disable_endpoint,
    enable_endpoint,
    replay_delivery,
    rotate_secret,
    send_test,
)
from billing.webhooks.guard import AddressRefused
from billing.webhooks.sending import SCHEDULE, deliver_due, pause_after
from billing.webhooks.telling import tell_of_jobs
from plans.models import JobClass
from plans.operations.customers import create_customer
from tests.fixtures.usage import wait_for_horizon
from usage.models import Job

TYPES = [EventType.BUDGET_ALERT]


class Receiver:
    """A service that keeps what it was sent and answers as it is told."""

    def __init__(self):
        self.got, self.status = [], 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                receiver.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(receiver.status)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.end_headers()
                self.wfile.write(b"thanks" * 1000)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?x=1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver(settings):
    settings.WEBHOOK_PRIVATE_HOSTS = ("127.0.0.1",)
    found = Receiver()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def acme(transactional_db):
    return create_customer(key="acme", name="Acme")


class Clock:
    """A clock that is moved by hand."""

    def __init__(self):
        self.now = datetime.now(tz=UTC)

    def __call__(self):
        return self.now

    def move(self, **by):
        self.now += timedelta(**by)


@pytest.fixture
def clock():
    return Clock()


def endpoint(customer, url, clock, types=TYPES):
    return create_endpoint(customer=customer, url=url, event_types=types, now=clock())


def tell(customer, key="one", *, at):
    emit(
        [
            NewEvent(
                key=f"budget.alert:{key}",
                type=EventType.BUDGET_ALERT,
                customer_id=customer.pk,
                happened_at=at,
                data={"percent": 50, "name": "Ä"},
            )
        ]
    )


def test_a_receiver_verifies_what_it_gets_with_the_library_of_the_standard(acme, receiver, clock):
    _row, secret = endpoint(acme, receiver.url, clock)
    tell(acme, at=clock())

    assert deliver_due(clock=clock) == 1
    assert deliver_due(clock=clock) == 0

    [(headers, body)] = receiver.got
    data = Webhook(secret).verify(body, headers)
    assert data == {
        "type": "budget.alert", "timestamp": clock().isoformat(),
        "data": {"percent": 50, "name": "Ä"},
    }  # fmt: skip
    assert headers["host"] == receiver.url.split("/")[2]
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body.replace("50", "51"), headers)
    log = WebhookAttempt.objects.get()
    assert (log.status_code, log.address, log.error) == (200, "127.0.0.1", "")
    assert log.answer.startswith("thanks")
    assert len(log.answer) == 2000
    assert log.headers["webhook-id"] == headers["webhook-id"]
    assert WebhookDelivery.objects.get().status == "delivered"


def test_after_a_rotation_both_secrets_verify_for_a_day(acme, receiver, clock):
    row, old = endpoint(acme, receiver.url, clock)
    new = rotate_secret(endpoint_id=row.pk, now=clock())
    tell(acme, at=clock())
    deliver_due(clock=clock)

    [(headers, body)] = receiver.got
    Webhook(old).verify(body, headers)
    Webhook(new).verify(body, headers)
    row.refresh_from_db()
    assert row.previous_until == clock() + timedelta(hours=24)
    row.previous_until = clock() - timedelta(seconds=1)
    row.save()
    tell(acme, "two", at=clock())
    deliver_due(clock=clock)
    headers, body = receiver.got[1]
    Webhook(new).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(body, headers)


def test_a_failure_is_tried_again_by_the_schedule_and_then_given_up(acme, receiver, clock):
    _row, _ = endpoint(acme, receiver.url, clock)
    tell(acme, at=clock())
    receiver.status = 500
    started = clock()
    for step in SCHEDULE:
        assert deliver_due(clock=clock) == 1
        assert deliver_due(clock=clock) == 0
        WebhookEndpoint.objects.update(disabled_at=None, failing_since=None)
        delivery = WebhookDelivery.objects.get()
        assert step <= delivery.next_at - clock() <= step * 1.1
        clock.move(seconds=(delivery.next_at - clock()).total_seconds())
    assert deliver_due(clock=clock) == 1

    assert WebhookDelivery.objects.get().status == "failed"
    assert WebhookAttempt.objects.count() == len(receiver.got) == 10
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert timedelta(days=3) < clock() - started < timedelta(days=4)


def test_a_message_is_replayed_by_hand_under_its_own_id(acme, receiver, clock):
    _row, secret = endpoint(acme, receiver.url, clock)
    tell(acme, at=clock())
    with pytest.raises(StillUnderWay):
        replay_delivery(delivery_id=WebhookDelivery.objects.get().pk, now=clock())
    deliver_due(clock=clock)

    replay_delivery(delivery_id=WebhookDelivery.objects.get().pk, now=clock())
    deliver_due(clock=clock)

    (first, _), (again, body) = receiver.got
    assert first["webhook-id"] == again["webhook-id"]
    Webhook(secret).verify(body, again)
    assert WebhookAttempt.objects.count() == 2


def test_an_endpoint_that_fails_for_days_is_disabled_and_can_be_enabled(acme, receiver, clock):
    row, _ = endpoint(acme, receiver.url, clock)
    receiver.status = 503
    tell(acme, at=clock())
    deliver_due(clock=clock)
    clock.move(days=5)
    deliver_due(clock=clock)

    row.refresh_from_db()
    assert row.disabled_reason == "It has failed for 5 days."
    clock.move(days=5)
    tell(acme, "two", at=clock())
    assert deliver_due(clock=clock) == 0
    assert WebhookDelivery.objects.count() == 1
    with pytest.raises(EndpointDisabled):
        send_test(endpoint=row, now=clock())

    receiver.status = 204
    assert enable_endpoint(endpoint_id=row.pk)
    assert deliver_due(clock=clock) == 1
    assert WebhookDelivery.objects.get().status == "delivered"


def test_gone_disables_at_once_and_a_success_clears_the_failing(acme, receiver, clock):
    row, _ = endpoint(acme, receiver.url, clock)
    receiver.status = 500
    send_test(endpoint=row, now=clock())
    deliver_due(clock=clock)
    row.refresh_from_db()
    assert row.failing_since == clock()
    clock.move(seconds=6)
    receiver.status = 200
    deliver_due(clock=clock)
    row.refresh_from_db()
    assert row.failing_since is None

    receiver.status = 410
    send_test(endpoint=row, now=clock())
    deliver_due(clock=clock)

    row.refresh_from_db()
    assert row.disabled_reason == "It answered 410 Gone."
    assert not disable_endpoint(endpoint_id=row.pk, reason="x", now=clock())


@pytest.mark.parametrize("status", [301, 302, 307])
def test_redirects_are_not_followed(acme, receiver, clock, status):
    endpoint(acme, receiver.url, clock)
    tell(acme, at=clock())
    receiver.status = status
    deliver_due(clock=clock)

    assert WebhookAttempt.objects.get().status_code == status
    assert WebhookDelivery.objects.get().status == "pending"


def test_after_a_failure_the_other_messages_of_the_endpoint_wait(acme, receiver, clock):
    endpoint(acme, receiver.url, clock)
    for key in ("one", "two", "three"):
        tell(acme, key, at=clock())
    receiver.status = 500
    deliver_due(clock=clock)

    assert len(receiver.got) == 1
    assert [each.attempts for each in WebhookDelivery.objects.order_by("pk")] == [1, 0, 0]


@pytest.mark.parametrize(
    "url",
    [
        "http://acme.example/h",
        "ftp://acme.example/h",
        "https://user:pw@acme.example/h",
        "https://127.0.0.1/h",
        "https://10.0.0.1/h",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/h",
        "https://[::ffff:10.0.0.1]/h",
        "https://[64:ff9b::a00:1]/h",
        "https://[2002:a00:1::]/h",
        "https://224.0.0.1/h",
        "https://0.0.0.0/h",
        "https:///h",
        "https://acme.example:99999/h",
    ],
)
def test_an_address_that_is_not_public_https_is_refused_and_nothing_is_stored(acme, clock, url):
    with pytest.raises(AddressRefused):
        endpoint(acme, url, clock)
    assert not WebhookEndpoint.objects.exists()


def test_a_name_that_turns_private_is_refused_when_it_is_sent_to(acme, clock, monkeypatch):
    endpoint(acme, "https://acme.example/h", clock)
    tell(acme, at=clock())
    answer = [(2, 1, 6, "", ("93.184.216.34", 443)), (2, 1, 6, "", ("10.0.0.7", 443))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_args, **_kw: answer)
    deliver_due(clock=clock)

    log = WebhookAttempt.objects.get()
    assert log.status_code is None
    assert "acme.example" in log.error
    assert "no public address" in log.error


def test_without_a_type_there_is_no_endpoint_and_without_an_endpoint_no_row(acme, clock):
    with pytest.raises(EndpointInvalid):
        endpoint(acme, "https://acme.example/h", clock, types=[])
    tell(acme, at=clock())
    assert not WebhookDelivery.objects.exists()


def test_pauses_are_spread_by_at_most_a_tenth():
    for seed in range(300):
        for attempts, step in enumerate(SCHEDULE, start=1):
            assert step <= pause_after(attempts, seed=seed) <= step * 1.1


def settled_job(customer, key, *, state="succeeded"):
    from django.db import connection

    job_class, _ = JobClass.objects.get_or_create(key="render", defaults={"name": "Render"})
    now = datetime.now(tz=UTC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT usage_xid()")
        xid = cursor.fetchone()[0]
    return Job.objects.create(
        customer=customer, key=key, job_class=job_class, state=state, admitted_at=now,
        silent_at=now, ended_at=now, settled_at=now, settled_xid=xid, amount="1.50",
    )  # fmt: skip


def test_jobs_are_told_once_each_from_when_the_endpoint_was_made(acme, clean_usage, clock):
    settled_job(acme, "before")
    wait_for_horizon(within_s=60)
    types = [EventType.JOB_SETTLED, EventType.JOB_EXPIRED]
    endpoint(acme, "https://acme.example/h", clock, types=types)
    endpoint(None, "https://us.example/h", clock, types=types)
    for number in range(5):
        settled_job(acme, f"job-{number}")
    settled_job(acme, "lost", state="expired")
    settled_job(create_customer(key="other", name="Other"), "theirs")
    wait_for_horizon(within_s=60)

    while tell_of_jobs(jobs_max=2):
        pass
    tell_of_jobs()

    def told(url):
        rows = WebhookDelivery.objects.filter(endpoint__url=url).order_by("pk")
        return [(row.event.type, json.loads(row.event.payload)["data"]["key"]) for row in rows]

    own = [("job.settled", f"job-{n}") for n in range(5)] + [("job.expired", "lost")]
    assert told("https://acme.example/h") == own
    assert sorted(told("https://us.example/h")) == sorted([*own, ("job.settled", "theirs")])
    data = json.loads(WebhookDelivery.objects.first().event.payload)["data"]
    assert (data["amount"], data["currency"], data["job_class"]) == ("1.5", "USD", "render")
