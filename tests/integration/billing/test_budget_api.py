"""Budgets over the API: by whom, with what answer, and what is refused."""

from decimal import Decimal as D

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from billing.models import BudgetAlert
from plans.models import Budget
from usage.operations.api_keys import issue_key

URL = "/api/v1/customers/{}/budget"


def client(*scopes):
    _, secret = issue_key(name="Console", scopes=scopes, now=timezone.now())
    found = APIClient()
    found.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return found


@pytest.fixture
def api(job_world):
    Budget.objects.all().delete()
    BudgetAlert.objects.all().delete()
    return client("read", "budgets")


def test_a_budget_is_set_read_and_removed(api, job_world):
    assert api.get(URL.format("aurora")).json()["code"] == "no_budget"

    put = api.put(URL.format("aurora"), {"amount": "10000", "reason": "A new year."})

    assert put.status_code == 200
    assert put.json() == {
        "customer": "aurora", "workspace": None, "currency": "USD", "amount": "10000.00",
        "used": "7630.90", "alert_percents": [50, 75, 90, 100], "alerted_percents": [50, 75],
        "stops": True, "throttle_percent": None, "throttle_to": 1, "email": "",
        "effects": [
            "$7,630.90 of $10,000.00 is spent or held now: 76%.",
            "Jobs are admitted until $2,369.10 more is spent or held.",
            "The alerts at 90% and 100% are still to come.",
        ],
    }  # fmt: skip
    assert api.get(URL.format("aurora")).json() == put.json()
    assert Budget.history.first().history_change_reason == "A new year. (set by Console)"
    assert api.delete(URL.format("aurora")).status_code == 204
    assert not Budget.objects.exists()
    assert api.delete(URL.format("aurora")).status_code == 404


def test_a_workspaces_key_names_its_own_budget(api, job_world):
    said = {
        "amount": "2500", "alert_percents": [80], "throttle_percent": 90, "throttle_to": 2,
        "stops": False,
    }  # fmt: skip
    answer = api.put(URL.format("aurora-film"), said).json()

    assert (answer["workspace"], answer["used"]) == ("aurora-film", "2525.10")
    assert answer["effects"] == [
        "$2,525.10 of $2,500.00 is spent or held now: 101%.",
        "Jobs go on beyond the budget: it only alerts.",
        "At most 2 jobs run at once from now on; 3 run now, and may finish.",
    ]
    assert Budget.objects.get().workspace == job_world.film


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({}, "amount"),
        ({"amount": "0"}, "amount"),
        ({"amount": "10.005"}, "amount"),
        ({"amount": "much"}, "amount"),
        ({"amount": "10", "alert_percents": [0]}, "alert_percents.0"),
        ({"amount": "10", "throttle_percent": 101}, "throttle_percent"),
        ({"amount": "10", "email": "nobody"}, "email"),
    ],
)
def test_a_refusal_names_the_field_and_changes_nothing(api, said, field):
    api.put(URL.format("aurora"), {"amount": "77"})

    answer = api.put(URL.format("aurora"), said)

    assert answer.status_code == 422, answer.json()
    assert [each["field"].partition(".0")[0] for each in answer.json()["errors"]] == [
        field.partition(".0")[0]
    ]
    assert Budget.objects.get().amount == D(77)
    assert Budget.history.filter(history_type="~").count() == 0


def test_scopes_and_unknown_keys_are_told(api, job_world):
    body = {"amount": "5"}
    assert api.put(URL.format("nobody"), body).json()["code"] == "unknown_customer"
    reader = client("read")
    assert reader.put(URL.format("aurora"), body).status_code == 403
    assert "budgets" in reader.put(URL.format("aurora"), body).json()["detail"]
    assert client("budgets").get(URL.format("aurora")).status_code == 403
    assert APIClient().get(URL.format("aurora")).status_code == 401
    assert not Budget.objects.exists()
