"""Credit over the API: balances, grants once for their key, and the journal, for keys that may."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.test import Client
from django.utils import timezone

from billing.credits.granting import define_credit_unit, grant_credit, open_pool
from billing.credits.holding import place_hold, spend
from billing.credits.requests import approve_credit_request, decline_credit_request
from billing.models import CreditGrant, CreditRequest, LedgerTransaction, UnitOfAccount
from tests.fixtures.statements import CustomerFactory, UserFactory
from usage.operations.api_keys import issue_key

ACME = "/api/v1/customers/acme/"
GRANT = {"pool": "main", "source": "promotion", "amount": "250", "note": "Spring promotion."}


@pytest.fixture
def pool(db):
    customer = CustomerFactory(key="acme", name="Acme Pictures", time_zone="Europe/Berlin")
    unit = define_credit_unit(code="TOKN", name="Tokens")
    return open_pool(customer=customer, key="main", name="Main credit", unit=unit)


@pytest.fixture
def secrets(pool):
    now = timezone.now()
    return {
        scope: issue_key(name=scope, scopes=[scope], now=now)[1] for scope in ("read", "credit")
    }


@pytest.fixture
def get(secrets):
    def ask(address, scope="read"):
        headers = {"authorization": f"Bearer {secrets[scope]}"}
        return Client().get(f"{ACME}{address}", headers=headers)

    return ask


@pytest.fixture
def post(secrets):
    def send(body, key="order-7", scope="credit", address=f"{ACME}grants"):
        headers = {"authorization": f"Bearer {secrets[scope]}", "idempotency-key": key}
        return Client().post(
            address, body, content_type="application/json", headers=headers
        )  # fmt: skip

    return send


def grant(pool, key, amount, **said):
    now = timezone.now()
    given = {"source": "promotion", "effective_at": now - timedelta(hours=1), **said}
    return grant_credit(pool=pool, key=key, amount=D(amount), now=now, **given)


def test_a_balance_is_settled_held_and_available_at_an_instant(pool, get):
    now = timezone.now()
    grant(pool, "a", 100, expires_at=now + timedelta(days=10))
    grant(pool, "b", 50)
    place_hold(pool_id=pool.pk, key="h", amount=D(30), now=now, expires_at=now + timedelta(hours=1))
    answer = get("balance").json()
    assert answer["customer"] == "acme"
    assert answer["pools"] == [
        {"pool": "main", "name": "Main credit", "unit": "TOKN", "settled": "150", "held": "30",
         "available": "120"}
    ]  # fmt: skip
    later = (now + timedelta(days=11)).strftime("%Y-%m-%dT%H:%M:%SZ")
    (lapsed,) = get(f"balance?at={later}").json()["pools"]
    assert (lapsed["settled"], lapsed["held"], lapsed["available"]) == ("80", "30", "50")


def test_a_balance_of_the_past_is_refused(get):
    answer = get("balance?at=2020-01-01T00:00:00Z")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "at")


def test_credit_is_granted_once_for_its_key(pool, post, get):
    first = post(GRANT)
    assert first.status_code == 201
    again = post(GRANT)
    assert (again.status_code, again.json()) == (201, first.json())
    (row,) = CreditGrant.objects.all()
    assert (row.key, row.amount, row.source, row.note) == (
        "order-7", D(250), "promotion", "Spring promotion."
    )  # fmt: skip
    assert LedgerTransaction.objects.count() == 1

    other = post({**GRANT, "amount": "251"})
    assert (other.status_code, other.json()["code"]) == (409, "grant_key_taken")
    assert CreditGrant.objects.get().amount == D(250)

    (listed,) = get("grants").json()["results"]
    assert listed == first.json()
    assert {name: listed[name] for name in ("key", "pool", "unit", "amount", "remaining")} == {
        "key": "order-7", "pool": "main", "unit": "TOKN", "amount": "250", "remaining": "250"
    }  # fmt: skip


def test_above_the_set_amount_a_grant_waits_for_a_person(pool, post):
    UnitOfAccount.objects.filter(pk="TOKN").update(approval_above=249)
    first = post(GRANT)
    assert first.status_code == 202
    assert {name: value for name, value in first.json().items() if name != "requested_at"} == {
        "key": "order-7", "pool": "main", "unit": "TOKN", "amount": "250",
        "status": "requested", "note": "Spring promotion.",
    }  # fmt: skip
    assert not CreditGrant.objects.exists()
    assert not LedgerTransaction.objects.exists()
    assert post(GRANT).json() == first.json()
    other = post({**GRANT, "amount": "251"})
    assert (other.status_code, other.json()["code"]) == (409, "request_key_taken")
    [wanted] = CreditRequest.objects.all()
    assert wanted.asker.startswith("credit (")

    by = UserFactory()
    approve_credit_request(request=wanted, now=timezone.now(), by_id=by.pk)
    again = post(GRANT)
    assert (again.status_code, again.json()["remaining"]) == (201, "250")
    assert CreditGrant.objects.get().amount == D(250)

    assert post(GRANT, key="order-8").status_code == 202
    declined = CreditRequest.objects.get(key="order-8")
    decline_credit_request(request=declined, answer="Too much.", now=timezone.now(), by_id=by.pk)
    refused = post(GRANT, key="order-8")
    assert (refused.status_code, refused.json()["code"]) == (409, "request_declined")
    assert CreditGrant.objects.count() == 1


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"amount": "-1"}, None),
        ({"amount": "0.5"}, None),
        ({"cost": "0.001"}, None),
        ({"amount": "x"}, "amount"),
        ({"source": "rollover"}, "source"),
        ({"note": ""}, "note"),
        ({"priority": -1}, "priority"),
    ],
)
def test_what_cannot_be_granted_is_said_and_nothing_written(post, said, field):
    answer = post({**GRANT, **said})
    assert answer.status_code == 422, answer.content
    body = answer.json()
    if field is None:
        assert body["code"] == "credit_invalid"
    else:
        assert (body["code"], body["errors"][0]["field"]) == ("invalid", field)
    assert not CreditGrant.objects.exists()
    assert not LedgerTransaction.objects.exists()


def test_a_grant_needs_a_key_of_its_own(post):
    for key in ("", "a b", "x" * 101):
        answer = post(GRANT, key=key)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (
            422, "Idempotency-Key"
        )  # fmt: skip
    assert not CreditGrant.objects.exists()


def test_who_reads_does_not_grant_and_who_grants_does_not_read(post, get):
    assert post(GRANT, scope="read").status_code == 403
    assert get("balance", scope="credit").status_code == 403
    assert get("journal", scope="credit").status_code == 403
    assert not CreditGrant.objects.exists()


def test_unknown_customers_and_pools(post, get):
    answer = post({**GRANT, "pool": "other"})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_pool")
    answer = post(GRANT, address="/api/v1/customers/nobody/grants")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_customer")
    assert get("grants?pool=other").status_code == 404


def test_the_journal_has_every_entry_newest_first(pool, get):
    grant(pool, "a", 100, cost=D(40))
    spend(pool_id=pool.pk, key="s", amount=D(25), now=timezone.now())
    used, granted = get("journal").json()["results"]
    assert (granted["key"], granted["reason"], granted["statement"], granted["corrects"]) == (
        "grant:main:a", "grant", None, None
    )  # fmt: skip
    assert granted["entries"] == [
        {"account": "issued", "unit": "TOKN", "amount": "100", "grant": "a"},
        {"account": "credit", "unit": "TOKN", "amount": "-100", "grant": "a"},
        {"account": "unbilled", "unit": "USD", "amount": "40", "grant": "a"},
        {"account": "deferred", "unit": "USD", "amount": "-40", "grant": "a"},
    ]
    assert used["reason"] == "use"
    assert {(each["account"], each["amount"]) for each in used["entries"]} == {
        ("credit", "25"), ("used", "-25"), ("deferred", "10"), ("revenue", "-10")
    }  # fmt: skip


def test_pages_go_on_where_the_one_before_ended(pool, get, django_assert_max_num_queries):
    for number in range(52):
        grant(pool, f"g{number}", 1)
    with django_assert_max_num_queries(6):
        first = get("grants").json()
    second = get(f"grants?after={first['next']}").json()
    keys = [each["key"] for each in [*first["results"], *second["results"]]]
    assert keys == [f"g{number}" for number in reversed(range(52))]
    assert second["next"] is None
    with django_assert_max_num_queries(8):
        posted = get("journal").json()
    assert len(posted["results"]) == 50
    assert len(get(f"journal?after={posted['next']}").json()["results"]) == 2
