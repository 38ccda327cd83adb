"""A finance person watches a commitment's pace, and reads what is deferred."""

from datetime import date, timedelta
from decimal import Decimal as D

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from billing.credits.granting import grant_credit
from billing.credits.holding import spend
from billing.credits.pools import pool_in_unit
from billing.staff import APPROVER, EDITOR
from plans.operations.commitments import CommitmentTerms, approve_commitment, draft_commitment
from plans.rating import CreditUnit
from plans.rating.commitments import Instalment
from tests.fixtures.world import World, at

pytestmark = pytest.mark.browser


def test_pace_and_deferred_revenue(world: World, signed_in_page, staff, screenshot):
    acme = world.customer(clock_at=at(2024, 12, 20))
    meter = world.meter("compute", aggregation="sum", value_property="value", unit="USD")
    price = {"key": "compute", "model": "per_unit", "amount": D(1), "meter": meter}
    world.subscribe(acme, world.plan(prices=(price,)), starts_at=at(2025, 1, 1))
    terms = CommitmentTerms(
        name="Annual commitment", start=date(2025, 1, 1), instalments=[Instalment(12, D(50_000))],
        discount_percent=D(20),
    )  # fmt: skip
    row = draft_commitment(customer=acme, key="annual", terms=terms, by=None)
    approve_commitment(commitment=row, by=None, now=at(2024, 12, 20))
    world.use("acme", type="compute", time=at(2025, 1, 10), value="4500")
    world.use("acme", type="compute", time=at(2025, 2, 10), value="2250")
    acme.clock_at = at(2025, 2, 15)
    acme.save(update_fields=["clock_at"])
    world.close(now=at(2025, 2, 15))
    pool = pool_in_unit(customer=acme, unit=CreditUnit("USD", 2))
    now = timezone.now()
    for months, used in ((3, 200), (2, 300), (1, 100)):
        then = now - timedelta(days=30 * months)
        grant_credit(
            pool=pool, key=f"g{months}", source="bought", amount=D(1000), cost=D(1000),
            effective_at=then, now=then,
        )  # fmt: skip
        spend(pool_id=pool.pk, key=f"s{months}", amount=D(used), now=then)

    page = signed_in_page(staff(APPROVER))
    page.goto(f"/admin/plans/commitment/{row.pk}/change/")
    expect(page.get_by_text("$6,200.00")).to_be_visible()
    screenshot("1-pace")
    page.goto("/admin/billing/ledgertransaction/report/")
    expect(page.get_by_role("cell", name="$2,400.00").first).to_be_visible()
    screenshot("2-deferred")
    expect(page.get_by_role("cell", name="$2,400.00").first).to_be_visible()
    screenshot("2-deferred")


def test_the_form_of_a_commitment(world: World, signed_in_page, staff, screenshot):
    world.customer()
    page = signed_in_page(staff(EDITOR))
    page.goto("/admin/plans/commitment/add/")
    expect(page.get_by_label("Instalments")).to_be_visible()
    screenshot("1-form")
