"""Services are answered before Django is asked, and in every word as Django would."""

import json
from decimal import Decimal as D
from http import HTTPStatus
from typing import Any, NamedTuple

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import billing.api.jobs
from tests.fixtures.jobs import job_class, job_grants
from tests.fixtures.world import EVER, World
from usage.api.service_entry import ServiceEntry
from usage.models import Job, JobStep
from usage.operations.api_keys import issue_key

JSON = "application/json"
JOBS = "/api/v1/jobs"


class Answered(NamedTuple):
    """What came back, and whether Django was asked for it."""

    status: int
    headers: dict[str, str]
    body: Any
    by_django: bool


class Server:
    """The entry with Django behind it, and Django alone."""

    def __init__(self, secret: str) -> None:
        self._bearer = f"Bearer {secret}"
        self._asked = 0
        self._django = WSGIHandler()
        self._entry = ServiceEntry(self._noting)

    def _noting(self, environ: dict[str, Any], start_response: Any) -> Any:
        self._asked += 1
        return self._django(environ, start_response)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        alone: bool = False,
        content_type: str = JSON,
        **headers: str | None,
    ) -> Answered:
        """Send a request to the entry, or to Django ``alone``."""
        said = {"Authorization": self._bearer, "Host": "127.0.0.1:8000"} | headers
        content = b"" if body is None else json.dumps(body).encode()
        environ = (
            RequestFactory()
            .generic(
                method, path, content, content_type,
                headers={name.replace("_", "-"): each for name, each in said.items() if each},
            )
            .environ
        )  # fmt: skip
        started: list[Any] = []
        before = self._asked
        answer = (self._noting if alone else self._entry)(
            environ, lambda status, headers: started.extend((status, headers))
        )
        content = b"".join(answer)
        getattr(answer, "close", int)()
        status, said_headers = started
        code, _, phrase = status.partition(" ")
        assert phrase == HTTPStatus(int(code)).phrase
        headers_said = dict(said_headers)
        assert len(headers_said) == len(said_headers)
        is_json = "json" in headers_said.get("Content-Type", "")
        return Answered(
            int(code), headers_said, json.loads(content) if is_json else content,
            by_django=self._asked > before,
        )  # fmt: skip


@pytest.fixture
def server(world: World) -> Server:
    meter = world.meter()
    job_class(uses={meter: ("1", "2", "3")})
    plan = world.plan(
        prices=({"key": "jobs", "model": "per_unit", "amount": D("0.10"), "meter": meter},),
        grants=job_grants(limits=(("concurrent_jobs", "2", ""),)),
    )
    world.subscribe(world.customer("acme"), plan, starts_at=EVER)
    _, secret = issue_key(name="all", scopes=["jobs", "ingest"], now=timezone.now())
    return Server(secret)


def asked(**said: Any) -> dict[str, Any]:
    return {"subject": "acme", "job_class": "render", **said}


def admit(server: Server, key: str, **how: Any) -> Answered:
    return server.ask("POST", JOBS, asked(), Idempotency_Key=key, **how)


def both(server: Server, *request: Any, **how: Any) -> Answered:
    """Ask the entry and Django alone, and return what both answer."""
    first = server.ask(*request, **how)
    second = server.ask(*request, alone=True, **how)
    assert not first.by_django
    assert first[:3] == second[:3]
    return first


def passed_on(server: Server, *request: Any, **how: Any) -> Answered:
    """Ask the entry for what it leaves to Django, and Django alone; return what both answer."""
    first = server.ask(*request, **how)
    second = server.ask(*request, alone=True, **how)
    assert first.by_django
    assert first == second
    return first


def test_a_job_is_admitted_as_django_would(server):
    first, second = admit(server, "one"), admit(server, "two", alone=True)
    assert (first.status, first.by_django) == (201, False)
    assert second.status == 201
    own = {"id", "admitted_at", "silent_at"}
    assert first.body.keys() == second.body.keys()
    assert {k: v for k, v in first.body.items() if k not in own} == {
        k: v for k, v in second.body.items() if k not in own
    }
    lengths = first.headers.pop("Content-Length"), second.headers.pop("Content-Length")
    assert first.headers == second.headers
    assert abs(int(lengths[0]) - int(lengths[1])) < 10
    assert list(Job.objects.order_by("pk").values_list("key", flat=True)) == ["one", "two"]


def test_what_goes_well_is_answered_before_django(server):
    job = admit(server, "one").body["id"]
    assert both(server, "POST", JOBS, asked(), Idempotency_Key="one").status == 200
    assert both(server, "GET", f"{JOBS}/{job}").body["id"] == job
    begun = both(server, "POST", f"{JOBS}/{job}/attempts", {"number": 1}, Idempotency_Key="a")
    assert begun.status == 200
    beat = both(server, "POST", f"{JOBS}/{job}/heartbeat", {"usage": []}, Idempotency_Key="b")
    assert beat.body["answer"] == "continue"
    assert both(server, "POST", f"{JOBS}/{job}/complete", {}, Idempotency_Key="c").status == 200
    assert JobStep.objects.filter(job__public_id=job).count() == 4
    event = {"specversion": "1.0", "id": "e", "source": "s", "type": "jobs",
             "subject": "acme"}  # fmt: skip
    stored = both(server, "POST", "/api/v1/events", [event])
    assert (stored.status, stored.body) == (204, b"")
    assert "Content-Type" not in stored.headers
    reported = both(server, "POST", "/api/v1/events", [event], Prefer="return=representation")
    assert reported.body == {"accepted": 0, "duplicates": 1, "rejected": []}
    assert reported.headers["Preference-Applied"] == "return=representation"


