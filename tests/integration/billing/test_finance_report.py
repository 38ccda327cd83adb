"""Deferred and recognised revenue by month: to the cent, and the same as the accounts."""

import csv
from datetime import UTC, date, datetime
from decimal import Decimal as D
from io import StringIO

import pytest
from django.db.models import Sum

from billing.credits.expiring import expire_grants
from billing.credits.granting import define_credit_unit, grant_credit, open_pool
from billing.credits.holding import spend
from billing.ledger.operations import NewTransaction, post
from billing.ledger.postings import statement_finalised
from billing.models import LedgerAccount
from billing.queries.finance import finance_report
from billing.staff import SUPPORT
from tests.fixtures.statements import CustomerFactory

PAGE = "/admin/billing/ledgertransaction/report/"
EVER = datetime(2100, 1, 1, tzinfo=UTC)


def at(month: int, day: int = 1, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2025, month, day, hour, minute, tzinfo=UTC)


@pytest.fixture
def year(db):
    """Two customers' credit: sold in January, used in January and March, expired in April."""
    unit = define_credit_unit(code="TOKN", name="Tokens")
    for key, amount in (("acme", 1000), ("blue", 500)):
        customer = CustomerFactory(key=key)
        pool = open_pool(customer=customer, key="main", name="Main", unit=unit)
        grant_credit(
            pool=pool, key="a", source="bought", amount=D(amount), cost=D(100),
            effective_at=at(1, 10), expires_at=at(4, 10), now=at(1, 10),
        )  # fmt: skip
        spend(pool_id=pool.pk, key="s1", amount=D(300), now=at(1, 31, 23, 59))
        spend(pool_id=pool.pk, key="s2", amount=D(100), now=at(3))
        post(
            NewTransaction(
                customer_id=customer.pk, key="statement:1", reason="statement",
                happened_at=at(2, 3), entries=statement_finalised(total=D(40), currency="USD"),
            )
        )  # fmt: skip
    expire_grants(now=at(4, 10))


def test_months_follow_each_other_and_add_up(year):
    report = finance_report(until=EVER)
    assert [
        (
            row.month.month, row.opening, row.sold, row.used, row.expired, row.other, row.closing,
            row.revenue, row.breakage,
        )
        for row in report.months["USD"]
    ] == [
        (1, D(0), D(200), D(90), D(0), D(0), D(110), D(90), D(0)),
        (2, D(110), D(0), D(0), D(0), D(0), D(110), D(80), D(0)),
        (3, D(110), D(0), D(30), D(0), D(0), D(80), D(30), D(0)),
        (4, D(80), D(0), D(0), D(80), D(0), D(0), D(0), D(80)),
    ]  # fmt: skip
    assert [(each.unit, each.amount) for each in report.outstanding] == [("TOKN", D(0))]


def test_it_reconciles_with_the_balances_of_the_accounts(year):
    rows = finance_report(until=EVER).months["USD"]

    def balance(kind):
        found = LedgerAccount.objects.filter(kind=kind, unit_id="USD")
        return -found.aggregate(total=Sum("balance"))["total"]

    assert rows[-1].closing == balance("deferred")
    assert sum(row.revenue for row in rows) == balance("revenue")
    assert sum(row.breakage for row in rows) == balance("breakage")


def test_a_month_ends_at_midnight_in_utc(year):
    (january,) = finance_report(until=at(2)).months["USD"]
    assert (january.month, january.used) == (date(2025, 1, 1), D(90))
    assert "USD" not in finance_report(until=at(1, 10)).months


def test_two_queries_whatever_there_is(year, django_assert_num_queries):
    with django_assert_num_queries(2):
        finance_report(until=EVER)


def test_the_page_shows_it_and_the_file_says_the_same(year, client, staff):
    client.force_login(staff(SUPPORT))
    shown = " ".join(client.get(PAGE).content.decode().split())
    for said in ("April 2025", "$80.00", "Deferred, opening", "calendar month in UTC", "Tokens"):
        assert said in shown, said
    answer = client.get(f"{PAGE}?format=csv")
    rows = list(csv.reader(StringIO(b"".join(answer.streaming_content).decode())))
    assert rows[0][:3] == ["month (UTC)", "currency", "Deferred, opening"]
    assert rows[1] == [
        "2025-01", "USD", "0.00", "200.00", "90.00", "0.00", "0.00", "110.00", "90.00", "0.00"
    ]  # fmt: skip
    assert len(rows) == 5


def test_it_is_closed_to_others(year, client, django_user_model):
    client.force_login(django_user_model.objects.create_user("guest", is_staff=True))
    assert client.get(PAGE).status_code == 403
