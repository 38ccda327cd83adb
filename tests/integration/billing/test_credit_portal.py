"""Credit and commitments in the portal: what is seen, bought once, and by whom."""

from datetime import date
from decimal import Decimal as D
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.credits.buying import buy_pack
from billing.models import CreditGrant, CreditPurchase, LedgerTransaction
from plans.operations.commitments import CommitmentTerms, approve_commitment, draft_commitment
from plans.rating.commitments import Instalment
from plans.rating.periods import months_after
from tests.fixtures.credit_world import acme_with_packs, portal_user, september_drawn, stand_at
from tests.fixtures.world import at

pytestmark = pytest.mark.django_db(transaction=True)
CREDIT, BUY, COMMITMENTS = "/portal/credit/", "/portal/credit/packs/p1000/", "/portal/commitments/"


@pytest.fixture
def acme(world):
    customer = acme_with_packs(world)
    september_drawn(world, customer)
    return customer


@pytest.fixture
def olga(client, acme):
    client.force_login(portal_user(acme))
    return client


def text(response, status=200):
    assert response.status_code == status, response.status_code
    return " ".join(response.content.decode().split())


def order(**said):
    return {"quantity": "2", "amount": "20.00", "order": str(uuid4()), **said}


def test_the_page_shows_pools_grants_draws_and_packs(olga):
    shown = text(olga.get(CREDIT))
    for said in (
        "750 TOKN", "0 TOKN", "1,000 TOKN", "credit pack 1,000", "3 December 2026, 00:00",
        "Tokens of all models", "September 2026", "acme-0001", "250 TOKN", "$0.01", "$10.00",
        "$0.009", "$81.00", "usable once paid",
    ):  # fmt: skip
        assert said in shown, said


def test_packs_are_bought_once_on_a_double_click(olga, acme):
    shown = text(olga.get(BUY, {"quantity": "2"}))
    assert "Buy for $20.00" in shown
    assert "2,000 TOKN" in shown
    said = order()
    for _ in range(2):
        done = text(olga.post(BUY, said, follow=True))
        assert "2,000 TOKN are bought for $20.00" in done
    bought = CreditPurchase.objects.get(bought_at=at(2026, 10, 6))
    assert (bought.quantity, bought.amount, bought.pack_key) == (2, D(20), "p1000")
    assert bought.bought_by.username == "olga"
    assert bought.grant.remaining == D(2000)
    assert "2 of credit pack 1,000" in done
    assert "2,750 TOKN" in done


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"amount": "19.00"}, "Nothing was bought: the price is $20.00 now."),
        ({"quantity": "0"}, "Nothing was bought: the order was incomplete."),
        ({"order": "x"}, "Nothing was bought: the order was incomplete."),
    ],
)
def test_a_refused_order_buys_nothing(olga, said, problem):
    posted = LedgerTransaction.objects.count()
    assert problem in text(olga.post(BUY, order(**said)), 409)
    assert CreditPurchase.objects.count() == CreditGrant.objects.count() == 1
    assert LedgerTransaction.objects.count() == posted


def test_a_key_that_was_used_for_another_order_is_refused(olga):
    said = order()
    olga.post(BUY, said)
    shown = text(olga.post(BUY, {**said, "quantity": "1", "amount": "10.00"}), 409)
    assert "give this purchase a key of its own" in shown
    assert CreditPurchase.objects.count() == 2


def test_a_stranger_finds_nothing_of_acme(client, world, acme):
    client.force_login(portal_user(world.customer("other"), "sven"))
    shown = text(client.get(CREDIT))
    assert "There is no credit yet." in shown
    for secret in ("TOKN", "acme", "Acme", "750"):
        assert secret not in shown, secret
    assert client.get(BUY).status_code == client.post(BUY, order()).status_code == 404
    assert CreditPurchase.objects.count() == 1
    assert "There is no commitment." in text(client.get(COMMITMENTS))


