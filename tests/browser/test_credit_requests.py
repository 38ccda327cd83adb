"""Two approvers: one moves a large amount of credit, the other finds it on the home page."""

from decimal import Decimal as D

import pytest
from playwright.sync_api import expect

from billing.credits.granting import define_credit_unit, open_pool
from billing.models import CreditGrant
from billing.staff import APPROVER
from tests.fixtures.statements import CustomerFactory
from tests.integration.billing.test_credits import NOW, grant

pytestmark = pytest.mark.browser


def test_a_large_transfer_is_asked_for_and_approved(signed_in_page, staff, screenshot):
    customer = CustomerFactory(key="acme", name="Acme Pictures")
    unit = define_credit_unit(code="TOKN", name="Tokens")
    unit.approval_above = D(1000)
    unit.save(update_fields=["approval_above"])
    pool = open_pool(customer=customer, key="main", name="Main credit", unit=unit)
    open_pool(customer=customer, key="renders", name="Renders", unit=unit)
    grant(pool, "order 17", 5000, cost=D("50.00"), effective_at=NOW)
    mara, noor = staff(APPROVER, username="mara"), staff(APPROVER, username="noor")

    page = signed_in_page(mara)
    page.goto(f"/admin/billing/creditpool/{pool.pk}/change/")
    page.get_by_role("link", name="Move credit").click()
    page.get_by_label("Grant").select_option(label="order 17: 5,000 TOKN free")
    page.get_by_label("To the pool").select_option(label="Renders")
    page.get_by_label("Amount").fill("2000")
    page.get_by_label("Reference").fill("ticket 4")
    page.get_by_label("Reason").fill("Wanted for renders.")
    screenshot("1-transfer")
    page.get_by_role("button", name="Move", exact=True).click()
    expect(page.get_by_text("Another person must approve it")).to_be_visible()

    page = signed_in_page(noor)
    page.goto("/admin/")
    screenshot("2-home")
    page.get_by_role("link", name="Acme Pictures, transfer of 2,000 TOKN").click()
    screenshot("3-request")
    page.get_by_role("link", name="Approve", exact=True).click()
    screenshot("4-approve")
    page.get_by_role("button", name="Approve", exact=True).dblclick()
    expect(page.get_by_text("Approved").first).to_be_visible()
    screenshot("5-list")
    assert dict(CreditGrant.objects.values_list("pool__name", "remaining")) == {
        "Main credit": D(3000),
        "Renders": D(2000),
    }
