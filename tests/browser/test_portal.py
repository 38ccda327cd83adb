"""The customers' portal in a real browser: from signing in to the events behind a line."""

import re

import pytest
from playwright.sync_api import expect

from tests.fixtures.statements import DECEMBER, PASSWORD, berlin, finalised_statement

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}


@pytest.fixture
def portal(clean_usage, busy_acme, on_10_december, page):
    """The browser at the door of Acme's portal, on 10 December."""
    return page


def sign_in(page, username="olga"):
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_from_the_login_to_the_cause_of_a_line(portal, screenshot):
    portal.goto("/portal/statements/")
    screenshot("1-login")
    sign_in(portal)
    screenshot("2-statements")
    portal.get_by_role("link", name="October 2025").click()
    why = portal.locator("#line-2")
    tier = why.get_by_role("row", name="Above 1,000,000 2,500,000 $0.15 per 1,000 tokens $375.00")
    expect(tier).to_be_hidden()

    why.locator("summary").click()

    expect(tier).to_be_visible()
    expect(why.get_by_text("less 57.50 discount = 517.50")).to_be_visible()
    expect(why.get_by_text("Scale, version 1")).to_be_visible()
    screenshot("3-explained")


def test_from_a_line_to_its_events(portal, busy_acme, screenshot):
    finalised_statement(
        busy_acme.customer, busy_acme.version, start=DECEMBER, end=berlin(2026, 1, 1)
    )
    portal.goto("/portal/statements/ACME-0003/")
    sign_in(portal)

    portal.locator("#line-3 summary").click()
    portal.locator("#line-3").get_by_role("link", name="See the events behind this line").click()

    expect(portal.get_by_role("heading", name="Events behind A100 in the EU")).to_be_visible()
    expect(portal.get_by_role("row", name="1 December 2025, 11:00")).to_have_count(1)
    expect(portal.locator("table.events tbody tr")).to_have_count(5)
    screenshot("events")
    portal.set_viewport_size(PHONE)
    screenshot("events-phone")
    portal.get_by_role("link", name="ACME-0003").click()
    expect(portal).to_have_url(re.compile(r"/portal/statements/ACME-0003/#line-3$"))


def test_a_wrong_password_is_said_and_nothing_is_shown(portal):
    portal.goto("/portal/")
    portal.get_by_label("User name").fill("olga")
    portal.get_by_label("Password").fill("guess")
    portal.get_by_role("button", name="Sign in").click()

    expect(portal.get_by_role("alert")).to_have_text(
        "User name and password do not match. Both are case-sensitive."
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", ["desk", "phone"])
def test_every_page_in_light_and_dark_on_desk_and_phone(portal, screenshot, scheme, width):
    if width == "phone":
        portal.set_viewport_size(PHONE)
    portal.emulate_media(color_scheme=scheme)
    portal.goto("/portal/")
    sign_in(portal)
    expect(portal.get_by_role("heading", name="December 2025 so far")).to_be_visible()
    expect(portal.locator(".total")).to_have_text("$359.25")

    for name, address in (
        ("overview", "/portal/"),
        ("usage", "/portal/usage/"),
        ("statements", "/portal/statements/"),
        ("statement", "/portal/statements/ACME-0002/"),
    ):
        portal.goto(address)
        if name == "statement":
            portal.locator("#line-3 summary").click()
            portal.locator("#line-8 summary").click()
        screenshot(name)
        overflow = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert not portal.evaluate(overflow), f"{name} scrolls sideways"


def test_the_keyboard_opens_a_line(portal):
    portal.goto("/portal/statements/ACME-0001/")
    sign_in(portal)
    line = portal.locator("#line-2")

    line.locator("summary").focus()
    portal.keyboard.press("Enter")

    expect(line).to_have_attribute("open", "")
