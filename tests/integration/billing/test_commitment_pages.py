"""Commitments in the admin: written by one person, approved by another, watched and ended."""

from datetime import date
from decimal import Decimal as D

import pytest

from billing.queries.commitments import counted_on, pace_of
from billing.staff import APPROVER, EDITOR, SUPPORT
from plans.models import Commitment
from plans.operations.commitments import CommitmentTerms, approve_commitment, draft_commitment
from plans.rating.commitments import Instalment
from tests.fixtures.world import World, at

PAGES = "/admin/plans/commitment/"


@pytest.fixture
def acme(world: World):
    """Acme lives by a test clock, so that its pages stand at a known time."""
    customer = world.customer(clock_at=at(2024, 12, 20))
    meter = world.meter("compute", aggregation="sum", value_property="value", unit="USD")
    price = {"key": "compute", "model": "per_unit", "amount": D(1), "meter": meter}
    world.subscribe(customer, world.plan(prices=(price,)), starts_at=at(2025, 1, 1))
    return customer


@pytest.fixture
def annual(acme):
    terms = CommitmentTerms(
        name="Annual commitment", start=date(2025, 1, 1), instalments=[Instalment(12, D(50_000))],
        discount_percent=D(20),
    )  # fmt: skip
    row = draft_commitment(customer=acme, key="annual", terms=terms, by=None)
    return approve_commitment(commitment=row, by=None, now=at(2024, 12, 20))


def text(response):
    assert response.status_code == 200, response.status_code
    return " ".join(response.content.decode().split())


def test_pace_projects_the_shortfall_from_statements_and_the_running_period(world, acme, annual):
    """3,600 are billed for January; 1,800 more by 15 February: 45 of 365 days."""
    world.use("acme", type="compute", time=at(2025, 1, 10), value="4500")
    acme.clock_at = at(2025, 2, 5)
    acme.save(update_fields=["clock_at"])
    world.close(now=at(2025, 2, 5))
    world.use("acme", type="compute", time=at(2025, 2, 10), value="2250")
    annual.refresh_from_db()
    (pace,) = pace_of(annual, now=at(2025, 2, 15))
    assert [each.amount for each in (pace.billed, pace.running, pace.used, pace.remaining)] == [
        D("3600.00"), D("1800.00"), D("5400.00"), D("44600.00")
    ]  # fmt: skip
    # 5,400 x 365 / 45 = 43,800
    assert (pace.projected.amount, pace.short.amount) == (D(43_800), D(6200))
    assert pace.short_now.amount == D("44600.00")
    (on,) = counted_on(annual)
    assert (on.number, on.counted.amount) == ("acme-0001", D("3600.00"))


FORM = {
    "key": "annual", "name": "Annual commitment", "kind": "postpaid", "start": "2025-01-01",
    "instalments": "3 months: 5,000\n9 months: 45000.50", "measured_by": "instalment",
    "counts": "net", "discount_percent": "20", "beyond_percent": "", "meters": "compute",
    "rollover_percent": "0", "rollover_months": "",
}  # fmt: skip


def test_one_writes_and_another_approves(client, staff, acme, settings):
    editor, approver = staff(EDITOR), staff(APPROVER)
    client.force_login(editor)
    form = {**FORM, "customer": acme.pk}
    refused = text(client.post(f"{PAGES}add/", {**form, "instalments": "a year"}))
    assert "is no instalment" in refused
    assert not Commitment.objects.exists()
    shown = text(client.post(f"{PAGES}add/", form, follow=True))
    assert "Someone else approves it." in shown
    row = Commitment.objects.get()
    assert [(each.months, each.amount) for each in row.instalments.order_by("position")] == [
        (3, D(5000)), (9, D("45000.5"))
    ]  # fmt: skip
    assert client.get(f"{PAGES}{row.pk}/approve/").status_code == 403

    client.force_login(approver)
    page = text(client.get(f"{PAGES}{row.pk}/approve/"))
    assert "commits to $50,000.50 from 1 January 2025 to before 1 January 2026" in page


def test_the_page_shows_how_it_stands_and_ends_it(world, client, staff, acme, annual):
    client.force_login(staff(SUPPORT))
    shown = text(client.get(f"{PAGES}{annual.pk}/change/"))
    for said in ("Approved", "20% off", "It has not begun."):
        assert said in shown, said
    assert "End early" not in shown
    assert client.get(f"{PAGES}{annual.pk}/end/").status_code == 403

    client.force_login(staff(APPROVER))
    page = f"{PAGES}{annual.pk}/end/"
    assert "$50,000.00 were promised in all." in text(client.get(page))
    said = {"ends_on": "2025-06-01", "shortfall_due": "on", "reason": ""}
    assert "This field is required" in text(client.post(page, said))
    shown = text(client.post(page, {**said, "reason": "Closed."}, follow=True))
    assert "Ended before 1 June 2025: Closed.; what was still promised is billed." in shown
    again = text(client.post(page, {**said, "reason": "Closed."}, follow=True))
    assert "Only an approved commitment is ended early" in again


def test_the_list_takes_few_queries(client, staff, acme, annual, django_assert_max_num_queries):
    client.force_login(staff(SUPPORT))
    with django_assert_max_num_queries(14):
        assert "$50,000.00" in text(client.get(PAGES))
