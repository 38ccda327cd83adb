"""A finance person makes a plan, publishes it, and subscribes a customer, as people do it."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from playwright.sync_api import expect

from billing.models import Statement
from billing.staff import APPROVER, EDITOR
from plans.models import MatrixRate, Meter, PlanVersion, Price, Subscription
from plans.operations.customers import create_customer
from plans.operations.meters import define_meter
from plans.operations.publishing import publish_version
from plans.operations.reviews import submit_version
from plans.operations.versions import add_price, create_plan, new_version_from, start_version
from tests.browser.editor_person import Person
from tests.integration.plans_fixtures import approved
from usage.models import QuarantinedEvent

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)

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

    person = Person(page, PlanVersion.objects.get())
    person.add_price("API calls", "Graduated tiers")
    person.choose("What is counted", "API calls")
    person.tier(1, up_to="1000", price="0.04")
    person.tier(2, price="0.03")
    person.save()
    expect(person.card.get_by_text("55.00 EUR")).to_be_visible()
    screenshot("4-price")

    version = PlanVersion.objects.get()
    page.goto(f"/admin/plans/planversion/{version.pk}/change/")
    page.get_by_role("link", name="Submit").click()
    page.get_by_role("button", name="Submit").click()
    page = signed_in_page(approver)
    page.goto("/admin/")
    expect(page.get_by_role("link", name="Scale, version 1")).to_be_visible()
    screenshot("7-home")
    dark(page)
    screenshot("7-home-dark")
    page.get_by_role("link", name="Scale, version 1").click()
    page.get_by_role("link", name="Approve").click()
    page.get_by_role("button", name="Approve").click()
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
    page.get_by_label("Why").fill("Signed on paper.")
    expect(page.get_by_text("is priced by Scale, in EUR")).to_be_visible()
    screenshot("10-subscribe")
    page.get_by_role("button", name="Subscribe to Scale").click()
    expect(page.get_by_text("Acme is subscribed to Scale")).to_be_visible()
    assert Subscription.objects.get().customer == customer
    screenshot("11-customer")


def dark(page):
    """Show the page as it is at night."""
    page.evaluate("document.documentElement.classList.add('dark')")


@pytest.fixture
def scale(transactional_db):
    """The plan Scale: a published version with a matrix, and a draft copied from it."""
    meter = define_meter(
        key="tokens", name="Tokens", event_type="llm.call", aggregation="sum",
        value_property="tokens", dimensions=["model", "direction"], unit="tokens",
    )  # fmt: skip
    plan = create_plan(key="scale", name="Scale")
    version = start_version(plan=plan, currency="USD")
    add_price(
        version=version,
        price=Price(
            key="tokens", name="Tokens", model="matrix", meter=meter, unit_size=Decimal(1_000_000)
        ),
        rates=[
            MatrixRate(match=["large", "out"], unit_amount=Decimal(15)),
            MatrixRate(match=["large", None], unit_amount=Decimal(5)),
            MatrixRate(match=[None, None], unit_amount=Decimal(1), label="Other models"),
        ],
    )
    add_price(version=version, price=Price(key="base", name="Base fee", model="flat", amount=99))
    publish_version(version=version, effective_from=JANUARY, by=None, now=JANUARY)
    new_version_from(version=version, by=None)
    return plan


def test_a_draft_is_published_by_the_keyboard_alone(signed_in_page, staff, scale):
    draft = scale.versions.get(number=2)
    author, approver = staff(EDITOR), staff(APPROVER)
    approved(draft, author=author, approver=staff(APPROVER, username="noor"))
    page = signed_in_page(approver)
    page.goto(f"/admin/plans/planversion/{draft.pk}/change/")

    press_until_focused(page, page.get_by_role("link", name="Publish"))
    page.keyboard.press("Enter")
    press_until_focused(page, page.get_by_role("button", name="Publish"))
    page.keyboard.press("Enter")

    expect(page.get_by_text("and frozen")).to_be_visible()
    draft.refresh_from_db()
    assert draft.published_at is not None


def press_until_focused(page, target):
    """Press Tab until the target has the focus; every stop on the way has a name."""
    target.wait_for()
    for _ in range(160):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    pytest.fail(f"The keyboard does not reach {target}.")


def test_schedule_users_and_groups_have_the_same_look(
    signed_in_page, django_user_model, screenshot
):
    page = signed_in_page(django_user_model.objects.create_superuser("root"))

    for name in ("Schedule", "Users", "Groups"):
        page.goto("/admin/")
        page.locator("#nav-sidebar-apps").get_by_text(name, exact=True).last.click()
        expect(page.locator("#changelist, #content-main").first).to_be_visible()
        screenshot(name.lower())
    page.goto("/admin/django_celery_beat/periodictask/add/")
    expect(page.get_by_label("Name")).to_be_visible()
    screenshot("task")


def test_home_is_a_queue_of_work(signed_in_page, staff, scale, screenshot):
    customer = create_customer(key="acme", name="Acme", time_zone="Europe/Berlin")
    month = {"period_start": JANUARY, "period_end": datetime(2026, 2, 1, tzinfo=UTC)}
    Statement.objects.create(
        customer=customer, currency="USD", draft_due_at=JANUARY, finalise_due_at=JANUARY,
        parked_at=JANUARY, parked_code="unmatched_usage",
        parked_reason="Tokens: usage for huge / in fits no rate. Add a rate for it, or a default.",
        **month,
    )  # fmt: skip
    QuarantinedEvent.objects.create(
        source="render-farm", event_id="e-1", code="unknown_subject", payload={},
        reason="There is no customer or workspace with the key “globex”.", received_at=JANUARY,
    )  # fmt: skip
    submit_version(version=scale.versions.get(number=2), by=staff(EDITOR), now=JANUARY)
    page = signed_in_page(staff(APPROVER))

    page.goto("/admin/")

    expect(page.get_by_text("fits no rate")).to_be_visible()
    expect(page.get_by_text("the key “globex”")).to_be_visible()
    expect(page.get_by_role("link", name="Scale, version 2")).to_be_visible()
    screenshot("home")
    dark(page)
    screenshot("home-dark")
    page.get_by_role("link", name="Retry Acme").click()
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
