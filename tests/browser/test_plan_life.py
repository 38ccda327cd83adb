"""The whole life of a version by two people: an editor and an approver, step by step."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from billing.staff import APPROVER, EDITOR
from plans.models import PlanVersion, Price, Tier, VersionPin, VersionReview
from plans.operations.drafts import change_draft
from plans.operations.meters import define_meter
from plans.operations.publishing import publish_version
from plans.operations.versions import add_price, create_plan, new_version_from, start_version
from tests.browser.test_plan_editor import dark
from tests.integration.plans_fixtures import customer, subscribed

LAST_YEAR = datetime(2025, 1, 1, tzinfo=UTC)

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def people(staff):
    return {"editor": staff(EDITOR), "approver": staff(APPROVER)}


@pytest.fixture
def draft(people):
    """The editor's draft of Scale's version 2, under which three customers are subscribed."""
    meter = define_meter(
        key="calls", name="API calls", event_type="call", aggregation="count", unit="calls"
    )
    plan = create_plan(key="scale", name="Scale")
    first = start_version(plan=plan, currency="EUR")
    add_price(
        version=first, price=Price(key="fee", name="Monthly fee", model="flat", amount=Decimal(20))
    )
    add_price(
        version=first,
        price=Price(key="calls", name="API calls", model="graduated", meter=meter),
        tiers=[
            Tier(up_to=Decimal(1000), unit_amount=Decimal("0.04")),
            Tier(up_to=None, unit_amount=Decimal("0.03")),
        ],
    )
    publish_version(version=first, effective_from=LAST_YEAR, by=None, now=LAST_YEAR)
    for name, zone in (("acme", "Europe/Berlin"), ("beni", "Asia/Tokyo"), ("caro", "UTC")):
        subscribed(customer(name, currency="EUR", time_zone=zone), plan)
    version = new_version_from(version=first, by=people["editor"], note="Prices of spring")
    version.prices.filter(key="fee").update(amount=25)
    Tier.objects.filter(price__version=version, up_to=None).update(unit_amount=Decimal("0.025"))
    change_draft(version=version, currency="EUR", note=version.note, by=people["editor"])
    return version


def both_ways(page, screenshot, name):
    """Save the page in light and dark."""
    screenshot(name)
    dark(page)
    screenshot(f"{name}-dark")
    page.evaluate("document.documentElement.classList.remove('dark')")


def test_from_draft_to_retirement(signed_in_page, people, draft, screenshot):
    address = f"/admin/plans/planversion/{draft.pk}/change/"
    page = signed_in_page(people["editor"])
    page.goto(address)
    for name in ("Approve", "Publish"):
        expect(page.get_by_role("link", name=name, exact=True)).to_have_count(0)
    page.get_by_role("link", name="Submit", exact=True).click()
    page.get_by_label("For the approver").fill("The fee rises, volume gets cheaper.")
    screenshot("1-submit")
    page.get_by_role("button", name="Submit").dblclick()
    expect(page.get_by_text("You had a part in it: someone else approves it.")).to_be_visible()
    both_ways(page, screenshot, "2-submitted")

    page = signed_in_page(people["approver"])
    page.goto("/admin/")
    expect(page.get_by_role("heading", name="Versions awaiting approval")).to_be_visible()
    both_ways(page, screenshot, "3-home-of-the-approver")
    page.get_by_role("link", name="Scale, version 2").click()
    page.get_by_role("link", name="Request changes").click()
    page.get_by_role("button", name="Request changes").click()
    expect(page.get_by_text("This field is required.")).to_be_visible()
    page.get_by_label("What is to be changed").fill("Say why the fee rises.")
    page.get_by_role("button", name="Request changes").click()
    expect(page.get_by_text("went back to its authors")).to_be_visible()

    page = signed_in_page(people["editor"])
    page.goto("/admin/")
    expect(page.get_by_text("finance-approver: Say why the fee rises.")).to_be_visible()
    both_ways(page, screenshot, "4-home-of-the-editor")
    page.get_by_role("link", name="Scale, version 2").click()
    page.get_by_role("link", name="Submit", exact=True).click()
    page.get_by_label("For the approver").fill("Support costs more since January.")
    page.get_by_role("button", name="Submit").click()

    page = signed_in_page(people["approver"])
    page.goto(address)
    page.get_by_role("link", name="Approve", exact=True).click()
    expect(page.get_by_text("This version was not tried")).to_be_visible()
    expect(page.get_by_text("+5.00 EUR")).to_be_visible()
    both_ways(page, screenshot, "5-approve")
    page.get_by_label("Comment").fill("Agreed.")
    page.get_by_role("button", name="Approve").dblclick()
    expect(page.get_by_text("Nothing is billed by it until it is published.")).to_be_visible()
    assert VersionReview.objects.filter(what="approved").count() == 1

    page.get_by_role("link", name="Publish", exact=True).click()
    expect(page.get_by_text("3 subscribers of Scale in EUR")).to_be_visible()
    page.get_by_label("They stay on the version that they are on").check()
    both_ways(page, screenshot, "6-publish")
    page.get_by_role("button", name="Publish").dblclick()
    expect(page.get_by_text("and frozen")).to_be_visible()
    both_ways(page, screenshot, "7-published")
    assert VersionPin.objects.count() == 3

    page.get_by_role("link", name="Move subscribers").click()
    page.get_by_label("Only these customers").fill("acme\ncaro")
    both_ways(page, screenshot, "8-move")
    page.get_by_role("button", name="Move them").click()
    expect(page.get_by_text("2 customers move to Scale, version 2.")).to_be_visible()

    page.get_by_role("link", name="Call off").click()
    page.get_by_label("Why").fill("Not this spring.")
    screenshot("9-call-off")
    page.get_by_role("button", name="Call it off").click()
    expect(page.get_by_text("called off and never takes effect")).to_be_visible()
    both_ways(page, screenshot, "10-called-off")
    draft.refresh_from_db()
    assert draft.status_at(timezone.now()) == "called off"
    assert not VersionPin.objects.exists()


def test_another_currency_is_shown_before_it_is_started(signed_in_page, people, draft, screenshot):
    first = draft.plan.versions.get(number=1)
    page = signed_in_page(people["editor"])
    page.goto(f"/admin/plans/planversion/{first.pk}/change/")
    page.get_by_role("link", name="In another currency").click()
    page.get_by_label("Currency").fill("usd")
    page.get_by_label("Factor").fill("1.08")
    page.get_by_role("button", name="Show the amounts").click()
    expect(page.get_by_role("cell", name="21.6", exact=True)).to_be_visible()
    both_ways(page, screenshot, "amounts")
    page.get_by_role("button", name="Start the draft").dblclick()
    expect(page.get_by_text("Scale, version 3 is a draft.")).to_be_visible()
    assert PlanVersion.objects.filter(currency="USD").count() == 1


def test_two_versions_side_by_side(signed_in_page, people, draft, screenshot):
    add_price(
        version=draft,
        price=Price(key="setup", name="Setup", model="flat", amount=Decimal(99), once=True),
    )
    page = signed_in_page(people["approver"])
    page.goto(f"/admin/plans/planversion/{draft.pk}/change/")
    page.get_by_role("link", name="Compare").click()
    expect(page.get_by_role("heading", name="From version 1 to version 2")).to_be_visible()
    expect(page.get_by_text("+5.00 EUR")).to_be_visible()
    both_ways(page, screenshot, "compared")


def test_a_version_is_scheduled_by_the_keyboard_for_a_day(signed_in_page, people, draft):
    from tests.browser.test_plan_editor import press_until_focused
    from tests.integration.plans_fixtures import approved

    approved(draft, author=people["editor"], approver=people["approver"], now=timezone.now())
    page = signed_in_page(people["approver"])
    page.goto(f"/admin/plans/planversion/{draft.pk}/publish/")
    press_until_focused(page, page.get_by_label("In force from (UTC)"))
    page.get_by_label("In force from (UTC)").fill(
        (timezone.now() + timedelta(days=60)).strftime("%Y-%m-%dT00:00")
    )
    press_until_focused(page, page.get_by_role("button", name="Publish"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("and frozen")).to_be_visible()
    draft.refresh_from_db()
    assert draft.status_at(timezone.now()) == "scheduled"
