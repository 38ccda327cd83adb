"""Credit: granted, held, used, released, expired and carried on, exactly and in its order."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from billing.credits.buying import mark_paid
from billing.credits.expiring import expire_grants
from billing.credits.granting import (
    CreditInvalid,
    GrantKeyTaken,
    define_credit_unit,
    grant_credit,
    open_pool,
)
from billing.credits.holding import (
    HoldEnded,
    HoldKeyTaken,
    NotEnoughCredit,
    expire_holds,
    place_hold,
    settle_hold,
    spend,
    void_hold,
)
from billing.credits.queries import Balance, balance_of
from billing.ledger.checks import check_ledger
from billing.models import (
    CreditGrant,
    CreditPool,
    Hold,
    LedgerAccount,
    LedgerEntry,
    LedgerTransaction,
)
from tests.fixtures.world import World, at

NOW = at(2026, 3, 1)
HOUR = timedelta(hours=1)


@pytest.fixture
def pool(world: World) -> CreditPool:
    """Acme's pool of TOKN, empty."""
    return pool_of(world)


def pool_of(world: World, customer: str = "acme", key: str = "main") -> CreditPool:
    from plans.models import Customer

    owner = Customer.objects.filter(key=customer).first() or world.customer(customer)
    unit = define_credit_unit(code="TOKN", name="Tokens", decimals=2)
    return open_pool(customer=owner, key=key, name="Main", unit=unit)


def grant(pool: CreditPool, key: str, amount: str | int, **said: Any) -> CreditGrant:
    given: dict[str, Any] = {"source": "bought", "effective_at": NOW, "now": NOW, **said}
    return grant_credit(pool=pool, key=key, amount=D(amount), **given)


def hold(pool: CreditPool, key: str, amount: str | int, now: datetime = NOW, **said: Any) -> Hold:
    given = {"expires_at": now + HOUR, **said}
    placed = place_hold(pool_id=pool.pk, key=key, amount=D(amount), now=now, **given)
    return Hold.objects.get(pk=placed.hold_id)


def balance(pool: CreditPool, now: datetime = NOW) -> Balance:
    return balance_of(pool_id=pool.pk, at=now)


def slices(held: Hold) -> list[tuple[str, D]]:
    keys = dict(CreditGrant.objects.filter(pk__in=held.grant_ids).values_list("pk", "key"))
    return [(keys[pk], part) for pk, part in zip(held.grant_ids, held.pinned, strict=True)]


def money(pool: CreditPool) -> dict[str, D]:
    rows = LedgerAccount.objects.filter(customer=pool.customer).exclude(balance=0)
    return {f"{row.kind} {row.unit_id}": row.balance for row in rows.order_by("kind", "unit_id")}


def everything() -> tuple[Any, ...]:
    return (
        list(CreditGrant.objects.order_by("pk").values_list("remaining", "held", "recognised")),
        list(Hold.objects.order_by("pk").values_list("key", "status", "used")),
        LedgerTransaction.objects.count(),
        LedgerEntry.objects.count(),
    )


def test_burn_down_is_by_priority_then_expiry_then_free_then_age(pool: CreditPool) -> None:
    later, soon = NOW + 90 * 24 * HOUR, NOW + 24 * HOUR
    grant(pool, "never", 10)
    grant(pool, "paid", 10, expires_at=later, cost=D("1.00"))
    grant(pool, "free", 10, expires_at=later, source="promotion")
    grant(pool, "soon", 10, expires_at=soon)
    grant(pool, "first", 10, priority=1)
    held = hold(pool, "job", 45)
    assert slices(held) == [
        ("first", D(10)),
        ("soon", D(10)),
        ("free", D(10)),
        ("paid", D(10)),
        ("never", D(5)),
    ]
    assert balance(pool) == (D(50), D(45), D(5))


