import json

import pytest
from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import Http404
from rest_framework import exceptions, serializers

from config.api_errors import problem_handler


class CreditExhaustedError(Exception):
    code = "credit_exhausted"
    http_status = 402
    retry_after_s = 1.2

    def __init__(self):
        super().__init__("The pool holds 3.00 USD; this job may cost 5.00 USD.")
        self.problem_extra = {"available": "3.00"}


class InvoiceSerializer(serializers.Serializer):
    name = serializers.CharField()
    lines = serializers.ListField(child=serializers.DictField(child=serializers.IntegerField()))


def answer(error):
    response = problem_handler(error, {})
    return response.status_code, response.data, response


def test_the_members_of_a_problem():
    status, body, response = answer(exceptions.NotFound("There is no job 7."))

    assert status == 404
    assert response.content_type == "application/problem+json"
    assert body == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is no job 7.",
        "code": "not_found",
    }


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Http404("There is nothing."), 404, "not_found"),
        (PermissionDenied(), 403, "permission_denied"),
        (exceptions.NotAuthenticated(), 401, "not_authenticated"),
        (exceptions.ParseError(), 400, "parse_error"),
        (exceptions.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (exceptions.UnsupportedMediaType("text/x"), 415, "unsupported_media_type"),
    ],
)
def test_errors_of_the_frameworks(error, status, code):
    told, body, _ = answer(error)

    assert (told, body["status"], body["code"]) == (status, status, code)


def test_a_payload_that_does_not_hold_together_lists_its_fields():
    serializer = InvoiceSerializer(data={"lines": [{"a": 1}, {"a": "x"}]})
    with pytest.raises(exceptions.ValidationError) as caught:
        serializer.is_valid(raise_exception=True)

    status, body, _ = answer(caught.value)

    assert status == 422
    assert body["code"] == "invalid"
    assert body["errors"] == [
        {"field": "name", "code": "required", "detail": "This field is required."},
        {"field": "lines.1.a", "code": "invalid", "detail": "A valid integer is required."},
    ]


def test_a_models_validation_error():
    status, body, _ = answer(DjangoValidationError({"ends_at": ["Ends before it begins."]}))

    assert status == 422
    assert body["detail"] == "ends_at: Ends before it begins."


def test_a_domain_error_speaks_for_itself():
    status, body, response = answer(CreditExhaustedError())

    assert status == 402
    assert body["code"] == "credit_exhausted"
    assert body["available"] == "3.00"
    assert body["detail"] == "The pool holds 3.00 USD; this job may cost 5.00 USD."
    assert response.headers["Retry-After"] == "2"


def test_a_throttled_request_hears_when_to_come_back():
    _, body, response = answer(exceptions.Throttled(wait=30))

    assert body["code"] == "throttled"
    assert response.headers["Retry-After"] == "30"


def test_a_bug_stays_a_bug():
    assert problem_handler(KeyError("x"), {}) is None
    assert problem_handler(ZeroDivisionError(), {}) is None


def test_an_unknown_address_of_the_api_is_a_problem_too(client):
    response = client.get("/api/v1/no-such-thing")

    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"
    assert json.loads(response.content)["code"] == "not_found"


def test_other_addresses_answer_with_a_page(client):
    assert client.get("/no-such-thing")["Content-Type"].startswith("text/html")


def test_the_health_check(client, db):
    assert client.get("/healthz").json() == {"status": "ok"}


def test_the_start_page_leads_to_the_portal(client):
    assert client.get("/")["Location"] == "/portal/"


def test_the_schema_and_its_pages(client, db):
    assert client.get("/api/schema/").status_code == 200
    assert b"swagger-ui" in client.get("/api/docs/").content
