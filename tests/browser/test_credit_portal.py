"""Credit in a real browser: a customer buys packs, finance sees what was bought and drawn."""

import pytest
from playwright.sync_api import expect

from billing.credits.buying import buy_pack
from billing.models import CreditPurchase
from billing.staff import APPROVER
from tests.fixtures.credit_world import acme_with_packs, portal_user, september_drawn
from tests.fixtures.world import at

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def acme(world):
    customer = acme_with_packs(world)
    september_drawn(world, customer)
    buy_pack(customer=customer, pack_key="p9000", now=at(2026, 10, 5), key="big")
    return customer


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_customer_buys_packs(acme, signed_in_page, screenshot):
    page = signed_in_page(portal_user(acme))
    page.goto("/portal/credit/")
    screenshot("1-credit")
    page.get_by_label("How many of credit pack 1,000").fill("3")
    page.get_by_role("button", name="Buy credit pack 1,000").click()
    expect(page.locator(".total")).to_have_text("$30.00")
    screenshot("2-confirm")
    page.get_by_role("button", name="Buy for $30.00").dblclick()
    expect(page.get_by_role("status")).to_contain_text("3,000 TOKN are bought for $30.00")
    assert CreditPurchase.objects.count() == 3
    page.emulate_media(color_scheme="dark")
    screenshot("3-bought-dark")
    page.set_viewport_size(PHONE)
    screenshot("4-phone")
    assert fits(page)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")
    page.goto("/portal/statements/acme-0001/")
    for summary in page.locator("details.line > summary").all():
        summary.click()
    screenshot("5-statement")


def test_finance_sees_purchases_and_what_waits(acme, signed_in_page, staff, screenshot):
    page = signed_in_page(staff(APPROVER))
    pool = acme.credit_pools.get()
    page.goto(f"/admin/billing/creditpool/{pool.pk}/change/")
    expect(page.get_by_role("heading", name="Purchases, newest first")).to_be_visible()
    screenshot("1-pool")
    page.goto(f"/admin/billing/creditpool/{pool.pk}/paid/")
    screenshot("2-paid")
    page.goto(f"/admin/billing/statement/{acme.statements.get(number='acme-0001').pk}/change/")
    for summary in page.locator("details.line > summary").all():
        summary.click()
    screenshot("3-statement")
