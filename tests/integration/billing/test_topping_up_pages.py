"""Top-ups, low balances and limits of workspaces in the admin: who may set them, what is kept."""

from decimal import Decimal as D

import pytest
from django.utils import timezone

from billing.credits.granting import define_credit_unit, open_pool
from billing.credits.topping_up import top_up
from billing.models import CreditPool, LowBalance, PoolLimit, TopUp
from billing.staff import APPROVER, SUPPORT
from plans.operations.customers import create_workspace
from tests.fixtures.statements import CustomerFactory

POOLS = "/admin/billing/creditpool/"
TERMS = {
    "threshold": "300", "pack_key": "p1000", "most_per_period": "2", "cooldown_minutes": "30",
    "enabled": "on", "reason": "They asked for it.",
}  # fmt: skip


@pytest.fixture
def pool(db) -> CreditPool:
    customer = CustomerFactory(key="acme", name="Acme Pictures", time_zone="Europe/Berlin")
    unit = define_credit_unit(code="TOKN", name="Tokens")
    return open_pool(customer=customer, key="main", name="Main credit", unit=unit)


def text(response):
    assert response.status_code == 200, response.status_code
    return " ".join(response.content.decode().split())


def test_an_approver_sets_a_top_up_and_the_home_page_says_why_it_fails(client, staff, pool):
    client.force_login(staff(APPROVER))
    page = f"{POOLS}{pool.pk}/top-up/"
    assert "It stands on the statement of the period." in text(client.get(page))
    assert "The top-up is on: “p1000” below 300." in text(client.post(page, TERMS, follow=True))
    row = TopUp.objects.get()
    assert (row.threshold, row.most_per_period, row.cooldown_minutes) == (D(300), 2, 30)
    kept = row.history.get()
    assert (kept.history_user.get_username(), kept.history_change_reason) == (
        "finance-approver", "They asked for it.",
    )  # fmt: skip
    assert "“p1000” below 300 TOKN, at most 2 in a period, 30 minutes apart" in text(
        client.get(f"{POOLS}{pool.pk}/change/")
    )
    assert "Every top-up works." in text(client.get("/admin/"))

    top_up(pool_ids=[pool.pk], now=timezone.now())

    home = text(client.get("/admin/"))
    assert "Failing top-ups" in home
    assert "Acme Pictures is on no plan now: no pack is on sale." in home
    assert "It failed once: Acme Pictures is on no plan now" in text(client.get(page))
    client.post(page, TERMS)
    row.refresh_from_db()
    assert (row.failures, row.failure, row.next_try_at) == (0, "", None)


@pytest.mark.parametrize(
    "wrong", [{"threshold": "0"}, {"most_per_period": "0"}, {"pack_key": "no key"}]
)
def test_a_top_up_that_cannot_be_is_not_kept(client, staff, pool, wrong):
    client.force_login(staff(APPROVER))
    response = client.post(f"{POOLS}{pool.pk}/top-up/", {**TERMS, **wrong})
    assert "error" in text(response)
    assert not TopUp.objects.exists()


def test_alerts_and_limits_are_set_and_removed(client, staff, pool):
    lab = create_workspace(customer=pool.customer, key="lab", name="Lab")
    client.force_login(staff(APPROVER))
    low, limit = f"{POOLS}{pool.pk}/low-balance/", f"{POOLS}{pool.pk}/limit/"
    told = client.post(low, {"threshold": "50", "email": "", "reason": "x"}, follow=True)
    assert "Somebody is told below 50 TOKN." in text(told)
    said = {"workspace": lab.pk, "amount": "500", "reason": "x"}
    done = client.post(limit, said, follow=True)
    assert "Lab takes at most 500 TOKN in a period." in text(done)
    assert LowBalance.objects.get().threshold == D(50)
    assert PoolLimit.objects.get().amount == D(500)
    client.post(low, {"threshold": "", "email": "", "reason": "x"})
    client.post(limit, {**said, "amount": ""})
    assert not LowBalance.objects.exists()
    assert not PoolLimit.objects.exists()
    assert LowBalance.history.count() == PoolLimit.history.count() == 2


@pytest.mark.parametrize("page", ["top-up", "low-balance", "limit"])
def test_support_looks_and_sets_nothing(client, staff, pool, page):
    client.force_login(staff(SUPPORT))
    assert client.post(f"{POOLS}{pool.pk}/{page}/", TERMS).status_code == 403
    assert not TopUp.objects.exists()
