"""A finance person reads a statement to its cause, approves one, and retries a parked one."""

import pytest
from playwright.sync_api import expect

from billing.models import Statement
from billing.staff import APPROVER
from tests.fixtures.statements import (
    DECEMBER,
    CustomerFactory,
    berlin,
    parked_statement,
    reviewed_statement,
)

pytestmark = pytest.mark.browser


def test_reads_approves_and_retries(clean_usage, acme, signed_in_page, staff, screenshot):
    review = reviewed_statement(acme.customer, acme.version, start=DECEMBER, end=berlin(2026, 1, 1))
    parked = parked_statement(
        CustomerFactory(key="NORTH", name="Northern Lights"),
        start=DECEMBER, end=berlin(2026, 1, 1),
        reason="No rate and no default for 12 with model=b200, region=eu.",
    )  # fmt: skip
    page = signed_in_page(staff(APPROVER))

    page.goto("/admin/")
    expect(page.get_by_text("Acme Pictures, $884.01")).to_be_visible()
    screenshot("0-home")
    page.goto("/admin/billing/statement/")
    expect(page.get_by_text("$884.01").first).to_be_visible()
    screenshot("1-list")

    page.goto(f"/admin/billing/statement/{acme.november.pk}/change/")
    page.locator("#line-4 summary").click()
    expect(page.get_by_text("model h100, region eu; model h100, region us")).to_be_visible()
    page.locator("#adjustments + .lines summary").click()
    screenshot("2-statement")
    page.emulate_media(color_scheme="dark")
    page.reload()
    page.locator("#line-4 summary").click()
    screenshot("2-statement-dark")
    page.emulate_media(color_scheme="light")
    page.reload()
    page.get_by_role("link", name="Verify this statement").click()
    expect(page.get_by_text("ACME-0002")).not_to_have_count(0)
    screenshot("3-verified")

    page.goto(f"/admin/billing/statement/{review.pk}/change/")
    page.get_by_role("link", name="Approve").click()
    screenshot("4-approve")
    page.get_by_role("button", name="Approve $884.01").click()
    expect(page.get_by_text("Approved: Acme Pictures, December 2025, $884.01.")).to_be_visible()
    screenshot("5-approved")
    assert Statement.objects.get(pk=review.pk).approved_by.username == "finance-approver"

    page.goto(f"/admin/billing/statement/{parked.pk}/change/")
    screenshot("6-parked")
    page.get_by_role("link", name="Retry").click()
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_text("is tried again by the next run")).to_be_visible()
    assert Statement.objects.get(pk=parked.pk).parked_at is None
