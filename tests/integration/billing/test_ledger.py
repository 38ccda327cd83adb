"""The ledger only grows, balances at commit, and holds each business event once."""

import threading
from decimal import Decimal as D
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from billing.ledger import postings
from billing.ledger.checks import check_ledger
from billing.ledger.operations import (
    AlreadyCorrected,
    KeyTaken,
    NewTransaction,
    NothingToPost,
    correct,
    post,
    post_all,
)
from billing.ledger.postings import Entry, Unbalanced
from billing.models import LedgerAccount, LedgerEntry, LedgerTransaction
from plans.models import Customer
from tests.fixtures.world import World, at

NOW = at(2026, 3, 1)


def paid(customer: Customer, amount: str, key: str = "payment:1", **said: object) -> NewTransaction:
    entries = postings.payment(amount=D(amount), currency=customer.currency)
    return NewTransaction(customer.pk, key, "payment", NOW, entries, **said)


def balances(customer: Customer) -> dict[str, D]:
    rows = LedgerAccount.objects.filter(customer=customer).order_by("kind")
    return {f"{row.kind} {row.unit_id}": row.balance for row in rows}


def counts() -> tuple[int, int]:
    return LedgerTransaction.objects.count(), LedgerEntry.objects.count()


def test_an_event_is_posted_once(world: World) -> None:
    acme = world.customer()
    first = post(paid(acme, "90.00"))
    again = post(paid(acme, "90.00"))
    assert again.pk == first.pk
    assert balances(acme) == {"cash USD": D(90), "receivable USD": D(-90)}
    assert counts() == (1, 2)
    with pytest.raises(KeyTaken):
        post(paid(acme, "91.00"))
    assert counts() == (1, 2)
    assert balances(acme) == {"cash USD": D(90), "receivable USD": D(-90)}
    assert list(check_ledger()) == []


def test_the_same_key_of_another_customer_is_another_event(world: World) -> None:
    acme, other = world.customer("acme"), world.customer("other", currency="EUR")
    assert post_all([paid(acme, "1"), paid(other, "2"), paid(acme, "1")]) == 2
    assert balances(acme) == {"cash USD": D(1), "receivable USD": D(-1)}
    assert balances(other) == {"cash EUR": D(2), "receivable EUR": D(-2)}


def test_what_cannot_be_posted_leaves_nothing_behind(world: World) -> None:
    acme = world.customer()
    with pytest.raises(NothingToPost):
        post(NewTransaction(acme.pk, "nothing", "payment", NOW, ()))
    wrong = NewTransaction(acme.pk, "wrong", "payment", NOW, (Entry("cash", "USD", D(1)),))
    with pytest.raises(Unbalanced):
        post_all([paid(acme, "5"), wrong])
    assert counts() == (0, 0)
    assert balances(acme) == {}


def test_a_correction_names_what_it_takes_back_and_comes_once(world: World) -> None:
    acme = world.customer()
    posted = post(paid(acme, "90.00"))
    taken_back = correct(posted=posted, note="Paid twice.", happened_at=NOW, by_id=None)
    assert (taken_back.corrects_id, taken_back.note) == (posted.pk, "Paid twice.")
    assert balances(acme) == {"cash USD": D(0), "receivable USD": D(0)}
    with pytest.raises(AlreadyCorrected):
        correct(posted=posted, note="Again.", happened_at=NOW, by_id=None)
    assert counts() == (2, 4)


SQL = {
    "entry changed": "UPDATE billing_ledgerentry SET amount = amount + 1",
    "entry deleted": "DELETE FROM billing_ledgerentry",
    "transaction changed": "UPDATE billing_ledgertransaction SET note = 'other'",
    "transaction deleted": "DELETE FROM billing_ledgertransaction",
    "balance written": "UPDATE billing_ledgeraccount SET balance = 7",
    "account moved": "UPDATE billing_ledgeraccount SET kind = 'revenue' WHERE kind = 'cash'",
    "entry added later": """INSERT INTO billing_ledgerentry (transaction_id, account_id, amount)
        SELECT t.id, a.id, CASE a.kind WHEN 'cash' THEN 1 ELSE -1 END
        FROM billing_ledgertransaction t, billing_ledgeraccount a""",
    "one leg": """WITH t AS (
            INSERT INTO billing_ledgertransaction (customer_id, key, reason, note, happened_at)
            SELECT id, 'x', 'payment', '', now() FROM plans_customer RETURNING id)
        INSERT INTO billing_ledgerentry (transaction_id, account_id, amount)
        SELECT t.id, a.id, 5 FROM t, billing_ledgeraccount a WHERE a.kind = 'cash'""",
    "another customer's account": """WITH c AS (
            INSERT INTO plans_customer (key, name, email, currency, time_zone, requires_review,
                grace_hours, created_at)
            VALUES ('stranger', 'Stranger', '', 'USD', 'UTC', false, 48, now()) RETURNING id),
        t AS (
            INSERT INTO billing_ledgertransaction (customer_id, key, reason, note, happened_at)
            SELECT id, 'x', 'payment', '', now() FROM c RETURNING id)
        INSERT INTO billing_ledgerentry (transaction_id, account_id, amount)
        SELECT t.id, a.id, CASE a.kind WHEN 'cash' THEN 1 ELSE -1 END
        FROM t, billing_ledgeraccount a""",
    "an account of none": """WITH t AS (
            INSERT INTO billing_ledgertransaction (customer_id, key, reason, note, happened_at)
            SELECT id, 'x', 'payment', '', now() FROM plans_customer RETURNING id)
        INSERT INTO billing_ledgerentry (transaction_id, account_id, amount)
        SELECT t.id, n * 1000000, n FROM t, (VALUES (1), (-1)) AS v(n)""",
    "a grant of none": """WITH t AS (
            INSERT INTO billing_ledgertransaction (customer_id, key, reason, note, happened_at)
            SELECT id, 'x', 'payment', '', now() FROM plans_customer RETURNING id)
        INSERT INTO billing_ledgerentry (transaction_id, account_id, amount, grant_id)
        SELECT t.id, a.id, CASE a.kind WHEN 'cash' THEN 1 ELSE -1 END, 1000000
        FROM t, billing_ledgeraccount a""",
    "a transaction of none": """INSERT INTO billing_ledgerentry
            (transaction_id, account_id, amount)
        SELECT 1000000, id, CASE kind WHEN 'cash' THEN 1 ELSE -1 END FROM billing_ledgeraccount""",
    "account deleted": "DELETE FROM billing_ledgeraccount",
    "an account with a balance": """INSERT INTO billing_ledgeraccount
            (customer_id, kind, unit_id, balance)
        SELECT customer_id, 'revenue', 'USD', 10 FROM billing_ledgeraccount LIMIT 1""",
}


