"""What the OpenAPI document says of every operation alike is what every operation answers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from usage.models import Scope
from usage.operations.api_keys import issue_key

METHODS = {"get", "post", "put", "patch", "delete"}
NAMES = {
    "key": "acme",
    "job_id": "00000000-0000-4000-8000-000000000000",
    "outcome_id": "1",
    "number": "1",
}
COMMON = {
    401: ("not_authenticated", "authentication_failed"),
    403: ("permission_denied",),
    404: ("not_found",),
    405: ("method_not_allowed",),
    406: ("not_acceptable",),
    500: ("server_error",),
}


@pytest.fixture
def document(db, client: Client) -> dict[str, Any]:
    return client.get("/api/schema/?format=json").json()


@pytest.fixture
def service(db) -> Client:
    """A service with a key for everything."""
    return client_with(list(Scope))


def client_with(scopes: list[Scope]) -> Client:
    _, secret = issue_key(name="service", scopes=scopes, now=timezone.now())
    return Client(headers={"Authorization": f"Bearer {secret}"}, raise_request_exception=False)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield path, method and operation of all that there is."""
    found = [
        (path.format(**NAMES), method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    assert len(found) > 25
    yield from found


def said(answer: Any) -> tuple[int, str]:
    """Return status and code of what must be a problem."""
    assert answer["Content-Type"] == "application/problem+json", answer.content
    body = json.loads(answer.content)
    assert body["status"] == answer.status_code
    return answer.status_code, body["code"]


def test_the_document_tells_of_them(document) -> None:
    description = document["info"]["description"]
    for status, codes in COMMON.items():
        words = ", ".join(f"`{code}`" for code in codes)
        assert f"| {status} | {words} |" in description
    for _, _, operation in operations(document):
        assert {"401", "403", "406"} <= operation["responses"].keys()


def test_without_a_key_it_is_401(document, client) -> None:
    for path, method, _ in operations(document):
        answer = client.generic(method.upper(), path)
        assert said(answer) == (401, "not_authenticated"), path
        assert answer["WWW-Authenticate"] == 'Bearer realm="tollgate"'
        answer = client.generic(method.upper(), path, headers={"Authorization": "Bearer wrong"})
        assert said(answer) == (401, "authentication_failed"), path


def test_without_the_scope_it_is_403(document, db) -> None:
    sends_events, moves_clocks = client_with([Scope.INGEST]), client_with([Scope.TEST])
    for path, method, _ in operations(document):
        other = moves_clocks if path == "/api/v1/events" else sends_events
        assert said(other.generic(method.upper(), path)) == (403, "permission_denied"), path


def test_where_there_is_nothing_it_is_404(document, service) -> None:
    for path, method, _ in operations(document):
        answer = service.generic(method.upper(), f"{path.rstrip('/')}/no/such/thing")
        assert said(answer) == (404, "not_found"), path


def test_a_method_that_is_not_listed_is_405(document, service) -> None:
    for path, methods in document["paths"].items():
        for method in METHODS - set(methods):
            answer = service.generic(method.upper(), path.format(**NAMES))
            assert said(answer) == (405, "method_not_allowed"), (method, path)
            allowed = set(methods) | {"options"} | ({"head"} if "get" in methods else set())
            assert {each.lower() for each in answer["Allow"].split(", ")} == allowed, path


def test_who_accepts_no_json_gets_406(document, service) -> None:
    for path, method, _ in operations(document):
        answer = service.generic(method.upper(), path, headers={"Accept": "text/html"})
        assert said(answer) == (406, "not_acceptable"), path


def test_a_body_that_is_not_json_is_415_where_it_is_listed(document, service) -> None:
    listed = 0
    for path, method, operation in operations(document):
        if "415" in operation["responses"]:
            listed += 1
            answer = service.generic(
                method.upper(), path, b"a=1", content_type="text/plain",
                headers={"Idempotency-Key": "k"},
            )  # fmt: skip
            assert said(answer) == (415, "unsupported_media_type"), path
    assert listed == 8


def test_a_failure_of_ours_is_500(document, service, monkeypatch) -> None:
    def fail(**_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("billing.api.jobs.job_details", fail)
    answer = service.get("/api/v1/jobs/{job_id}".format(**NAMES))
    assert said(answer) == (500, "server_error")
