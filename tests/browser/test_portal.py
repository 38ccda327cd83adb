"""The customers' portal in a real browser: from signing in to the events behind a line."""

import pytest
from playwright.sync_api import expect

from tests.fixtures.statements import PASSWORD

pytestmark = pytest.mark.browser


@pytest.fixture
def clean(clean_usage, acme):
    return acme


def sign_in(page, username="olga"):
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_from_the_login_to_the_cause_of_a_line(page, clean, screenshot):
    page.goto("/portal/statements/")
    screenshot("login")
    sign_in(page)
    screenshot("list")
    page.get_by_role("link", name="October 2025").click()
    screenshot("closed")

    page.get_by_text("Tokens", exact=True).click()

    why = page.locator("#line-2")
    expect(
        why.get_by_role("row", name="Above 1,000,000 2,500,000 $0.15 per 1,000 tokens $375.00")
    ).to_be_visible()
    expect(why.get_by_text("less 57.50 discount = 517.50")).to_be_visible()
    screenshot("open")
