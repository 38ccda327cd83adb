"""The portal's pages: who sees what, with which amounts, in how many queries."""

import pytest
from django.urls import reverse

from tests.fixtures.statements import (
    DECEMBER,
    PASSWORD,
    UserFactory,
    berlin,
    draft_statement,
    finalised_statement,
    parked_statement,
)

PAGES = [
    "/portal/",
    "/portal/usage/",
    "/portal/statements/",
    "/portal/statements/ACME-0001/",
    "/portal/statements/ACME-0001/lines/2/events/",
]
pytestmark = pytest.mark.usefixtures("on_10_december")


@pytest.fixture
def owner(client, busy_acme):
    client.force_login(busy_acme.owner)
    return client


def text(response):
    assert response.status_code == 200, response.status_code
    return " ".join(response.content.decode().split())


@pytest.mark.parametrize("page", PAGES)
def test_without_a_login_every_page_asks_for_one(client, busy_acme, page):
    response = client.get(page)

    assert response.status_code == 302
    assert response.headers["Location"] == f"/portal/login/?next={page}"


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("who", ["owner", "member"])
def test_everyone_of_the_customer_sees_every_page(client, busy_acme, page, who):
    client.force_login(getattr(busy_acme, who))

    assert "Acme Pictures" in text(client.get(page))


@pytest.mark.parametrize(
    "page", ["/portal/statements/ACME-0001/", "/portal/statements/ACME-0001/lines/2/events/"]
)
def test_a_stranger_finds_nothing_of_acme(client, busy_acme, page):
    client.force_login(busy_acme.stranger)

    assert client.get(page).status_code == 404
    listed = text(client.get("/portal/statements/"))
    assert "OTHER-0001" in listed
    assert "ACME" not in listed
    assert "Acme" not in text(client.get("/portal/"))


def test_a_stranger_is_answered_as_for_a_statement_that_does_not_exist(client, busy_acme):
    client.force_login(busy_acme.stranger)

    of_acme = client.get("/portal/statements/ACME-0001/")
    of_nobody = client.get("/portal/statements/ACME-0042/")

    assert (of_acme.status_code, of_nobody.status_code) == (404, 404)
    assert of_acme.content == of_nobody.content


@pytest.mark.parametrize(
    ("is_staff", "said"), [(True, "Go to the administration"), (False, "Ask the person who")]
)
def test_an_account_without_a_customer_is_told_so(client, db, is_staff, said):
    client.force_login(UserFactory(is_staff=is_staff))

    response = client.get("/portal/")

    assert response.status_code == 403
    assert said in response.content.decode()


def test_signing_in_leads_to_the_page_that_was_asked_for(client, busy_acme):
    response = client.post(
        "/portal/login/?next=/portal/statements/ACME-0001/",
        {"username": "olga", "password": PASSWORD, "next": "/portal/statements/ACME-0001/"},
    )

    assert response.headers["Location"] == "/portal/statements/ACME-0001/"


def test_signing_out_closes_the_door(owner):
    owner.post(reverse("portal:logout"))

    assert owner.get("/portal/").status_code == 302


def test_the_overview_shows_the_total_to_date_and_its_lines(owner):
    shown = text(owner.get("/portal/"))

    assert "December 2025 so far" in shown
    assert "$359.25" in shown
    assert "$227.25" in shown
    assert "Day 10 of 31" in shown
    assert "Not charged, since your plan has no price for it: Fax pages (4 pages)." in shown
    assert "$904.01" in shown


def test_usage_is_shown_by_day_dimension_and_workspace(owner):
    shown = text(owner.get("/portal/usage/"))

    assert "<title>8 December 2025: 230,000 tokens</title>" in shown
    assert "model a100, region eu" in shown
    assert "83.3%" in shown


def test_a_statement_shows_its_amounts_and_corrections(owner):
    shown = text(owner.get("/portal/statements/ACME-0002/"))

    for amount in ("$904.01", "$884.01", "$517.50", "-$57.50", "$123.114166666667", "$20.00"):
        assert amount in shown, amount
    assert "October 2025, corrects ACME-0001" in shown
    assert "/portal/statements/ACME-0002/lines/8/events/" in shown


