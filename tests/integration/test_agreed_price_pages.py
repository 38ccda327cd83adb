"""The pages of agreed prices: only approvers, beside the list price, and refused at their field."""

import re
from datetime import date
from decimal import Decimal as D
from types import SimpleNamespace

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing.staff import APPROVER, EDITOR, SUPPORT
from plans.admin.agreed_form import AgreedPriceForm
from plans.models import PriceOverride
from plans.operations.overrides import agree_price
from plans.operations.subscriptions import subscribe
from tests.fixtures.world import World, at

NOW = at(2025, 1, 20, 9)
TIERS = ((D(1000), "0.04"), (None, "0.03"))


@pytest.fixture
def world(db):
    """A world whose steps are undone with the test."""
    return World()


@pytest.fixture
def plans(world):
    """Acme on Scale, whose prices have every shape that the form knows."""
    tokens = world.meter("tokens", aggregation="sum", value_property="n", dimensions=["model"])
    calls, sales = world.meter("calls"), world.meter("sales", aggregation="sum", value_property="v")
    scale = world.plan(
        "scale",
        prices=(
            {"key": "fee", "name": "Fee", "model": "flat", "amount": D(310), "prorated": False},
            {"key": "calls", "name": "Calls", "model": "graduated", "meter": calls,
             "tiers": TIERS},
            {"key": "tokens", "name": "Tokens", "model": "matrix", "meter": tokens,
             "rates": [(["large"], "15"), (["small"], "3")], "default_amount": None},
            {"key": "sales", "name": "Sales", "model": "percentage", "meter": sales,
             "percent": D("2.5"), "free_transactions": 3},
        ),
    )  # fmt: skip
    acme = world.customer(time_zone="Europe/Berlin")
    subscribe(customer=acme, plan=scale, starts_at=at(2024, 12, 31, 23), now=NOW)
    return SimpleNamespace(acme=acme, scale=scale)


@pytest.fixture
def approver(client, staff, monkeypatch):
    timezone = SimpleNamespace(now=lambda: NOW)
    for module in ("agreed_prices", "customers"):
        monkeypatch.setattr(f"plans.admin.{module}.timezone", timezone)
    client.force_login(staff(APPROVER))
    return client


def address(plans, price=None):
    found = reverse("admin:plans_customer_agree", args=[plans.acme.pk])
    return f"{found}?plan=scale&price={price}" if price else found


SAID = {"start_date": "2025-02-01", "end_date": "", "reason": "A long contract."}


def look(client, plans, price, **said):
    return client.post(
        address(plans, price), {"step": "preview", **SAID, **said}, headers={"HX-Request": "true"}
    ).content.decode()


def do(client, plans, price, **said):
    return client.post(address(plans, price), {"step": "do", **SAID, **said})


def test_the_prices_of_the_customers_plan_are_offered(approver, plans):
    text = approver.get(address(plans)).content.decode()
    assert "List prices of Scale" in text
    assert "310.00 USD a period" in text
    assert "Graduated: up to 1,000 at 0.04, above at 0.03" in text
    assert approver.get(address(plans, "unknown")).status_code == 404
    assert "List prices" not in approver.get(address(plans) + "?plan=other").content.decode()


def test_a_fee_is_compared_and_agreed_on(approver, plans):
    text = approver.get(address(plans, "fee")).content.decode()
    assert 'value="310"' in text
    assert 'value="2025-02-01"' in text, "the next period is proposed"
    assert "The list price: 310.00 USD a period." in text
    text = look(approver, plans, "fee", amount="250")
    for words in ("310.00 USD", "250.00 USD", "\N{MINUS SIGN}60.00 USD", "Agree on this price"):
        assert words in text, words
    assert not PriceOverride.objects.exists()

    answer = do(approver, plans, "fee", amount="250", end_date="2026-02-01")
    assert answer.status_code == 302
    row = PriceOverride.objects.get()
    assert row.content == {
        "key": "fee", "name": "Fee", "model": "flat", "amount": "250", "prorated": False,
    }  # fmt: skip
    assert (row.starts_at, row.ends_at) == (at(2025, 1, 31, 23), at(2026, 1, 31, 23))
    assert (row.reason, row.created_by.get_username()) == ("A long contract.", "finance-approver")
    assert LogEntry.objects.get().change_message.endswith("Why: A long contract.")
    again = do(approver, plans, "fee", amount="250")
    assert "Another price is agreed with" in again.content.decode()
    assert PriceOverride.objects.count() == 1


def test_tiers_are_typed_as_rows(approver, plans):
    text = approver.get(address(plans, "calls")).content.decode()
    assert "1000; 0.04\nabove; 0.03</textarea>" in text
    tiers = "500; 0.03\n2000; 0.02; 5\nabove; 0.01"
    assert "up to 2,000 at 0.02 + 5 flat, above at 0.01" in look(
        approver, plans, "calls", tiers=tiers
    )
    do(approver, plans, "calls", tiers=tiers, minimum="40")
    content = PriceOverride.objects.get().content
    assert content["tiers"] == [
        {"up_to": "500", "unit": "0.03"},
        {"up_to": "2000", "unit": "0.02", "flat": "5"},
        {"up_to": None, "unit": "0.01"},
    ]
    assert content["minimum"] == "40"


def test_a_matrix_has_a_field_for_each_combination(approver, plans):
    said = {"rate_0": "12", "rate_1": "2.5", "default": ""}
    text = look(approver, plans, "tokens", **said)
    assert "large at 12, small at 2.5" in text
    do(approver, plans, "tokens", **said)
    content = PriceOverride.objects.get().content
    assert [rate["unit"] for rate in content["rates"]] == ["12", "2.5"]
    assert content["default"] == "refuse"


