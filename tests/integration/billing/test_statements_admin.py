"""Statements in the admin: who may do what, what is found, in how many queries."""

import json

import pytest
from django.urls import reverse

from billing.models import Statement
from billing.staff import APPROVER, SUPPORT
from tests.fixtures.statements import (
    DECEMBER,
    CustomerFactory,
    berlin,
    open_statement,
    parked_statement,
    reviewed_statement,
)

LIST = "/admin/billing/statement/"
JANUARY = berlin(2026, 1, 1)


def page_of(statement, *rest):
    return "/".join([f"{LIST}{statement.pk}", *rest, ""])


@pytest.fixture
def review(acme):
    return reviewed_statement(acme.customer, acme.version, start=DECEMBER, end=JANUARY)


@pytest.fixture
def approver(client, staff):
    client.force_login(staff(APPROVER))
    return client


@pytest.fixture
def supporter(client, staff):
    client.force_login(staff(SUPPORT))
    return client


def text(response):
    assert response.status_code == 200, response.status_code
    return " ".join(response.content.decode().split())


def test_the_list_shows_customer_period_status_and_total(approver, acme):
    parked_statement(acme.customer, start=DECEMBER, end=JANUARY, reason="No rate for b200.")

    shown = text(approver.get(LIST))

    for said in ("ACME-0002", "November 2025", "Europe/Berlin", "$904.01", "No rate for b200."):
        assert said in shown, said


@pytest.mark.parametrize(
    ("term", "numbers"),
    [
        ("ACME-0001", ["ACME-0001"]),
        ("acme-0001", ["ACME-0001"]),
        ("pictures", ["ACME-0002", "ACME-0001"]),
        ("OTHER", ["OTHER-0001"]),
        ("nobody", []),
    ],
)
def test_statements_are_found_by_number_and_by_customer(approver, acme, term, numbers):
    found = approver.get(LIST, {"q": term}).context["cl"].result_list

    assert [statement.number for statement in found] == numbers


@pytest.mark.parametrize(
    "query", ["status__exact=review", "parked_at__isempty=0", "customer__id__exact={customer}"]
)
def test_the_lists_that_other_pages_link_to_open(approver, review, query):
    query = query.format(customer=review.customer_id)

    assert approver.get(f"{LIST}?{query}").status_code == 200


def test_the_list_takes_as_many_queries_for_many_as_for_few(
    approver, acme, django_assert_num_queries
):
    approver.get(LIST)
    with django_assert_num_queries(5) as few:
        approver.get(LIST)
    for month in range(1, 9):
        open_statement(CustomerFactory(), start=JANUARY, end=berlin(2026, month + 1, 1))
    with django_assert_num_queries(5):
        approver.get(LIST)
    assert not [query for query in few.captured_queries if "COUNT(" in query["sql"]]


def test_the_page_has_the_explanation_the_hashes_and_the_links(approver, acme):
    shown = text(approver.get(page_of(acme.november, "change")))

    line = acme.november.lines.get(position=2)
    for said in (
        "$517.50",
        "$0.15 per 1,000 tokens",
        acme.november.content_hash,
        acme.november.previous_hash,
        reverse("admin:plans_planversion_change", args=[acme.version.pk]),
        reverse("admin:plans_meter_change", args=[line.meter_id]),
        reverse("admin:billing_statement_events", args=[acme.november.pk, 2]),
        "Verify this statement",
    ):
        assert said in shown, said
    assert "Approve" not in shown
    assert "Save" not in shown


def test_the_page_takes_a_fixed_number_of_queries(approver, acme, django_assert_num_queries):
    approver.get(page_of(acme.october, "change"))
    for statement in (acme.october, acme.november):
        with django_assert_num_queries(9):
            approver.get(page_of(statement, "change"))


def test_events_and_facts_open(approver, busy_acme):
    events = approver.get(page_of(busy_acme.october, "lines", "2", "events"))
    facts = approver.get(page_of(busy_acme.october, "facts.json").rstrip("/"))

    assert "Events behind Tokens" in text(events)
    assert json.loads(facts.content)["customer"] == "ACME"
    assert facts.headers["Content-Disposition"] == 'attachment; filename="ACME-0001.facts.json"'


def test_approving_restates_the_amount_and_is_safe_on_a_second_click(approver, review):
    address = page_of(review, "approve")

    asked = text(approver.get(address))
    first = approver.post(address, {"confirm": "yes"}, follow=True)
    second = approver.post(address, {"confirm": "yes"}, follow=True)

    assert "Acme Pictures (ACME) is billed $884.01." in asked
    assert "Approve $884.01" in asked
    assert "Approved: Acme Pictures, December 2025, $884.01." in text(first)
    assert "was approved already" in text(second)
    approved = Statement.objects.get(pk=review.pk)
    assert approved.approved_by.username == "finance-approver"
    assert approved.approved_at is not None


def test_retrying_clears_what_parked_it(approver, acme):
    parked = parked_statement(acme.customer, start=DECEMBER, end=JANUARY)

    approver.post(page_of(parked, "retry"), {"confirm": "yes"})

    assert Statement.objects.get(pk=parked.pk).parked_at is None


def test_several_parked_are_retried_from_the_list(approver, acme):
    parked = parked_statement(acme.customer, start=DECEMBER, end=JANUARY)

    answer = approver.post(
        LIST,
        {"action": "retry_selected", "_selected_action": [parked.pk, acme.october.pk]},
        follow=True,
    )

    assert "1 parked statement(s) are tried again" in text(answer)
    assert Statement.objects.get(pk=parked.pk).parked_at is None


def test_verifying_builds_the_statement_again(approver, acme):
    answer = approver.get(page_of(acme.november, "verify"), follow=True)

    assert "ACME-0002 was built again from its facts" in text(answer)


@pytest.mark.parametrize("action", ["approve", "retry"])
def test_who_may_only_read_changes_nothing(supporter, review, action):
    assert supporter.post(page_of(review, action), {"a": "b"}).status_code == 403
    assert Statement.objects.get(pk=review.pk).approved_at is None
    shown = text(supporter.get(page_of(review, "change")))
    assert "Approve" not in shown.replace("Approved", "")


@pytest.mark.parametrize("rest", ["change/", "lines/2/events/", "facts.json", "verify/"])
def test_staff_without_a_group_sees_no_statement(client, staff, acme, rest):
    client.force_login(staff(username="temp"))

    assert client.get(f"{LIST}{acme.october.pk}/{rest}").status_code == 403


@pytest.mark.parametrize("rest", ["add", "{pk}/delete"])
def test_nothing_is_added_or_deleted_by_hand(client, acme, django_user_model, rest):
    client.force_login(django_user_model.objects.create_superuser("ada"))

    assert client.get(LIST + rest.format(pk=acme.october.pk) + "/").status_code == 403


def test_a_page_that_is_not_there_is_not_found(approver, acme):
    assert approver.get(f"{LIST}999999/change/").status_code == 404
    assert approver.get(f"{LIST}{acme.october.pk}/change/?after=x").status_code == 404