def test_headers_are_those_of_the_settings(server, settings):
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 60
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.ALLOWED_HOSTS = ["bill.example"]
    server = Server(server._bearer.removeprefix("Bearer "))
    well = {"Host": "bill.example", "X_Forwarded_Proto": "https"}
    job = admit(server, "one", **well).body["id"]
    found = both(server, "GET", f"{JOBS}/{job}", **well)
    assert found.headers["Strict-Transport-Security"].startswith("max-age=60")
    assert found.headers["X-Content-Type-Options"] == "nosniff"
    assert found.headers["Referrer-Policy"] == "same-origin"

    openly = passed_on(server, "GET", f"{JOBS}/{job}", Host="bill.example")
    assert openly.status == 301
    assert openly.headers["Location"] == f"https://bill.example{JOBS}/{job}"
    elsewhere = passed_on(server, "GET", f"{JOBS}/{job}", **{**well, "Host": "other.example"})
    assert elsewhere.status == 400
    assert passed_on(server, "GET", f"{JOBS}/{job}", **{**well, "Host": ""}).status == 400


@pytest.mark.parametrize(
    ("request_", "how", "status", "code"),
    [
        (("GET", JOBS), {}, 405, "method_not_allowed"),
        (("PUT", JOBS), {}, 405, "method_not_allowed"),
        (("GET", "/api/v1/nothing"), {}, 404, "not_found"),
        (("GET", f"{JOBS}/00000000-0000-4000-8000-000000000000"), {}, 404, "unknown_job"),
        (("POST", JOBS, asked()), {"Accept": "text/html"}, 406, "not_acceptable"),
        (("POST", JOBS, asked()), {"Authorization": None}, 401, "not_authenticated"),
        (("POST", JOBS, asked()), {"Authorization": "Bearer x"}, 401, "authentication_failed"),
        (("POST", JOBS, asked()), {}, 422, "invalid"),
        (("POST", JOBS, [1]), {"Idempotency_Key": "k"}, 422, "invalid"),
        (("POST", JOBS, asked(subject="nobody")), {"Idempotency_Key": "k"}, 404, "unknown_subject"),
        (("POST", JOBS, asked(features=["x"])), {"Idempotency_Key": "k"}, 403,
         "feature_not_granted"),
        (("POST", "/api/v1/events", [{}]), {}, 400, None),
    ],
)  # fmt: skip
def test_what_is_refused_is_answered_by_django(server, request_, how, status, code):
    found = passed_on(server, *request_, **how)
    assert found.status == status
    assert code is None or found.body["code"] == code
    assert not Job.objects.exists()


def test_a_query_is_answered_by_django(server):
    found = server.ask("POST", f"{JOBS}?dry_run=true", asked())
    assert (found.by_django, found.status, found.body["id"]) == (True, 200, None)
    assert not Job.objects.exists()


def test_pages_are_answered_by_django(server):
    assert passed_on(server, "GET", "/portal/").status == 302


@pytest.mark.parametrize("path", [JOBS, "/api/v1/events"])
def test_a_key_that_is_refused_is_looked_up_no_more_often_than_by_django(server, path):
    def queries(*, alone: bool) -> int:
        with CaptureQueriesContext(connection) as asked:
            answer = server.ask("POST", path, {}, alone=alone, Authorization="Bearer none")
        assert answer.status == 401
        return len(asked)

    assert queries(alone=False) == queries(alone=True) == 2


def test_a_refusal_is_decided_once(server, monkeypatch):
    asked_for: list[str] = []

    def admit_noted(*, key: str, **how: Any) -> Any:
        asked_for.append(key)
        return billing.jobs.admitting.admit(key=key, **how)

    monkeypatch.setattr(billing.api.jobs, "admit", admit_noted)
    for key in ("one", "two"):
        assert admit(server, key).status == 201
    refused = admit(server, "three")
    assert (refused.status, refused.body["code"]) == (429, "too_many_concurrent_jobs")
    assert refused.headers["Retry-After"] == "5"
    assert asked_for == ["one", "two", "three"]
    assert refused.headers == admit(server, "four", alone=True).headers
    assert Job.objects.count() == 2


def test_a_failure_of_ours_is_500_and_not_tried_again(server, monkeypatch, caplog):
    tried: list[str] = []

    def fail(*, key: str, **_: Any) -> None:
        tried.append(key)
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(billing.api.jobs, "admit", fail)
    failed = admit(server, "one")
    assert (failed.status, failed.body["code"]) == (500, "server_error")
    assert tried == ["one"]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_is_too_old_is_closed_after_an_answer(server):
    job = admit(server, "one").body["id"]
    connection.ensure_connection()
    connection.close_at = 0
    assert server.ask("GET", f"{JOBS}/{job}").status == 200
    assert connection.connection is None
    assert server.ask("GET", f"{JOBS}/{job}").status == 200