@pytest.mark.parametrize("page", [CREDIT, BUY, COMMITMENTS])
def test_without_a_login_every_page_asks_for_one(client, acme, page):
    assert client.get(page).headers["Location"] == f"/portal/login/?next={page}"
    assert client.post(BUY, order()).status_code == 302
    assert CreditPurchase.objects.count() == 1


def test_credit_that_waits_for_its_payment_says_so(olga, acme):
    buy_pack(customer=acme, pack_key="p9000", now=at(2026, 10, 5), key="big")
    shown = text(olga.get(CREDIT))
    assert "Usable once it is paid" in shown
    assert "9,750 TOKN" in shown  # settled
    assert "750 TOKN" in shown  # available


def test_draws_come_in_pages(olga, world, acme, monkeypatch):
    monkeypatch.setattr("billing.queries.credit_page.DRAWS_PER_PAGE", 1)
    world.use("acme", "tokens", time=at(2026, 10, 10), n=100_000)
    stand_at(acme, at(2026, 11, 4))
    world.close(now=at(2026, 11, 4))
    first = text(olga.get(CREDIT))
    assert "acme-0002" in first
    assert "acme-0001" not in first
    after = first.partition("?after=")[2].partition('"')[0]
    second = text(olga.get(CREDIT, {"after": after}))
    assert "acme-0001" in second
    assert "acme-0002" not in second
    assert "Packs you can buy" not in second
    assert olga.get(CREDIT, {"after": "x"}).status_code == 404


def test_commitments_show_pace_shortfall_and_schedule(world, client):
    customer = world.customer(clock_at=at(2024, 12, 20))
    meter = world.meter("compute", aggregation="sum", value_property="value", unit="USD")
    price = {"key": "compute", "model": "per_unit", "amount": D(1), "meter": meter}
    world.subscribe(customer, world.plan(prices=(price,)), starts_at=at(2025, 1, 1))
    for key in ("annual", "draft"):
        terms = CommitmentTerms(
            name=f"{key.title()} commitment", start=date(2025, 1, 1),
            instalments=[Instalment(3, D(5000)), Instalment(9, D(45_000))], discount_percent=D(20),
        )  # fmt: skip
        row = draft_commitment(customer=customer, key=key, terms=terms, by=None)
        if key == "annual":
            approve_commitment(commitment=row, by=None, now=at(2024, 12, 20))
    world.use("acme", type="compute", time=at(2025, 1, 10), value="4500")
    world.use("acme", type="compute", time=at(2025, 2, 10), value="2250")
    stand_at(customer, at(2025, 2, 5))
    world.close(now=at(2025, 2, 5))
    stand_at(customer, at(2025, 2, 15))
    client.force_login(portal_user(customer))
    shown = text(client.get(COMMITMENTS))
    for said in (
        "Annual commitment", "$50,000.00, 1 January to 31 December 2025", "$5,400.00", "$3,600.00",
        "$1,800.00", "$44,600.00", "$43,800.00", "At this pace $6,200.00 will be short",
        "1 January to 31 March 2025", "1 April to 31 December 2025", "$45,000.00",
    ):  # fmt: skip
        assert said in shown, said
    assert "Draft commitment" not in shown


@pytest.mark.parametrize("page", [CREDIT, BUY, COMMITMENTS])
def test_the_number_of_queries_is_fixed(olga, acme, page):
    for number in range(3):
        _commit(acme, number)
    queries = _count(olga, page)
    for number in range(5):
        buy_pack(customer=acme, pack_key="p9000", now=at(2026, 10, 5), key=f"more{number}")
        _commit(acme, 3 + number)
    assert _count(olga, page) == queries


def _commit(customer, number):
    start = months_after(date(2026, 10, 7), number)
    terms = CommitmentTerms(name="Promise", start=start, instalments=[Instalment(1, D(600))])
    row = draft_commitment(customer=customer, key=f"c{number}", terms=terms, by=None)
    approve_commitment(commitment=row, by=None, now=at(2026, 10, 1))


def _count(client, page):
    with CaptureQueriesContext(connection) as found:
        assert client.get(page).status_code == 200
    return len(found)
