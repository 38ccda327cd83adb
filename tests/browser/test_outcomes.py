"""Outcome contracts and outcomes in a real browser: the editor's preview, and the portal."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from plans.models import Membership, OutcomeContractVersion
from tests.fixtures.outcomes import claim, contract
from tests.fixtures.world import EVER, World
from usage.models import Outcome

pytestmark = pytest.mark.browser


@pytest.fixture
def plan(clean_usage):
    world = World()
    plan = world.plan(prices=({"key": "fee", "model": "flat", "amount": 1},))
    world.subscribe(world.customer(), plan, starts_at=EVER)
    return plan


def test_a_contract_is_typed_tried_and_saved(plan, staff, signed_in_page, screenshot):
    page = signed_in_page(staff("Finance editor"))
    page.goto("/admin/plans/outcomecontract/add/")
    for name, text in (
        ("key", "leads"), ("name", "Qualified leads"), ("unit", "leads"),
        ("evidence", "score: number"), ("success", "speed > 5"),
        ("amount", "40"), ("risk_premium_percent", "18"),
        ("examples", "score=7\nscore=3"),
    ):  # fmt: skip
        page.locator(f"#id_{name}").fill(text)
    page.locator("#id_plan").select_option(label="Plan")
    problem = page.locator("#id_success-problem")
    expect(problem).to_contain_text("At character 1: there is no evidence field “speed”")
    expect(page.get_by_role("alert")).to_contain_text(
        "To be mended above: What counts as a success"
    )
    expect(page.locator(".tg-problem:visible")).to_have_count(1)
    screenshot("1-refused")
    page.locator("#id_success").fill("score >= 5")
    page.locator("#id_success").blur()
    expect(problem).to_be_hidden()
    words = page.get_by_role("region", name="In words").last
    expect(page.get_by_text("It is a success where score is at least 5.").first).to_be_visible()
    expect(page.get_by_role("cell", name="47.20 USD").first).to_be_visible()
    expect(words).to_be_visible()
    screenshot("2-tried")
    page.get_by_role("button", name="Save the draft").click()
    expect(page.get_by_text("Version 1 of Qualified leads is saved.")).to_be_visible()
    screenshot("3-saved")
    assert OutcomeContractVersion.objects.get().content["success"] == "score >= 5"


def test_a_customer_verifies_and_rejects_in_the_portal(
    plan, django_user_model, signed_in_page, screenshot
):
    now = datetime.now(UTC)
    contract(
        plan=plan, dispute_days=30,
        verification={"by": "customer", "window_hours": 72, "silence": "rejected"},
    )  # fmt: skip
    claim("ticket-1", "ticket-2", at=now - timedelta(hours=3), now=now - timedelta(hours=2))
    user = django_user_model.objects.create(username="olga")
    Membership.objects.create(user=user, customer=plan.subscriptions.get().customer)
    page = signed_in_page(user)
    page.goto("/portal/outcomes/")
    expect(page.get_by_text("2 pending, unbilled: $20.00 expected.")).to_be_visible()
    screenshot("1-pending")
    page.get_by_role("button", name="Verify ticket-1").click()
    expect(page.get_by_role("row", name="ticket-1")).to_contain_text("Verified")
    row = page.get_by_role("row", name="ticket-2")
    row.get_by_label("Why").fill("It was reopened.")
    row.get_by_role("button", name="Reject").click()
    expect(page.get_by_role("row", name="ticket-2")).to_contain_text("Rejected")
    screenshot("2-decided")
    assert dict(Outcome.objects.values_list("key", "state")) == {
        "ticket-1": "verified", "ticket-2": "rejected",
    }  # fmt: skip
