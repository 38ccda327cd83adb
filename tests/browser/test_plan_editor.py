"""A finance person makes a plan, publishes it, and subscribes a customer, as people do it."""

import pytest
from playwright.sync_api import expect

from billing.staff import APPROVER, EDITOR
from plans.models import Meter, PlanVersion, Price, Subscription
from plans.operations.customers import create_customer

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_from_a_meter_to_a_subscription(signed_in_page, staff, screenshot):
    editor, approver = staff(EDITOR), staff(APPROVER)
    customer = create_customer(key="acme", name="Acme", currency="EUR", time_zone="Europe/Berlin")
    page = signed_in_page(editor)

    page.goto("/admin/plans/meter/add/")
    page.get_by_label("Name").fill("API calls")
    page.get_by_label("Event type").fill("api.call")
    page.get_by_label("Unit").fill("calls")
    page.get_by_label("Aggregation").select_option("count")
    page.get_by_role("button", name="Save", exact=True).click()
    assert Meter.objects.get().key == "api-calls"
    screenshot("1-meters")

    page.goto("/admin/plans/plan/add/")
    page.get_by_label("Name").fill("Scale")
    page.get_by_label("Currency").fill("EUR")
    screenshot("2-new-plan")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="Prices")).to_be_visible()
    screenshot("3-empty-draft")

    page.get_by_role("link", name="Add a price").click()
    page.get_by_role("textbox", name="Name").first.fill("API calls")
    page.get_by_label("Model").select_option("graduated")
    page.get_by_label("Meter").select_option(label="API calls")
    expect(page.get_by_label("Percent", exact=True).first).to_be_hidden()
    tiers = page.locator("#tiers-group tbody.form-group:not(.empty-form)")
    tiers.nth(0).get_by_label("Up to").fill("1000")
    tiers.nth(0).get_by_label("Price of a unit").fill("0.04")
    tiers.nth(1).get_by_label("Up to").fill("500")
    tiers.nth(1).get_by_label("Price of a unit").fill("0.03")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("leave the last tier's bound empty")).to_be_visible()
    assert not Price.objects.exists()
    screenshot("4-bad-tier")

    tiers.nth(1).get_by_label("Up to").fill("")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Graduated: up to 1,000 at 0.04, above at 0.03")).to_be_visible()
    screenshot("5-draft")
    page.get_by_role("link", name="API calls").click()
    expect(page.get_by_text("310.00 EUR").first).to_be_visible()
    screenshot("6-price")

    version = PlanVersion.objects.get()
    page = signed_in_page(approver)
    page.goto("/admin/")
    expect(page.get_by_role("link", name="Scale, version 1")).to_be_visible()
    screenshot("7-home")
    page.emulate_media(color_scheme="dark")
    screenshot("7-home-dark")
    page.emulate_media(color_scheme="light")
    page.get_by_role("link", name="Scale, version 1").click()
    page.get_by_role("link", name="Publish").click()
    screenshot("8-publish")
    page.get_by_role("button", name="Publish").dblclick()
    page.get_by_text("and frozen").wait_for()
    version.refresh_from_db()
    assert version.published_by == approver
    screenshot("9-published")

    page = signed_in_page(editor)
    page.goto(f"/admin/plans/customer/{customer.pk}/change/")
    page.get_by_role("link", name="Subscribe to a plan").click()
    page.get_by_label("Plan").select_option(label="Scale")
    screenshot("10-subscribe")
    page.get_by_role("button", name="Subscribe").click()
    expect(page.get_by_text("Acme is subscribed to Scale")).to_be_visible()
    assert Subscription.objects.get().customer == customer
    screenshot("11-customer")