def test_only_credit_that_is_in_effect_paid_and_meant_for_it_is_used(pool: CreditPool) -> None:
    grant(pool, "tomorrow", 1, effective_at=NOW + 24 * HOUR)
    grant(pool, "over", 2, effective_at=NOW - HOUR, expires_at=NOW)
    grant(pool, "unpaid", 4, needs_payment=True, cost=D(4))
    grant(pool, "gpu", 8, meters=["gpu"])
    grant(pool, "renders", 16, job_classes=["render"])
    grant(pool, "any", 32)
    assert balance(pool).available == D(32)
    assert slices(hold(pool, "a", 40, meter="gpu", job_class="chat")) == [
        ("gpu", D(8)),
        ("any", D(32)),
    ]
    before = everything()
    with pytest.raises(NotEnoughCredit) as refused:
        hold(pool, "b", 17, meter="tokens", job_class="render")
    assert str(refused.value) == "17 were asked for, and 16 are available."
    assert everything() == before
    assert slices(hold(pool, "c", 16, job_class="render")) == [("renders", D(16))]


def test_a_hold_is_settled_at_its_true_amount(pool: CreditPool) -> None:
    grant(pool, "pack", "100", cost=D("10.00"))
    held = hold(pool, "job", "60")
    assert balance(pool) == (D(100), D(60), D(40))
    settled = settle_hold(hold_id=held.pk, amount=D("45.25"), now=NOW)
    assert settled == (D("45.25"), D(0))
    assert balance(pool) == (D("54.75"), D(0), D("54.75"))
    assert money(pool) == {
        "credit TOKN": D("-54.75"),
        "deferred USD": D("-5.47"),
        "issued TOKN": D(100),
        "revenue USD": D("-4.53"),
        "unbilled USD": D("10.00"),
        "used TOKN": D("-45.25"),
    }
    before = everything()
    assert settle_hold(hold_id=held.pk, amount=D("45.25"), now=NOW) == settled
    with pytest.raises(HoldEnded):
        settle_hold(hold_id=held.pk, amount=D(46), now=NOW)
    with pytest.raises(HoldEnded):
        void_hold(hold_id=held.pk, now=NOW)
    assert everything() == before
    assert list(check_ledger()) == []


def test_above_the_hold_the_pool_gives_what_it_has(pool: CreditPool) -> None:
    grant(pool, "pack", 100)
    held = hold(pool, "job", 60)
    assert settle_hold(hold_id=held.pk, amount=D(130), now=NOW) == (D(100), D(30))
    assert settle_hold(hold_id=held.pk, amount=D(130), now=NOW) == (D(100), D(30))
    assert balance(pool) == (D(0), D(0), D(0))
    assert list(check_ledger()) == []


def test_a_hold_is_placed_once_for_its_key(pool: CreditPool) -> None:
    grant(pool, "pack", 100)
    first = hold(pool, "job", 60)
    assert hold(pool, "job", 60).pk == first.pk
    with pytest.raises(HoldKeyTaken):
        hold(pool, "job", 61)
    assert balance(pool) == (D(100), D(60), D(40))


def test_a_hold_is_voided_or_expires_and_gives_everything_back(pool: CreditPool) -> None:
    grant(pool, "pack", 100)
    void_hold(hold_id=hold(pool, "a", 60).pk, now=NOW)
    hold(pool, "b", 30)
    assert expire_holds(now=NOW + HOUR - timedelta(microseconds=1)) == 0
    assert expire_holds(now=NOW + HOUR) == 1
    assert expire_holds(now=NOW + HOUR) == 0
    assert balance(pool) == (D(100), D(0), D(100))
    statuses = Hold.objects.order_by("key").values_list("status", flat=True)
    assert list(statuses) == ["voided", "expired"]
    assert LedgerTransaction.objects.count() == 1


def test_what_is_released_after_its_grants_expiry_is_breakage(pool: CreditPool) -> None:
    ends = NOW + 2 * HOUR
    grant(pool, "pack", 30, cost=D("10.00"), expires_at=ends)
    held = hold(pool, "job", 20, expires_at=ends + HOUR)
    assert balance(pool, ends) == (D(20), D(20), D(0))
    assert expire_grants(now=ends) == 1
    assert balance(pool, ends) == (D(20), D(20), D(0))
    settle_hold(hold_id=held.pk, amount=D(5), now=ends + HOUR)
    assert balance(pool, ends + HOUR) == (D(0), D(0), D(0))
    assert money(pool) == {
        "breakage USD": D("-8.33"),
        "expired TOKN": D(-25),
        "issued TOKN": D(30),
        "revenue USD": D("-1.67"),
        "unbilled USD": D("10.00"),
        "used TOKN": D(-5),
    }
    assert list(check_ledger()) == []


