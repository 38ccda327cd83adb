"""Credit pools and the journal in the admin: who may grant, what is shown, in how many queries."""

from decimal import Decimal as D

import pytest
from django.utils import timezone

from billing.credits.granting import define_credit_unit, open_pool
from billing.credits.holding import place_hold, spend
from billing.models import CreditGrant, CreditPool, CreditRequest, LedgerTransaction
from billing.staff import APPROVER, EDITOR, SUPPORT
from billing.tasks import check_the_ledger, expire_credit
from tests.fixtures.statements import CustomerFactory

POOLS, JOURNAL = "/admin/billing/creditpool/", "/admin/billing/ledgertransaction/"
GRANT = {
    "source": "promotion", "amount": "250", "cost": "", "expires_on": "2099-01-01",
    "priority": "10", "key": "spring", "note": "Spring promotion.",
}  # fmt: skip


@pytest.fixture
def pool(db) -> CreditPool:
    customer = CustomerFactory(key="acme", name="Acme Pictures", time_zone="Europe/Berlin")
    unit = define_credit_unit(code="TOKN", name="Tokens")
    return open_pool(customer=customer, key="main", name="Main credit", unit=unit)


def text(response):
    assert response.status_code == 200, response.status_code
    return " ".join(response.content.decode().split())


def test_an_approver_grants_credit_once_and_the_journal_keeps_it(client, staff, pool):
    client.force_login(staff(APPROVER))
    page = f"{POOLS}{pool.pk}/grant/"
    assert "0 TOKN are available now; the grant is added." in text(client.get(page))
    assert "250 TOKN were granted to Acme Pictures." in text(client.post(page, GRANT, follow=True))
    again = text(client.post(page, GRANT, follow=True))  # a double click
    assert "Another grant was made under “spring”" in again
    (grant,) = CreditGrant.objects.all()
    assert (grant.amount, grant.priority, grant.source) == (D(250), 10, "promotion")
    assert grant.expires_at.isoformat() == "2098-12-31T23:00:00+00:00"
    assert grant.created_by.get_username() == "finance-approver"
    shown = text(client.get(f"{POOLS}{pool.pk}/change/"))
    for said in ("250 TOKN", "Spring promotion.", "1 January 2099"):
        assert said in shown, said
    shown = text(client.get(JOURNAL))
    for said in ("grant:main:spring", "Acme Pictures", "250 TOKN", "Credit issued"):
        assert said in shown, said
    (posted,) = LedgerTransaction.objects.all()
    shown = text(client.get(f"{JOURNAL}{posted.pk}/change/"))
    for said in ("Credit issued", "Debit", "Spring promotion.", "Europe/Berlin"):
        assert said in shown, said


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"amount": "0"}, "Grant more than nothing."),
        ({"amount": "2.5"}, "TOKN has 0 decimals: round the amount."),
        ({"expires_on": "2020-01-01"}, "Credit expires after it takes effect"),
        ({"key": ""}, "This field is required."),
    ],
)
def test_a_grant_that_cannot_be_says_so_at_its_field(client, staff, pool, said, problem):
    client.force_login(staff(APPROVER))
    assert problem in text(client.post(f"{POOLS}{pool.pk}/grant/", {**GRANT, **said}))
    assert CreditGrant.objects.count() == LedgerTransaction.objects.count() == 0


@pytest.mark.parametrize("group", [EDITOR, SUPPORT])
def test_others_read_and_do_not_grant(client, staff, pool, group):
    client.force_login(staff(group))
    assert "Main credit" in text(client.get(f"{POOLS}{pool.pk}/change/"))
    assert client.post(f"{POOLS}{pool.pk}/grant/", GRANT).status_code == 403
    assert CreditGrant.objects.count() == 0


def test_the_lists_take_as_many_queries_for_many_rows(
    client, staff, pool, django_assert_max_num_queries
):
    client.force_login(staff(APPROVER))
    for number in range(12):
        client.post(f"{POOLS}{pool.pk}/grant/", {**GRANT, "key": f"grant {number}"})
        open_pool(customer=pool.customer, key=f"p{number}", name="More", unit=pool.unit)
    for page in (POOLS, JOURNAL):
        client.get(page)
        with django_assert_max_num_queries(8):
            assert client.get(page).status_code == 200


