"""The portal's Spend and Jobs in a real browser: what a customer sees, and a budget set by hand."""

import pytest
from playwright.sync_api import expect

from plans.models import Budget

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def portal(job_world, signed_in_page):
    return signed_in_page(job_world.olga)


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_spend_against_the_budgets_and_a_raise_that_admits_again(portal, job_world, screenshot):
    job_world.days("4000", "4400", "4900", "5400", "5900", "6400")
    portal.goto("/portal/spend/")
    expect(portal.locator(".total")).to_have_text("$7,630.90")
    expect(portal.get_by_text("At this pace the budget ends on")).to_be_visible()
    film = portal.locator(".budget", has_text="Film")
    expect(film).to_contain_text("101% of $2,500.00")
    expect(film).to_contain_text("No further job is admitted")
    screenshot("1-spend")
    portal.set_viewport_size(PHONE)
    screenshot("2-phone")
    assert fits(portal)

    portal.set_viewport_size({"width": 1280, "height": 900})
    film.get_by_role("link", name="Change").click()
    portal.get_by_label("Budget for each period, in USD").fill("4,000")
    portal.get_by_label("Why").fill("The trailer is due.")
    portal.get_by_role("button", name="Show what it does").click()
    effects = portal.get_by_role("status")
    expect(effects).to_contain_text("Jobs are admitted again at once.")
    expect(effects).to_contain_text("$2,525.10 of $4,000.00 is spent or held now: 63%.")
    screenshot("3-budget")
    assert Budget.objects.get(workspace=job_world.film).amount == 2500
    portal.get_by_role("button", name="Save the budget").click()

    expect(portal.get_by_role("status")).to_contain_text("The budget of Film is set.")
    assert Budget.objects.get(workspace=job_world.film).amount == 4000
    last = Budget.history.first()
    assert (last.history_user.username, last.history_change_reason) == (
        "olga", "The trailer is due.",
    )  # fmt: skip


def test_from_the_list_to_a_job_its_steps_and_back(portal, job_world, screenshot):
    portal.goto("/portal/jobs/")
    expect(portal.locator("table.jobs tbody tr")).to_have_count(10)
    expect(portal.locator("table.accuracy tbody tr")).to_have_text(
        ["Long render450.0%02", "Research agent1100.0%00"], use_inner_text=False
    )
    screenshot("1-jobs")
    portal.get_by_label("State").select_option("succeeded")
    portal.get_by_label("Kind").select_option("agent")
    portal.get_by_role("button", name="Show").click()
    expect(portal.locator("table.jobs tbody tr")).to_have_count(1)
    expect(portal.locator("table.accuracy")).to_have_count(0)

    portal.get_by_role("link", name="research-2041").click()
    expect(portal.locator(".total")).to_have_text("$12.40")
    expect(portal.get_by_text("Came to, within the range")).to_be_visible()
    expect(portal.get_by_text("With all of them:")).to_contain_text("$22.00")
    expect(portal.get_by_role("cell", name="Failed, by the provider")).to_be_visible()
    screenshot("2-job")
    portal.set_viewport_size(PHONE)
    screenshot("3-phone")
    assert fits(portal)
    portal.get_by_role("link", name="research-2041/write", exact=True).click()
    portal.get_by_label("Breadcrumb").get_by_role("link", name="research-2041").click()
    expect(portal.locator("h1")).to_have_text("research-2041")