def test_a_statement_that_is_not_final_is_announced_and_not_shown(owner, busy_acme):
    draft_statement(busy_acme.customer, busy_acme.version, start=DECEMBER, end=berlin(2026, 1, 1))
    parked_statement(
        busy_acme.customer, start=berlin(2026, 1, 1), end=berlin(2026, 2, 1), reason="A secret."
    )

    shown = text(owner.get("/portal/statements/"))

    assert shown.count("In preparation") == 2
    assert "from 3 January 2026" in shown
    assert "A secret." not in shown


def test_events_behind_a_line_come_with_what_each_counts(owner, busy_acme):
    statement = finalised_statement(
        busy_acme.customer, busy_acme.version, start=DECEMBER, end=berlin(2026, 1, 1)
    )

    shown = text(owner.get(f"/portal/statements/{statement.number}/lines/3/events/"))

    assert shown.count("<code>gpu-acme-research-") == 5
    assert "gpu-acme-studio" not in shown
    assert "1 December 2025, 11:00" in shown
    assert "7,200 seconds" in shown
    assert "Research" in shown


def test_events_go_on_page_by_page(owner, busy_acme, monkeypatch):
    monkeypatch.setattr("billing.queries.events.EVENTS_PER_PAGE", 10)
    statement = finalised_statement(
        busy_acme.customer, busy_acme.version, start=DECEMBER, end=berlin(2026, 1, 1)
    )
    address = f"/portal/statements/{statement.number}/lines/2/events/"

    first = owner.get(address)
    after = first.context["page"].after
    second = owner.get(address, {"after": after})

    assert len(first.context["page"].rows) == 10
    assert len(second.context["page"].rows) == 8
    assert second.context["page"].after == ""
    seen = {row.event_id for page in (first, second) for row in page.context["page"].rows}
    assert len(seen) == 18


@pytest.mark.parametrize(
    "address",
    [
        "/portal/statements/?after=x",
        "/portal/statements/ACME-0001/?after=-1",
        "/portal/statements/ACME-0001/lines/2/events/?after=x",
        "/portal/statements/ACME-0001/lines/2/events/?after=%C3%A4",
        "/portal/statements/ACME-0001/lines/2/events/?after=WyJhIiwgImIiLCAiYyJd",
        "/portal/statements/ACME-0001/lines/1/events/",
        "/portal/statements/ACME-0001/lines/99/events/",
    ],
)
def test_what_no_page_has_offered_is_not_found(owner, address):
    assert owner.get(address).status_code == 404


@pytest.mark.parametrize("page", [*PAGES, "/portal/login/"])
def test_pages_load_nothing_from_elsewhere_and_are_not_kept(owner, page):
    response = owner.get(page)

    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "no-store" in response.headers["Cache-Control"]
    assert b"<script" not in response.content
    assert b" style=" not in response.content


@pytest.mark.parametrize(
    ("page", "queries"),
    [
        ("/portal/statements/", 5),
        ("/portal/statements/ACME-0001/", 6),
        ("/portal/statements/ACME-0002/", 6),
    ],
)
def test_the_number_of_queries_is_fixed(owner, django_assert_num_queries, page, queries):
    with django_assert_num_queries(queries):
        owner.get(page)


def test_a_customer_without_a_plan_sees_why_there_is_nothing(client, busy_acme):
    client.force_login(busy_acme.stranger)

    assert "There is no running plan" in text(client.get("/portal/"))
    assert "There is no running plan" in text(client.get("/portal/usage/"))


def test_a_page_of_lines_continues(owner, monkeypatch):
    monkeypatch.setattr("billing.queries.pages.LINES_PER_PAGE", 5)

    first = owner.get("/portal/statements/ACME-0001/")
    second = owner.get("/portal/statements/ACME-0001/?after=5")

    assert len(first.context["page"].charges) == 5
    assert "More lines" in text(first)
    assert [line.position for line in second.context["page"].charges] == [6, 7]