def test_beat_expires_holds_and_credit_and_checks_the_ledger(client, staff, pool):
    client.force_login(staff(APPROVER))
    client.post(f"{POOLS}{pool.pk}/grant/", GRANT)
    now = timezone.now()
    place_hold(pool_id=pool.pk, key="job", amount=D(40), now=now, expires_at=now)
    spend(pool_id=pool.pk, key="other", amount=D(10), now=now)
    expire_credit()
    check_the_ledger()
    shown = text(client.get(f"{POOLS}{pool.pk}/change/"))
    assert "240 TOKN" in shown
    assert "Expired" in shown


def test_above_the_amount_a_second_person_approves_on_the_page(client, staff, pool):
    pool.unit.approval_above = D(100)
    pool.unit.save(update_fields=["approval_above"])
    mara, noor = staff(APPROVER, username="mara"), staff(APPROVER, username="noor")
    client.force_login(mara)
    shown = text(client.post(f"{POOLS}{pool.pk}/grant/", GRANT, follow=True))
    assert "Another person must approve it: it waits on the home page." in shown
    (asked,) = CreditRequest.objects.all()
    page = f"/admin/billing/creditrequest/{asked.pk}/approve/"
    assert "You asked for this yourself: another person approves it." in text(client.post(page))
    assert not CreditGrant.objects.exists()

    client.force_login(noor)
    home = text(client.get("/admin/"))
    assert "Credit awaiting approval" in home
    assert "Acme Pictures, grant of 250 TOKN" in home
    assert "Spring promotion." in text(
        client.get(f"/admin/billing/creditrequest/{asked.pk}/change/")
    )
    assert "mara asked for it: Spring promotion." in text(client.get(page))
    approved = text(client.post(page, follow=True))
    assert "Approved: Grant of 250 TOKN, Acme Pictures, Main credit." in approved
    assert "This is decided: Approved." in text(client.post(page, follow=True))
    assert CreditGrant.objects.get().amount == D(250)


def test_a_request_is_declined_with_its_reason(client, staff, pool):
    pool.unit.approval_above = D(100)
    pool.unit.save(update_fields=["approval_above"])
    client.force_login(staff(APPROVER, username="mara"))
    client.post(f"{POOLS}{pool.pk}/grant/", GRANT)
    (asked,) = CreditRequest.objects.all()
    page = f"/admin/billing/creditrequest/{asked.pk}/decline/"
    assert "This field is required." in text(client.post(page))
    assert "Declined: Grant of 250 TOKN" in text(client.post(page, {"reason": "No."}, follow=True))
    asked.refresh_from_db()
    assert (asked.status, asked.answer) == ("declined", "No.")
    assert not CreditGrant.objects.exists()


def test_credit_is_moved_and_expires_by_hand(client, staff, pool):
    other = open_pool(customer=pool.customer, key="b", name="Second", unit=pool.unit)
    client.force_login(staff(APPROVER))
    client.post(f"{POOLS}{pool.pk}/grant/", GRANT)
    (grant,) = CreditGrant.objects.all()
    page = f"{POOLS}{pool.pk}/transfer/"
    assert "spring: 250 TOKN free" in text(client.get(page))
    said = {"grant": grant.pk, "to_pool": other.pk, "amount": "260", "key": "t", "reason": "Moved."}
    refused = text(client.post(page, said))
    assert "250 are free: state more than zero and no more." in refused
    assert "100 TOKN were moved to Second." in text(
        client.post(page, {**said, "amount": "100"}, follow=True)
    )
    page = f"{POOLS}{pool.pk}/expire/"
    assert "spring: 150 TOKN free" in text(client.get(page))
    said = {"grant": grant.pk, "key": "e", "reason": "Ended."}
    assert "What was free of “spring” has expired." in text(client.post(page, said, follow=True))
    left = dict(CreditGrant.objects.values_list("pool__name", "remaining"))
    assert left == {"Main credit": D(0), "Second": D(100)}


def test_who_may_not_grant_may_neither_move_nor_approve(client, staff, pool):
    client.force_login(staff(SUPPORT))
    for name in ("transfer", "expire"):
        assert client.get(f"{POOLS}{pool.pk}/{name}/").status_code == 403
    assert "Credit awaiting approval" not in text(client.get("/admin/"))