def test_unused_credit_rolls_over_up_to_its_most_and_then_expires(pool: CreditPool) -> None:
    """S21b: of 6,800 unused, 5,000 roll over for 3 months and 1,800 expire; 4,100 are drawn."""
    ends, until = at(2027, 3, 1), at(2027, 6, 1)
    grant(
        pool, "commitment", 50_000, cost=D(50_000), expires_at=ends,
        rollover_most=D(5_000), rollover_months=3, rollovers=1,
    )  # fmt: skip
    spend(pool_id=pool.pk, key="year", amount=D(43_200), now=NOW)
    assert expire_grants(now=ends) == 1
    assert balance(pool, ends) == (D(5_000), D(0), D(5_000))
    rolled = CreditGrant.objects.get(source="rollover")
    assert (rolled.effective_at, rolled.expires_at) == (ends, until)
    assert (rolled.cost, rolled.rolled_from.key) == (D(5_000), "commitment")
    spend(pool_id=pool.pk, key="after", amount=D(4_100), now=ends + HOUR)
    assert expire_grants(now=until) == 1
    assert expire_grants(now=until) == 0
    assert balance(pool, until) == (D(0), D(0), D(0))
    assert money(pool) == {
        "breakage USD": D(-2_700),
        "expired TOKN": D(-2_700),
        "issued TOKN": D(50_000),
        "revenue USD": D(-47_300),
        "unbilled USD": D(50_000),
        "used TOKN": D(-47_300),
    }
    assert list(check_ledger()) == []


def test_what_rolls_over_unpaid_waits_for_its_payment_still(pool: CreditPool) -> None:
    ends = at(2026, 6, 1)
    first = grant(
        pool, "pack", 10, cost=D(10), expires_at=ends, needs_payment=True, rollover_most=D(10),
        rollovers=1,
    )  # fmt: skip
    assert expire_grants(now=ends) == 1
    assert balance(pool, ends) == (D(10), D(0), D(0))
    with pytest.raises(NotEnoughCredit):
        spend(pool_id=pool.pk, key="early", amount=D(1), now=ends)
    mark_paid(grant_id=first.pk, paid_at=ends, now=ends)
    assert balance(pool, ends) == (D(10), D(0), D(10))
    assert not CreditGrant.objects.filter(paid_at=None).exists()


def test_credits_by_pack_are_used_in_order_s03(pool: CreditPool) -> None:
    """S03: 10,250 credits of two packs; the one that expires sooner is emptied first."""
    grant(pool, "10000", 10_000, cost=D(90), expires_at=at(2027, 3, 1))
    grant(pool, "1000", 1_000, cost=D(10), expires_at=at(2026, 6, 1))
    for key, amount in (("gpt-4o", 6000), ("gpt-3.5", 1500), ("mistral", 2750)):
        assert spend(pool_id=pool.pk, key=key, amount=D(amount), now=NOW) == (D(amount), D(0))
    left = dict(CreditGrant.objects.values_list("key", "remaining"))
    assert left == {"10000": D(750), "1000": D(0)}
    assert money(pool)["revenue USD"] == D("-93.25")


BAD = {
    "nothing": ({"amount": "0"}, "amount"),
    "too fine": ({"amount": "0.001"}, "amount"),
    "expires before it begins": ({"expires_at": NOW}, "expires_at"),
    "a cost below zero": ({"cost": D(-1)}, "cost"),
    "a cost of half a cent": ({"cost": D("0.005")}, "cost"),
}


@pytest.mark.parametrize(("said", "field"), BAD.values(), ids=BAD.keys())
def test_a_grant_that_cannot_be_is_refused(
    pool: CreditPool, said: dict[str, Any], field: str
) -> None:
    given = {"amount": "10", **said}
    with pytest.raises(CreditInvalid) as refused:
        grant(pool, "bad", given.pop("amount"), **given)
    assert refused.value.field == field
    assert everything() == ([], [], 0, 0)


