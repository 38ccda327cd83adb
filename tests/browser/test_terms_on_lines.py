"""Lines say in which phase they were priced, and that a price was agreed with the customer."""

from decimal import Decimal as D

import pytest
from playwright.sync_api import expect

from billing.staff import APPROVER
from plans.models import Phase
from plans.terms import GrantRows
from tests.fixtures.statements import PASSWORD, MembershipFactory, UserFactory
from tests.fixtures.world import at

pytestmark = pytest.mark.browser


@pytest.fixture
def april(world):
    """A statement with a change of phase on the 15th, an agreed price, and seats."""
    meter = world.meter(unit="jobs")
    held = world.meter("seats", aggregation="time_weighted", value_property="n")
    phases = [
        Phase(position=0, key="intro", name="Introduction", days=14, discount_percent=D(50)),
        Phase(position=1, key="steady", name="Steady"),
    ]
    plan = world.plan(
        prices=(
            {"key": "jobs", "model": "per_unit", "meter": meter, "amount": D(2)},
            {"key": "seats", "model": "seats", "meter": held, "amount": D(30)},
        ),
        grants=GrantRows(phases=phases),
    )
    customer = world.customer()
    world.subscribe(customer, plan, starts_at=at(2025, 4, 1))
    agreed = {"key": "jobs", "name": "Jobs", "model": "per_unit", "meter": "jobs", "amount": "1"}
    world.agree(customer, plan, agreed, start=at(2025, 4, 2))
    world.use("acme", time=at(2025, 4, 10), times=30)
    world.use("acme", time=at(2025, 4, 20), times=30)
    world.use("acme", "seats", time=at(2025, 4, 1, 8), n=12)
    world.use("acme", "seats", time=at(2025, 4, 20, 8), n=15)
    world.close(now=at(2025, 5, 4))
    (statement,) = world.statements()
    assert world.lines(statement) == [
        ("Jobs", D(30), D(30)),
        ("12 seats to day 14, 14 of 30 days", D(12), D(84)),
        ("Jobs", D(30), D(30)),
        ("12 seats from day 15, 16 of 30 days", D(12), D(192)),
        ("3 seats from day 20, 11 of 30 days", D(3), D(33)),
    ]
    return statement


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_portal_says_agreed_with_you(april, page, screenshot, scheme):
    user = UserFactory(username="olga")
    MembershipFactory(user=user, customer=april.customer)
    page.emulate_media(color_scheme=scheme)
    page.goto("/portal/statements/acme-0001/")
    page.get_by_label("User name").fill("olga")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()

    expect(page.locator("#line-1")).to_contain_text("Introduction")
    expect(page.locator("#line-1")).not_to_contain_text("agreed with you")
    expect(page.locator("#line-3 summary")).to_contain_text("price agreed with you")
    page.locator("#line-3 summary").click()
    expect(page.locator("#line-3 .facts")).to_contain_text(
        "Agreed with you, in place of the plan's"
    )
    page.locator("#line-5 summary").click()
    row = page.get_by_role("row", name="11 of 30 days 33 $30.00 per 30 days $33.00")
    expect(row).to_be_visible()
    screenshot(scheme)


def test_the_admin_says_agreed_with_the_customer(april, signed_in_page, staff, screenshot):
    page = signed_in_page(staff(APPROVER))
    page.goto(f"/admin/billing/statement/{april.pk}/change/")
    page.locator("#line-3 summary").click()
    expect(page.locator("#line-3 summary")).to_contain_text("agreed price")
    expect(page.locator("#line-3 .facts")).to_contain_text("Agreed with the customer")
    expect(page.locator("#line-3 .facts")).to_contain_text("Steady")
    screenshot("line")
