"""An editor tries a draft on real usage: start, progress, result in light and dark, the file."""

import csv
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from billing.models import DryRun
from billing.staff import EDITOR
from tests.fixtures.dry_runs import NOW
from tests.fixtures.world import at

pytestmark = pytest.mark.browser


@pytest.fixture
def many_customers(jobs, dearer):
    """Twelve more customers whose amounts change by all sorts of shares."""
    for number in range(12):
        key = f"cust-{number:02d}"
        jobs.subscribe(jobs.customer(key), jobs.standard, starts_at=at(2024, 1, 1))
        jobs.use(key, time=at(2024, 3, 6), times=1 + 7 * number, model="m1")
    return dearer


def test_starts_watches_reads_and_downloads(
    many_customers, signed_in_page, staff, screenshot, celery_worker_process, monkeypatch
):
    monkeypatch.setattr("billing.admin.dry_runs.timezone", SimpleNamespace(now=lambda: NOW))
    page = signed_in_page(staff(EDITOR))
    page.goto(f"/admin/plans/planversion/{many_customers.pk}/change/")
    screenshot("1-version")
    page.get_by_role("link", name="Dry run", exact=True).click()
    page.get_by_label("First month").select_option(label="March 2024")
    page.get_by_label("Last month").select_option(label="March 2024")
    screenshot("2-start")
    page.get_by_role("button", name="Start the dry run").dblclick()

    expect(page.get_by_role("heading", name="Waiting for a worker")).to_be_visible()
    screenshot("3-waiting")
    monkeypatch.undo()
    run = DryRun.objects.get()
    # As if it were asked for now: the worker goes by the real clock.
    DryRun.objects.filter(pk=run.pk).update(requested_at=timezone.now())
    celery_worker_process()
    expect(page.get_by_role("heading", name="Pay more, the most first")).to_be_visible()

    expect(page.get_by_text("$586.00")).to_be_visible()
    screenshot("4-result")
    page.evaluate("document.documentElement.classList.add('dark')")
    screenshot("4-result-dark")
    page.evaluate("document.documentElement.classList.remove('dark')")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    rows = list(csv.reader(Path(download.value.path()).read_text().splitlines()))
    assert len(rows) == 1 + 15
    page.get_by_role("link", name="The version").click()
    expect(page.get_by_text("15 customers of Standard")).to_be_visible()
    screenshot("5-version-with-evidence")
    page.goto("/admin/billing/dryrun/")
    expect(page.get_by_text("Finished").first).to_be_visible()
    screenshot("6-list")
