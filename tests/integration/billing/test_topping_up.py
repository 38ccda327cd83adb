"""Top-ups, low balances and limits of workspaces: exactly, once, and kept where they fail."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.core import mail
from django.db import connection

from billing import tasks
from billing.credits.buying import buy_pack, mark_paid
from billing.credits.granting import grant_credit, open_pool
from billing.credits.holding import NotEnoughCredit, place_hold, settle_hold, spend, void_hold
from billing.credits.limits import WorkspaceLimitReached, taken_by
from billing.credits.low_balance import notice_low_balances
from billing.credits.queries import balance_of
from billing.credits.telling import send_low_balance, unsent_low_balances
from billing.credits.topping_up import Choice, Standing, decide, pools_to_top_up, top_up
from billing.ledger.checks import check_ledger
from billing.models import (
    CreditPurchase,
    Hold,
    LowBalance,
    LowBalanceAlert,
    PoolLimit,
    TopUp,
    WebhookEvent,
)
from billing.webhooks.endpoints import create_endpoint
from plans.models import CreditPack, CreditUnit, Price
from plans.operations.customers import create_workspace
from plans.operations.publishing import publish_version
from plans.operations.versions import add_price, create_plan, start_version
from tests.fixtures.world import EVER, at

pytestmark = pytest.mark.django_db(transaction=True)

NOW = at(2026, 9, 10)
HOUR = timedelta(hours=1)


def sold(world, **said):
    """Publish a plan that sells packs of 1,000 TOKN at 10, subscribe Acme; return its pool."""
    unit = CreditUnit.objects.create(code="TOKN", name="Tokens of credit")
    version = start_version(plan=create_plan(key="plan", name="Plan"), currency="USD")
    CreditPack.objects.create(
        version=version, key="p1000", name="credit pack 1,000", unit=unit, credits=1000,
        amount=10, **said,
    )  # fmt: skip
    add_price(version=version, price=Price(key="fee", name="Fee", model="flat", amount=1))
    publish_version(version=version, effective_from=EVER, by=None, now=EVER)
    customer = world.customer(email="finance@acme.example")
    world.subscribe(customer, version.plan, starts_at=at(2026, 9, 1))
    buy_pack(customer=customer, pack_key="p1000", now=at(2026, 9, 2), key="first")
    return CreditPurchase.objects.get().grant.pool


def topped_up(pool, **said):
    given = {"threshold": 300, "pack_key": "p1000", "most_per_period": 3, "cooldown_minutes": 60}
    return TopUp.objects.create(pool=pool, **{**given, **said})


def use(pool, amount, key="used"):
    spend(pool_id=pool.pk, key=key, amount=D(amount), now=NOW)


def available(pool, now=NOW):
    return balance_of(pool_id=pool.pk, at=now).available


def bought():
    rows = CreditPurchase.objects.order_by("pk")
    return list(rows.values_list("grant__key", "quantity", "amount"))


FIRST = ("pack:first", 1, D(10))


@pytest.mark.parametrize(
    ("said", "choice"),
    [
        ({}, Choice.BUY),
        ({"available": D(300)}, Choice.ENOUGH),
        ({"available": D("299.999999999999")}, Choice.BUY),
        ({"unpaid": True}, Choice.UNPAID),
        ({"bought": 2}, Choice.MOST),
        ({"last_bought_at": NOW - HOUR + timedelta(seconds=1)}, Choice.COOLING),
        ({"last_bought_at": NOW - HOUR}, Choice.BUY),
    ],
)
def test_what_is_decided(said, choice):
    usual = {
        "available": D(299), "threshold": D(300), "bought": 1, "most": 2,
        "last_bought_at": None, "cooldown": HOUR, "unpaid": False,
    }  # fmt: skip
    assert decide(Standing(**{**usual, **said}), at=NOW) is choice


def test_a_pack_is_bought_below_the_threshold_only(world):
    pool = sold(world)
    topped_up(pool)
    use(pool, 700)
    assert top_up(pool_ids=[pool.pk], now=NOW) == 0
    assert bought() == [FIRST]
    use(pool, 1, key="more")

    assert top_up(pool_ids=[pool.pk], now=NOW) == 1
    assert bought() == [FIRST, (f"pack:top-up:{pool.pk}:1", 1, D(10))]
    assert available(pool) == D(1299)
    assert list(check_ledger()) == []


def test_cool_down_and_most_in_a_period(world):
    pool = sold(world)
    topped_up(pool, most_per_period=2, threshold=5000)
    times = [NOW, NOW + timedelta(minutes=59), NOW + HOUR, NOW + 3 * HOUR, at(2026, 10, 1)]
    assert [top_up(pool_ids=[pool.pk], now=time) for time in times] == [1, 0, 1, 0, 1]
    numbers = [key for key, _, _ in bought()][1:]
    assert numbers == [f"pack:top-up:{pool.pk}:{number}" for number in (1, 2, 3)]


def test_an_unpaid_pack_is_no_credit_and_blocks_another(world):
    pool = sold(world, needs_payment=True)
    topped_up(pool)
    assert available(pool) == D(0)
    assert top_up(pool_ids=[pool.pk], now=NOW) == 1
    assert top_up(pool_ids=[pool.pk], now=NOW + 2 * HOUR) == 0
    assert available(pool, NOW + 2 * HOUR) == D(0)
    assert len(bought()) == 2

    later = NOW + 3 * HOUR
    mark_paid(grant_id=CreditPurchase.objects.latest("pk").grant_id, paid_at=later, now=later)
    assert available(pool, later) == D(1000)
    spend(pool_id=pool.pk, key="all", amount=D(1000), now=later)
    assert top_up(pool_ids=[pool.pk], now=later) == 1


def test_parallel_sweeps_buy_one_pack_for_one_need(world):
    pool = sold(world)
    topped_up(pool, threshold=1100, cooldown_minutes=0, most_per_period=9)

    def sweep(_):
        try:
            return top_up(pool_ids=[pool.pk], now=NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(sweep, range(24)))

    assert sum(found) == 1
    assert bought() == [FIRST, (f"pack:top-up:{pool.pk}:1", 1, D(10))]
    assert available(pool) == D(2000)


def test_a_failure_is_kept_backs_off_and_the_third_disables(world):
    pool = sold(world)
    settings = topped_up(pool, pack_key="gone", threshold=1100)
    tries = [NOW, NOW + timedelta(minutes=59), NOW + HOUR, NOW + 2 * HOUR, NOW + 3 * HOUR]
    seen = []
    for time in tries:
        due = pools_to_top_up(now=time, after=0)
        top_up(pool_ids=[pool.pk], now=time)
        settings.refresh_from_db()
        seen.append((due == [pool.pk], settings.failures, settings.disabled_at))
    assert seen == [
        (True, 1, None), (False, 1, None), (True, 2, None), (False, 2, None),
        (True, 3, NOW + 3 * HOUR),
    ]  # fmt: skip
    assert settings.failure_code == "pack_not_on_sale"
    assert settings.failure == "No plan of Acme sells the pack “gone” now: choose one of p1000."
    assert bought() == [FIRST]
    assert pools_to_top_up(now=NOW + timedelta(days=9), after=0) == []


def test_a_success_forgets_the_failures(world):
    pool = sold(world)
    settings = topped_up(pool, pack_key="gone", threshold=1100)
    top_up(pool_ids=[pool.pk], now=NOW)
    TopUp.objects.update(pack_key="p1000")
    assert top_up(pool_ids=[pool.pk], now=NOW + HOUR) == 1
    settings.refresh_from_db()
    assert (settings.failures, settings.failure, settings.next_try_at) == (0, "", None)


def test_a_pool_without_a_plan_and_one_that_the_pack_does_not_fill(world):
    pool = sold(world)
    second = open_pool(customer=pool.customer, key="second", name="Second", unit=pool.unit)
    other = open_pool(customer=world.customer("other"), key="main", name="Main", unit=pool.unit)
    kept = [topped_up(second), topped_up(other)]
    assert top_up(pool_ids=[second.pk, other.pk, pool.pk], now=NOW) == 0
    codes = [TopUp.objects.get(pk=one.pk).failure_code for one in kept]
    assert codes == ["pack_fills_another_pool", "no_subscription"]
    assert bought() == [FIRST]


def test_the_run_of_beat_buys_and_tells(world, monkeypatch):
    pool = sold(world)
    topped_up(pool)
    LowBalance.objects.create(pool=pool, threshold=2000)
    use(pool, 900)
    tasks.refill(now=NOW)
    assert available(pool) == D(1100)
    assert LowBalanceAlert.objects.get().available == D(1100)


def test_a_low_balance_is_told_once_until_it_was_above_again(world):
    pool = sold(world)
    url = "https://acme.example/h"
    create_endpoint(customer=pool.customer, url=url, event_types=["credit.low_balance"], now=NOW)
    LowBalance.objects.create(pool=pool, threshold=300)
    use(pool, 700)
    assert notice_low_balances(pool_ids=[pool.pk], now=NOW) == 0
    use(pool, 1, key="more")

    def sweep(_):
        try:
            return notice_low_balances(pool_ids=[pool.pk], now=NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(sweep, range(16))) == 1
    [alert] = LowBalanceAlert.objects.all()
    assert (alert.available, alert.threshold, alert.email) == (
        D(299), D(300), "finance@acme.example",
    )  # fmt: skip
    assert '"available":"299","threshold":"300"' in WebhookEvent.objects.get().payload

    assert unsent_low_balances(now=NOW) == [alert.pk]
    assert [send_low_balance(alert_id=alert.pk, now=NOW) for _ in range(2)] == [True, False]
    [sent] = mail.outbox
    assert (sent.subject, sent.to) == ("Acme: Tokens of credit is low", ["finance@acme.example"])
    assert "Available: 299" in sent.body

    grant_credit(pool=pool, key="gift", source="promotion", amount=D(1), effective_at=NOW, now=NOW)
    assert notice_low_balances(pool_ids=[pool.pk], now=NOW) == 0
    use(pool, 5, key="again")
    assert notice_low_balances(pool_ids=[pool.pk], now=NOW) == 1
    assert LowBalanceAlert.objects.count() == WebhookEvent.objects.count() == 2


def test_mail_that_fails_is_kept_and_sent_later(world, monkeypatch):
    pool = sold(world)
    LowBalance.objects.create(pool=pool, threshold=2000)
    notice_low_balances(pool_ids=[pool.pk], now=NOW)
    [alert_id] = unsent_low_balances(now=NOW)

    def refuse(*_args, **_options):
        raise ConnectionRefusedError("no server")

    with monkeypatch.context() as patched:
        patched.setattr("django.core.mail.EmailMessage.send", refuse)
        assert send_low_balance(alert_id=alert_id, now=NOW) is False
    alert = LowBalanceAlert.objects.get()
    assert (alert.attempts, alert.failure) == (1, "ConnectionRefusedError: no server")
    assert unsent_low_balances(now=NOW) == []
    later = NOW + timedelta(minutes=1)
    assert send_low_balance(alert_id=alert_id, now=later) is True
    assert len(mail.outbox) == 1


def held_by(pool, workspace, amount, key, now=NOW):
    return place_hold(
        pool_id=pool.pk, key=key, amount=D(amount), now=now, expires_at=now + HOUR,
        workspace_id=workspace.pk,
    )  # fmt: skip


def test_a_workspace_takes_its_limit_and_no_more(world):
    pool = sold(world)
    lab, other = (
        create_workspace(customer=pool.customer, key=key, name=key.title())
        for key in ("lab", "other")
    )
    PoolLimit.objects.create(pool=pool, workspace=lab, amount=500)
    first = held_by(pool, lab, 300, "a")
    with pytest.raises(WorkspaceLimitReached) as refused:
        held_by(pool, lab, 201, "b")
    assert (refused.value.code, refused.value.field) == ("workspace_limit_reached", "amount")
    assert refused.value.message == (
        "201 were asked for; the workspace has taken 300 of its limit of 500 in this period,"
        " 200 are left: ask for less, or raise its limit in the pool."
    )
    assert Hold.objects.count() == 1
    assert available(pool) == D(700)

    assert held_by(pool, lab, 300, "a").hold_id == first.hold_id
    held_by(pool, other, 201, "c")
    settle_hold(hold_id=first.hold_id, amount=D(100), now=NOW)
    assert taken_by(pool_id=pool.pk, workspace_id=lab.pk, now=NOW) == D(100)
    second = held_by(pool, lab, 400, "d")
    void_hold(hold_id=second.hold_id, now=NOW)
    assert taken_by(pool_id=pool.pk, workspace_id=lab.pk, now=NOW) == D(100)
    october = at(2026, 10, 1)
    held_by(pool, lab, 500, "e", now=october)
    assert taken_by(pool_id=pool.pk, workspace_id=lab.pk, now=october) == D(500)


def test_what_the_pool_does_not_have_counts_against_no_limit(world):
    pool = sold(world)
    lab = create_workspace(customer=pool.customer, key="lab", name="Lab")
    PoolLimit.objects.create(pool=pool, workspace=lab, amount=5000)
    with pytest.raises(NotEnoughCredit):
        held_by(pool, lab, 1001, "a")
    assert taken_by(pool_id=pool.pk, workspace_id=lab.pk, now=NOW) == 0


def test_parallel_holds_stay_within_the_limit(world):
    pool = sold(world)
    lab = create_workspace(customer=pool.customer, key="lab", name="Lab")
    PoolLimit.objects.create(pool=pool, workspace=lab, amount=500)

    def hold(number):
        try:
            held_by(pool, lab, 100, f"k{number}")
        except WorkspaceLimitReached:
            return 0
        finally:
            connection.close()
        return 1

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(hold, range(16))) == 5
    assert taken_by(pool_id=pool.pk, workspace_id=lab.pk, now=NOW) == D(500)
