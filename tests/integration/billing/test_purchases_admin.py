"""Purchases on a pool's page: what waits for its payment is marked as paid once, with a reason."""

import pytest
from django.contrib.admin.models import LogEntry

from billing.credits.buying import buy_pack
from billing.models import CreditGrant
from billing.staff import APPROVER, SUPPORT
from tests.fixtures.credit_world import acme_with_packs, stand_at
from tests.fixtures.world import at

pytestmark = pytest.mark.django_db(transaction=True)


def text(response):
    assert response.status_code == 200, response.status_code
    return " ".join(response.content.decode().split())


@pytest.fixture
def bought(world):
    acme = acme_with_packs(world)
    stand_at(acme, at(2026, 9, 5))
    buy_pack(customer=acme, pack_key="p1000", now=at(2026, 9, 3), key="one")
    return buy_pack(customer=acme, pack_key="p9000", now=at(2026, 9, 4), key="big").grant


def test_what_was_paid_may_be_used_once_somebody_says_so(client, staff, bought):
    page = f"/admin/billing/creditpool/{bought.pool_id}"
    client.force_login(staff(APPROVER))
    home = text(client.get("/admin/"))
    assert "Credit waiting for its payment" in home
    assert "Acme, 9,000 TOKN" in home
    assert "$81.00 since 04 September 2026" in home
    shown = text(client.get(f"{page}/change/"))
    for said in ("credit pack 9,000", "$81.00", "Waiting", "$10.00", "Usable at once"):
        assert said in shown, said

    said = {"grant": bought.pk, "paid_on": "2026-09-05", "reason": "Transfer 77."}
    for bad, problem in (
        ({"paid_on": "2026-09-06"}, "That day has not come"),
        ({"reason": ""}, "This field is required."),
    ):
        assert problem in text(client.post(f"{page}/paid/", {**said, **bad}))
    bought.refresh_from_db()
    assert bought.paid_at is None

    done = text(client.post(f"{page}/paid/", said, follow=True))
    assert "9,000 TOKN are paid since 5 September 2026: they may be used by Acme." in done
    assert "Paid 5 September 2026" in done
    again = text(client.post(f"{page}/paid/", {**said, "paid_on": "2026-09-04"}))
    assert "It is paid already, or needs no payment." in again
    bought.refresh_from_db()
    assert bought.paid_at == at(2026, 9, 5)
    assert "Transfer 77." in LogEntry.objects.get().change_message
    assert "All credit that needs payment is paid." in text(client.get("/admin/"))


def test_support_reads_and_marks_nothing(client, staff, bought):
    client.force_login(staff(SUPPORT))
    said = {"grant": bought.pk, "paid_on": "2026-09-05", "reason": "Transfer 77."}
    page = f"/admin/billing/creditpool/{bought.pool_id}"
    assert "credit pack 9,000" in text(client.get(f"{page}/change/"))
    assert client.post(f"{page}/paid/", said).status_code == 403
    assert CreditGrant.objects.get(pk=bought.pk).paid_at is None