@pytest.mark.parametrize("statement", SQL.values(), ids=SQL.keys())
def test_the_database_refuses_what_the_ledger_is_not(world: World, statement: str) -> None:
    acme = world.customer()
    post(paid(acme, "90.00"))
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert counts() == (1, 2)
    assert balances(acme) == {"cash USD": D(90), "receivable USD": D(-90)}
    assert list(check_ledger()) == []


LEG = """INSERT INTO billing_ledgerentry (transaction_id, account_id, amount)
    SELECT t.id, a.id, %s FROM billing_ledgertransaction t, billing_ledgeraccount a
    WHERE t.key = 'legs' AND a.kind = %s"""


def add_legs(customer: Customer, *legs: tuple[int, str], at_once: bool = False) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        if at_once:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(
            """INSERT INTO billing_ledgertransaction (customer_id, key, reason, note, happened_at)
               VALUES (%s, 'legs', 'payment', '', now())""",
            [customer.pk],
        )
        for leg in legs:
            cursor.execute(LEG, leg)


@pytest.mark.django_db(transaction=True)
def test_legs_may_come_one_by_one_and_balance_at_commit(world: World) -> None:
    acme = world.customer()
    post(paid(acme, "90.00"))
    add_legs(acme, (5, "cash"), (-3, "receivable"), (-2, "receivable"))
    assert balances(acme) == {"cash USD": D(95), "receivable USD": D(-95)}
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM billing_ledgeruneven")
        assert cursor.fetchone() == (0,)
    assert list(check_ledger()) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize(
    "legs",
    [
        [(5, "cash")],
        [(5, "cash"), (-4, "receivable")],
        [(5, "cash"), (-5, "receivable"), (1, "cash")],
    ],
)
def test_legs_that_do_not_balance_are_not_committed(
    world: World, legs: list[tuple[int, str]], at_once: bool
) -> None:
    acme = world.customer()
    post(paid(acme, "90.00"))
    with pytest.raises(IntegrityError, match="out of balance"):
        add_legs(acme, *legs, at_once=at_once)
    assert counts() == (1, 2)
    assert balances(acme) == {"cash USD": D(90), "receivable USD": D(-90)}
    assert list(check_ledger()) == []


def test_parallel_posts_of_one_event_and_of_many(world: World) -> None:
    acme = world.customer()
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(20):
                post(paid(acme, "1", key=f"payment:{step}"))
                post(paid(acme, "1", key=f"payment:{number}.{step}"))
        except BaseException as error:  # noqa: BLE001 - reported below
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert balances(acme) == {"cash USD": D(180), "receivable USD": D(-180)}
    assert counts() == (180, 360)
    assert list(check_ledger()) == []


def test_a_finalised_statement_is_posted_once(world: World) -> None:
    plan = world.plan(prices=({"key": "platform", "model": "flat", "amount": D(30)},))
    for key in ("acme", "other"):
        world.subscribe(world.customer(key), plan, starts_at=at(2024, 11, 1))
    world.close(now=at(2024, 12, 5))
    world.close(now=at(2024, 12, 6))
    (statement,) = world.statements("acme")
    (posted,) = LedgerTransaction.objects.filter(customer__key="acme")
    assert (posted.key, posted.reason) == ("statement:acme-0001", "statement")
    assert (posted.statement_id, posted.happened_at) == (statement.pk, at(2024, 12, 5))
    assert balances(Customer.objects.get(key="other")) == {
        "receivable USD": D(30),
        "revenue USD": D(-30),
    }
    out = StringIO()
    call_command("check_ledger", stdout=out)
    assert out.getvalue() == "The ledger balances, and holds every finalised statement once\n"


def test_check_ledger_finds_a_statement_that_was_not_posted(world: World) -> None:
    plan = world.plan(prices=({"key": "platform", "model": "flat", "amount": D(30)},))
    world.subscribe(world.customer(), plan, starts_at=at(2024, 11, 1))
    world.close(now=at(2024, 12, 5))
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("DELETE FROM billing_ledgerentry")
        cursor.execute("SET session_replication_role = origin")
    found = [f"{fault.where}: {fault.what}" for fault in check_ledger()]
    assert found == [
        "acme, receivable USD: says 30, its entries come to 0",
        "acme, revenue USD: says -30, its entries come to 0",
        "acme-0001: comes to 30 USD, posted are 0",
    ]
    with pytest.raises(CommandError, match="3 faults"):
        call_command("check_ledger", stdout=StringIO())
