"""A finance person changes a plan and sees the money first; by mouse, at night, by keyboard."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from types import SimpleNamespace

import pytest
from playwright.sync_api import expect

from billing.staff import APPROVER, EDITOR
from plans.models import PriceOverride, Subscription
from plans.operations.subscriptions import subscribe
from plans.queries import period_of
from tests.browser.test_plan_editor import dark, press_until_focused
from usage.operations.rollup import roll_up

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def acme(world):
    """Acme on Starter since the first of this month, with 1,200 jobs; Scale costs more."""
    now = datetime.now(tz=UTC)
    since = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    jobs = {"key": "jobs", "name": "Jobs", "model": "per_unit", "meter": world.meter()}
    starter = world.plan(
        "starter",
        prices=(
            {"key": "fee", "name": "Platform fee", "model": "flat", "amount": D(31)},
            {**jobs, "amount": D("0.10")},
        ),
    )
    scale = world.plan(
        "scale",
        prices=(
            {"key": "fee", "name": "Platform fee", "model": "flat", "amount": D(310)},
            {"key": "setup", "name": "Setup", "model": "flat", "amount": D(50), "once": True},
            {**jobs, "amount": D("0.05")},
        ),
    )
    customer = world.customer()
    subscription = subscribe(customer=customer, plan=starter, starts_at=since, now=since)
    world.use("acme", time=since, times=1200)
    roll_up(now=now)
    return SimpleNamespace(
        customer=customer, starter=starter, scale=scale, subscription=subscription, now=now
    )


def customer_page(acme):
    return f"/admin/plans/customer/{acme.customer.pk}/change/"


def test_a_plan_is_changed_after_its_money_was_seen(signed_in_page, staff, acme, screenshot):
    page = signed_in_page(staff(EDITOR))
    page.goto(customer_page(acme))
    screenshot("1-customer")
    page.get_by_role("link", name="Change plan: Starter").click()
    expect(page.get_by_text("Choose another plan to see what the change costs")).to_be_visible()
    expect(page.get_by_role("button", name="Change to")).to_have_count(0)
    expect(page.get_by_label("On", exact=True)).to_be_hidden()
    screenshot("2-empty")

    page.get_by_label("To the plan").select_option(label="Scale")
    preview = page.locator("#tg-preview")
    expect(preview.get_by_text("The next period:")).to_be_visible()
    expect(preview.get_by_text("$329.00 more").first).to_be_visible()
    page.get_by_label("Now (").check()
    expect(preview.get_by_text("each plan's fees are charged for its own days")).to_be_visible()
    expect(preview.get_by_text("Scale charges once: Setup, $50.00.")).to_be_visible()
    expect(preview.get_by_text("1,200 jobs").first).to_be_visible()
    screenshot("3-now")
    dark(page)
    screenshot("3-now-dark")
    page.get_by_label("Waive setup fees").check()
    expect(preview.get_by_text("What Scale charges once is waived")).to_be_visible()
    page.get_by_label("At the end of this period").check()
    expect(preview.get_by_text("Until then it can be taken back")).to_be_visible()

    page.get_by_role("button", name="Change to Scale").click()
    expect(page.get_by_text("This field is required")).to_be_visible()
    assert Subscription.objects.count() == 1
    page.get_by_label("Why").fill("They outgrew Starter.")
    page.get_by_role("button", name="Change to Scale").dblclick()
    expect(page.get_by_text("Acme moves from Starter to Scale")).to_be_visible()
    end = period_of(subscription=acme.subscription, at=acme.now).end
    follow_up = Subscription.objects.get(plan=acme.scale)
    assert (follow_up.starts_at, follow_up.setup_waived) == (end, True)
    screenshot("4-scheduled")

    page.get_by_role("link", name="Resume: Starter").click()
    expect(page.get_by_text("The change to Scale, which was to begin then")).to_be_visible()
    screenshot("5-resume")
    page.get_by_label("Why").fill("They changed their mind.")
    page.get_by_role("button", name="Stay on Starter").click()
    expect(page.get_by_text("Acme stays on Starter")).to_be_visible()
    assert Subscription.objects.get().ends_at is None


def test_a_date_that_has_passed_offers_no_button(signed_in_page, staff, acme, screenshot):
    page = signed_in_page(staff(EDITOR))
    page.goto(customer_page(acme))
    page.get_by_role("link", name="Cancel: Starter").click()
    expect(page.get_by_role("button", name="Cancel Starter")).to_be_visible()
    page.get_by_label("On a date").check()
    expect(
        page.get_by_text("Choose the day.").or_(page.get_by_label("On", exact=True)).first
    ).to_be_visible()
    page.get_by_label("On", exact=True).fill(f"{acme.now - timedelta(days=40):%Y-%m-%d}")
    page.get_by_label("Why").click()
    expect(page.get_by_text("has passed, and may have been billed")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel Starter")).to_have_count(0)
    screenshot("refused")


def test_a_subscription_is_cancelled_by_the_keyboard_alone(signed_in_page, staff, acme):
    page = signed_in_page(staff(EDITOR))
    page.goto(customer_page(acme))
    press_until_focused(page, page.get_by_role("link", name="Cancel: Starter"))
    page.keyboard.press("Enter")
    press_until_focused(page, page.get_by_label("At the end of this period"))
    page.keyboard.press("ArrowUp")
    expect(page.get_by_label("Now (")).to_be_checked()
    expect(page.get_by_text("fees are charged for the days until then")).to_be_visible()
    press_until_focused(page, page.get_by_label("Why"))
    page.keyboard.type("Closed down.")
    press_until_focused(page, page.get_by_role("button", name="Cancel Starter"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("Acme leaves Starter on")).to_be_visible()
    assert Subscription.objects.get().ends_at is not None


def test_a_price_is_agreed_beside_the_list_price(signed_in_page, staff, acme, screenshot):
    page = signed_in_page(staff(APPROVER))
    page.goto(customer_page(acme))
    page.get_by_role("link", name="Agree on a price").click()
    page.get_by_role("link", name="Agree on another price: Jobs").click()
    screenshot("1-form")
    page.get_by_label("Price, USD").fill("0.08")
    page.get_by_label("Included quantity").fill("200")
    page.get_by_label("Why").fill("A contract for two years.")
    expect(page.get_by_text("200 jobs included").first).to_be_visible()
    screenshot("2-compared")
    dark(page)
    screenshot("2-compared-dark")
    page.get_by_role("button", name="Agree on this price").dblclick()
    expect(page.get_by_text("A price of Jobs is agreed with Acme")).to_be_visible()
    assert PriceOverride.objects.get().content["amount"] == "0.08"
    page.get_by_role("heading", name="Agreed prices").scroll_into_view_if_needed()
    screenshot("3-customer")

    version = acme.starter.versions.get()
    page.goto(f"/admin/plans/planversion/{version.pk}/change/")
    expect(page.get_by_text("For these customers another price stands in")).to_be_visible()
    screenshot("4-version")