def test_a_grant_is_made_once_for_its_key(pool: CreditPool) -> None:
    first = grant(pool, "pack", 10)
    assert grant(pool, "pack", 10).pk == first.pk
    with pytest.raises(GrantKeyTaken):
        grant(pool, "pack", 11)
    assert balance(pool) == (D(10), D(0), D(10))


SQL = {
    "grant enlarged": "UPDATE billing_creditgrant SET amount = amount + 1",
    "grant deleted": "DELETE FROM billing_creditgrant",
    "more held than left": "UPDATE billing_creditgrant SET held = 1000",
    "more left than granted": "UPDATE billing_creditgrant SET remaining = 1000",
    "hold deleted": "DELETE FROM billing_hold",
    "hold reopened": "UPDATE billing_hold SET status = 'pending', ended_at = NULL",
    "slice changed": "UPDATE billing_hold SET pinned = '{1}'",
    "slice deleted": "UPDATE billing_hold SET grant_ids = '{}', pinned = '{}'",
}


@pytest.mark.parametrize("statement", SQL.values(), ids=SQL.keys())
def test_the_database_refuses_what_credit_is_not(pool: CreditPool, statement: str) -> None:
    grant(pool, "pack", 10)
    spend(pool_id=pool.pk, key="job", amount=D(4), now=NOW)
    before = everything()
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert everything() == before


def in_parallel(clients: int, work: Callable[[int], None]) -> list[BaseException]:
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - the test shows it
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def test_of_5000_attempts_by_64_clients_exactly_1000_succeed(world: World) -> None:
    pool = pool_of(world)
    for number in range(10):
        grant(pool, f"grant {number}", 100, expires_at=NOW + (number + 2) * HOUR)
    succeeded, refused = [0] * 64, [0] * 64

    def work(number: int) -> None:
        for attempt in range(5000 // 64 + (number < 5000 % 64)):
            key = f"{number}.{attempt}"
            try:
                if attempt % 2:
                    spend(pool_id=pool.pk, key=key, amount=D(1), now=NOW)
                else:
                    place_hold(
                        pool_id=pool.pk, key=key, amount=D(1), now=NOW, expires_at=NOW + HOUR
                    )
            except NotEnoughCredit:
                refused[number] += 1
            else:
                succeeded[number] += 1

    assert in_parallel(64, work) == []
    assert (sum(succeeded), sum(refused)) == (1000, 4000)
    assert balance(pool).available == D(0)
    held = balance(pool).held
    used = sum(Hold.objects.values_list("used", flat=True))
    assert held + used == D(1000)
    assert list(check_ledger()) == []


def test_two_pools_in_mixed_order_neither_deadlock_nor_overspend(world: World) -> None:
    pools = [pool_of(world, key="one"), pool_of(world, key="two")]
    for pool in pools:
        grant(pool, "pack", 200)
    both = [0] * 16

    def work(number: int) -> None:
        ordered = pools if number % 2 else pools[::-1]
        for attempt in range(30):
            key = f"{number}.{attempt}"
            try:
                with transaction.atomic():
                    for pool in ordered:
                        spend(pool_id=pool.pk, key=key, amount=D(1), now=NOW)
            except NotEnoughCredit:
                continue
            both[number] += 1

    assert in_parallel(16, work) == []
    assert sum(both) == 200
    assert [balance(pool) for pool in pools] == [(D(0), D(0), D(0))] * 2
    assert list(check_ledger()) == []


def test_every_term_of_a_grant_is_watched(pool: CreditPool) -> None:
    """The trigger lists the columns that stand; one that is added must be put there, too."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT a.attname FROM pg_attribute a
               WHERE a.attrelid = 'billing_creditgrant'::regclass AND a.attnum > 0
                 AND NOT a.attisdropped AND a.attnum <> ALL (
                     SELECT unnest(t.tgattr::int2[]) FROM pg_trigger t
                     WHERE t.tgname = 'billing_grant_stands')"""
        )
        free = {name for (name,) in cursor.fetchall()}
    assert free == {"remaining", "held", "recognised", "has_credit"}
