"""Finance looks at a job, a budget and the queue of work in a real browser."""

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from plans.models import Budget

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_from_the_home_page_to_a_job_and_a_budget(job_world, signed_in_page, staff, screenshot):
    silent = job_world.job("silent-1", state="running", held="9")
    silent.silent_at = job_world.now
    silent.save()
    page = signed_in_page(staff("Finance approver"))
    page.goto("/admin/")
    page.get_by_role("link", name="Aurora Studio, silent-1").click()
    expect(page.get_by_role("heading", name="Estimate and outcome")).to_be_visible()
    page.goto(reverse("admin:usage_job_change", args=[job_world.run.pk]))
    expect(page.get_by_text("With all of them: $22.00")).to_be_visible()
    screenshot("1-job")
    page.goto(reverse("admin:usage_job_changelist"))
    screenshot("2-jobs")

    film = Budget.objects.get(workspace=job_world.film)
    page.goto(reverse("admin:plans_budget_change", args=[film.pk]))
    page.get_by_role("link", name="Change", exact=True).click()
    page.get_by_label("Budget for each period, in USD").fill("4000")
    page.get_by_label("Reason").fill("Agreed by phone.")
    screenshot("3-budget")
    page.get_by_role("button", name="Set the budget").click()
    expect(page.get_by_text("Jobs are admitted again at once.")).to_be_visible()
    film.refresh_from_db()
    assert film.amount == 4000
