"""`GET /api/v1/statements/` and `/statements/{number}` with an API key that may read."""

import pytest
from django.test import Client

from billing.queries.statements import find_statements
from tests.fixtures.statements import DECEMBER, NOW, berlin, reviewed_statement
from usage.operations.api_keys import issue_key


@pytest.fixture
def get(acme):
    _, secret = issue_key(name="reader", scopes=["read"], now=NOW)

    def ask(address, secret=secret):
        return Client().get(f"/api/v1/{address}", headers={"authorization": f"Bearer {secret}"})

    return ask


def test_the_list_has_every_customers_statements_newest_first(get):
    answer = get("statements/").json()

    assert [(each["number"], each["total"]) for each in answer["results"]] == [
        ("OTHER-0001", "884.01"),
        ("ACME-0002", "904.01"),
        ("ACME-0001", "884.01"),
    ]
    assert answer["next"] is None
    assert answer["results"][1] == {
        "number": "ACME-0002",
        "customer": "ACME",
        "status": "finalised",
        "period_start": "2025-10-31T23:00:00Z",
        "period_end": "2025-11-30T23:00:00Z",
        "time_zone": "Europe/Berlin",
        "currency": "USD",
        "total": "904.01",
        "adjustments_total": "20.00",
        "finalised_at": "2025-12-02T23:00:00Z",
    }


def test_the_list_is_kept_to_a_customer_and_a_status(get, acme):
    reviewed_statement(acme.customer, acme.version, start=DECEMBER, end=berlin(2026, 1, 1))

    of_acme = get("statements/?customer=ACME&status=finalised").json()["results"]
    in_review = get("statements/?status=review").json()["results"]

    assert [each["number"] for each in of_acme] == ["ACME-0002", "ACME-0001"]
    assert [(each["customer"], each["number"]) for each in in_review] == [("ACME", "")]


def test_the_list_goes_on_after_its_cursor(get):
    first = find_statements(limit=2)

    second = get(f"statements/?after={first.after}").json()

    assert [row.number for row in first.rows] == ["OTHER-0001", "ACME-0002"]
    assert [each["number"] for each in second["results"]] == ["ACME-0001"]
    assert second["next"] is None


def test_one_statement_has_lines_that_explain_themselves(get):
    answer = get("statements/ACME-0001").json()

    assert (answer["total"], answer["line_count"], answer["lines_next"]) == ("884.01", 7, None)
    assert answer["lines"][1] == {
        "position": 2,
        "kind": "charge",
        "description": "Tokens",
        "amount": "517.50",
        "usage_quantity": "3500000",
        "quantity": "3500000",
        "unit": "tokens",
        "in_words": "3,500,000 tokens: 1,000,000 at 0.2 per 1,000 + 2,500,000 at 0.15 per 1,000, "
        "less 57.50 discount = 517.50",
        "period_start": "2025-09-30T22:00:00Z",
        "period_end": "2025-10-31T23:00:00Z",
        "meter": "tokens",
        "plan": "scale",
        "plan_version": 1,
        "price": "tokens",
        "line_key": "",
        "phase": "",
        "agreed": False,
        "parts": [
            {
                "label": "0 to 1,000,000", "quantity": "1000000",
                "rate": "$0.20 per 1,000 tokens", "flat": None, "amount": "200.00",
            },
            {
                "label": "Above 1,000,000", "quantity": "2500000",
                "rate": "$0.15 per 1,000 tokens", "flat": None, "amount": "375.00",
            },
        ],
        "adjustments": [{"kind": "discount", "quantity": None, "amount": "-57.50"}],
        "exact_amount": "517.50",
        "workspaces": [
            {"workspace": "acme-research", "quantity": "2625000"},
            {"workspace": "acme-studio", "quantity": "875000"},
        ],
        "late_starts": [],
        "corrects": "",
        "billed_before": None,
        "comes_to_now": None,
    }  # fmt: skip


def test_a_correction_says_what_it_corrects(get):
    line = get("statements/ACME-0002").json()["lines"][-1]

    assert (line["kind"], line["corrects"]) == ("adjustment", "ACME-0001")
    assert (line["billed_before"], line["comes_to_now"], line["amount"]) == (
        "46.90", "66.90", "20.00",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("address", "status", "code"),
    [
        ("statements/ACME-0009", 404, "unknown_statement"),
        ("statements/?customer=NOBODY", 404, "unknown_customer"),
        ("statements/?status=lost", 422, "invalid"),
        ("statements/?after=x", 422, "invalid"),
        ("statements/ACME-0001?after=-1", 422, "invalid"),
    ],
)
def test_refusals_are_problems_with_a_code(get, address, status, code):
    answer = get(address)

    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == code


def test_only_a_key_that_may_read_passes(get, acme):
    _, other = issue_key(name="sender", scopes=["ingest"], now=NOW)

    assert get("statements/", secret="wrong").status_code == 401
    assert get("statements/ACME-0001", secret=other).status_code == 403


def test_the_number_of_queries_is_fixed(get, django_assert_max_num_queries):
    get("statements/")
    with django_assert_max_num_queries(2):
        get("statements/")
    with django_assert_max_num_queries(4):
        get("statements/ACME-0002")


def test_the_schema_describes_both(client, db):
    schema = client.get("/api/schema/?format=json").json()

    assert schema["paths"]["/api/v1/statements/"]["get"]["operationId"] == "list_statements"
    assert schema["paths"]["/api/v1/statements/{number}"]["get"]["security"] == [{"apiKey": []}]