def test_counts_are_whole_numbers(approver, plans):
    do(approver, plans, "sales", percent="2", free_transactions="10")
    content = PriceOverride.objects.get().content
    assert (content["percent"], content["free_transactions"]) == ("2", 10)


@pytest.mark.parametrize(
    ("price", "said", "words"),
    [
        ("fee", {"amount": ""}, "It is missing."),
        ("fee", {"amount": "12,5"}, "“12,5” is not an amount of 0 or more"),
        ("fee", {"amount": "5", "discount_percent": "101"}, "is over 100%"),
        ("fee", {"amount": "5", "start_date": "2025-01-02"}, "was on Scale since"),
        ("fee", {"amount": "5", "end_date": "2025-01-15"}, "ends after it begins"),
        ("fee", {"amount": "5", "reason": ""}, "This field is required"),
        ("fee", {"amount": "5", "start_date": ""}, "This field is required"),
        ("fee", {"amount": "5", "start_date": "9999-12-31"}, "more than five years ahead"),
        ("calls", {"tiers": "1000; 0.04"}, "Tier 1: Nothing is priced above 1000"),
        ("calls", {"tiers": "1000; x\nabove; 1"}, "Tier 1: “x” is not an amount"),
        ("calls", {"tiers": "1000; 1; 2; 3\nabove; 1"}, "Tier 1: “more” is not a field here"),
        ("calls", {"tiers": ""}, "It is empty."),
        ("tokens", {"rate_0": "-1", "rate_1": "2", "default": ""}, "is not an amount"),
        ("sales", {"percent": "2", "free_transactions": "half"}, "is not a whole number"),
    ],
)
def test_what_cannot_be_agreed_on_is_said_at_its_field(approver, plans, price, said, words):
    text = do(approver, plans, price, **said).content.decode()
    assert words in text
    assert not PriceOverride.objects.exists()


@pytest.mark.parametrize("group", [EDITOR, SUPPORT, None])
def test_only_who_may_publish_agrees_on_prices(client, staff, plans, group):
    row = agree(plans)
    client.force_login(staff(group))
    assert client.post(address(plans, "fee"), {"step": "do", **SAID}).status_code == 403
    end = reverse("admin:plans_customer_end_agreed", args=[plans.acme.pk, row.pk])
    assert client.post(end, {"end_date": "2025-06-01"}).status_code == 403
    row.refresh_from_db()
    assert row.ends_at is None
    assert PriceOverride.objects.count() == 1


def agree(plans, **said):
    given = {
        "customer": plans.acme, "plan": plans.scale, "starts_at": at(2025, 1, 31, 23),
        "content": {"key": "fee", "name": "Fee", "model": "flat", "amount": "250"},
        "reason": "A long contract.", "by": None, "now": NOW, **said,
    }  # fmt: skip
    return agree_price(**given)


def test_it_is_listed_on_the_customers_page_and_ended_there(approver, plans):
    row = agree(plans)
    customer = reverse("admin:plans_customer_change", args=[plans.acme.pk])
    text = approver.get(customer).content.decode()
    for words in ("310.00 USD a period", "250.00 USD a period", "\N{MINUS SIGN}60.00 USD",
                  "A long contract.", "01 February 2025 (Europe/Berlin)", "scheduled"):  # fmt: skip
        assert words in text, words
    end = reverse("admin:plans_customer_end_agreed", args=[plans.acme.pk, row.pk])
    assert end in text
    early = approver.post(end, {"end_date": "2025-01-31"}).content.decode()
    assert "nor before it begins on 31 January 2025 23:00 UTC" in early
    approver.post(end, {"end_date": "2025-06-01"})
    row.refresh_from_db()
    assert row.ends_at == at(2025, 5, 31, 22)
    assert end not in approver.get(customer).content.decode()


def test_the_version_says_who_has_other_prices(approver, plans):
    version = reverse("admin:plans_planversion_change", args=[plans.scale.versions.get().pk])
    assert "another price stands in" not in approver.get(version).content.decode()
    agree(plans)
    text = approver.get(version).content.decode()
    assert "another price stands in" in text
    assert re.search(r'customer/\d+/change/#tg-agreed">Acme</a>', text)


def test_the_customers_page_reads_no_more_for_many_agreed_prices(approver, plans):
    customer = reverse("admin:plans_customer_change", args=[plans.acme.pk])
    agree(plans)
    approver.get(customer)
    with CaptureQueriesContext(connection) as one:
        approver.get(customer)
    for month in range(3, 9):
        agree(
            plans, starts_at=at(2025, month, 1), ends_at=at(2025, month, 9),
            content={"key": "sales", "name": "Sales", "model": "percentage", "meter": "sales",
                     "percent": "1"},
        )  # fmt: skip
    with CaptureQueriesContext(connection) as many:
        approver.get(customer)
    assert len(many) == len(one)


def test_what_the_form_shows_is_what_the_list_says(plans):
    """Sent back as it came, a form states the list price."""
    from plans.catalogue.dump import price_content
    from plans.terms import PriceRows

    version = plans.scale.versions.get()
    for row in version.prices.all():
        listed = price_content(PriceRows(row, list(row.tiers.all()), list(row.rates.all())))
        blank = AgreedPriceForm(listed=listed, customer=plans.acme)
        sent = {name: field.initial or "" for name, field in blank.fields.items()}
        form = AgreedPriceForm(
            sent | SAID | {"start_date": date(2025, 2, 1)}, listed=listed, customer=plans.acme
        )
        assert form.is_valid(), form.errors
        assert form.content == listed
