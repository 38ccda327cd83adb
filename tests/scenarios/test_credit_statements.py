"""Credit on statements, dated: packs, usage in credits, money that pays, late usage, no credit."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal as D

import pytest
from django.db import connection

from billing.credits.allotting import allot_credit
from billing.credits.buying import buy_pack
from billing.credits.expiring import expire_grants
from billing.credits.granting import grant_credit, open_pool
from billing.credits.holding import spend
from billing.credits.queries import balance_of
from billing.ledger.checks import check_ledger
from billing.models import (
    CreditDraw,
    CreditGrant,
    CreditPool,
    CreditPurchase,
    LedgerAccount,
    LedgerTransaction,
    UnitOfAccount,
)
from billing.queries.pages import explained_line
from billing.statements.sweeping import sweep_credit
from billing.statements.verify import verify_statements
from plans.models import CreditAllotment, CreditPack, CreditUnit, MatrixRate, Price
from plans.operations.publishing import publish_version
from plans.operations.versions import add_price, create_plan, start_version
from tests.fixtures.world import EVER, at
from usage.operations.rollup import roll_up

pytestmark = pytest.mark.django_db(transaction=True)

SEPTEMBER, OCTOBER, NOVEMBER = at(2026, 9, 1), at(2026, 10, 1), at(2026, 11, 1)
CLOSED = at(2026, 10, 4)


def proven():
    assert list(check_ledger()) == []
    assert [found for found in verify_statements() if not isinstance(found, int)] == []


def accounts(customer):
    rows = LedgerAccount.objects.filter(customer=customer).exclude(balance=0)
    return {f"{row.kind} {row.unit_id}": row.balance for row in rows}


def remaining(customer):
    grants = CreditGrant.objects.filter(pool__customer=customer).order_by("pk")
    return [grant.remaining for grant in grants]


def tokn_plan(world, *, beyond=None, packs=True, aggregation="sum"):
    unit = CreditUnit.objects.create(code="TOKN", name="Tokens of credit")
    meter = world.meter(
        "tokens", aggregation=aggregation, value_property="n", dimensions=["model"], unit="tokens"
    )
    price = {
        "key": "usage", "name": "usage drawn from credits", "model": "matrix", "meter": meter,
        "unit_size": D(1000), "default_amount": D(1), "credit_unit": unit,
        "beyond_credit_amount": beyond,
        "rates": [(["gpt-4o"], "5"), (["gpt-3.5"], "0.5")],
    }  # fmt: skip
    on_sale = [
        CreditPack(key=f"p{size}", name=f"credit pack {size:,}", unit=unit, credits=size,
                   amount=D(amount), expires_months=months)
        for size, amount, months in ((1_000, 10, 3), (10_000, 90, 12), (100_000, 700, 12))
    ]  # fmt: skip
    return plan_with(world, prices=(price,), rows=on_sale if packs else ())


def plan_with(world, *, prices, rows=()):
    """Publish a plan with rows of credit terms, which are stored with the draft."""
    plan = create_plan(key="plan", name="Plan")
    version = start_version(plan=plan, currency="USD")
    for row in rows:
        row.version = version
        row.save()
    for said in prices:
        given = {"name": said["key"].title(), **said}
        rates = [
            MatrixRate(position=place, match=match, unit_amount=D(amount))
            for place, (match, amount) in enumerate(given.pop("rates", ()))
        ]
        add_price(version=version, price=Price(**given), rates=rates)
    publish_version(version=version, effective_from=EVER, by=None, now=EVER)
    return plan


def subscribed(world, plan, **said):
    customer = world.customer(grace_hours=48, **said)
    world.subscribe(customer, plan, starts_at=SEPTEMBER)
    return customer


def test_s03_packs_are_bought_and_usage_draws_on_them(world):
    customer = subscribed(world, tokn_plan(world))
    buy_pack(customer=customer, pack_key="p10000", now=at(2026, 9, 2), key="one")
    buy_pack(customer=customer, pack_key="p1000", now=at(2026, 9, 3), key="two")
    for model, tokens in (("gpt-4o", 1_200_000), ("gpt-3.5", 3_000_000), ("mistral", 2_750_000)):
        world.use("acme", "tokens", time=at(2026, 9, 10), n=tokens, model=model)
    assert accounts(customer) == {
        "credit TOKN": D(-11000), "issued TOKN": D(11000), "unbilled USD": D(100),
        "deferred USD": D(-100),
    }  # fmt: skip

    report = world.close(now=CLOSED)

    assert (report.finalised, report.parked) == (1, 0)
    [statement] = world.statements()
    assert world.lines(statement) == [
        ("credit pack 10,000", D(1), D(90)),
        ("credit pack 1,000", D(1), D(10)),
        ("usage drawn from credits", D(10250), D(0)),
    ]
    assert statement.total == D(100)
    assert remaining(customer) == [D(750), D(0)]
    draw = CreditDraw.objects.get()
    assert (draw.price_key, draw.amount, draw.statement) == ("usage", D(10250), statement)
    names = [CreditGrant.objects.get(pk=pk).purchase.name for pk in draw.hold.grant_ids]
    assert names == ["credit pack 1,000", "credit pack 10,000"]
    assert draw.hold.pinned == [D(1000), D(9250)]
    used = explained_line(statement=statement, position=3)
    assert used.words == (
        "6,950,000 tokens: 1,200,000 at 5 per 1,000 + 3,000,000 at 0.5 per 1,000"
        " + 2,750,000 at 1 per 1,000 = 10,250 TOKN: 1,000 TOKN from credit pack 1,000,"
        " 9,250 TOKN from credit pack 10,000"
    )
    assert str(used.parts[0].amount) == "6,000 TOKN"
    assert [(use.grant, use.amount) for use in used.uses] == [
        ("credit pack 1,000", "1,000 TOKN"), ("credit pack 10,000", "9,250 TOKN"),
    ]  # fmt: skip
    assert accounts(customer) == {
        "credit TOKN": D(-750), "issued TOKN": D(11000), "used TOKN": D(-10250),
        "receivable USD": D(100), "revenue USD": D("-93.25"), "deferred USD": D("-6.75"),
    }  # fmt: skip
    proven()


def test_credits_beyond_the_pool_cost_what_the_price_says(world):
    customer = subscribed(world, tokn_plan(world, beyond=D("0.0125")))
    buy_pack(customer=customer, pack_key="p1000", now=at(2026, 9, 3), key="one")
    world.use("acme", "tokens", time=at(2026, 9, 10), n=1_301_000, model="any")
    world.close(now=CLOSED)
    [statement] = world.statements()
    assert world.lines(statement) == [
        ("credit pack 1,000", D(1), D(10)),
        ("usage drawn from credits", D(1301), D("3.76")),
    ]
    assert remaining(customer) == [D(0)]
    proven()


def test_without_a_price_beyond_a_customer_that_lacks_credit_is_parked_until_it_has_some(world):
    customer = subscribed(world, tokn_plan(world))
    world.use("acme", "tokens", time=at(2026, 9, 10), n=5_000, model="any")
    report = world.close(now=CLOSED)
    assert (report.finalised, report.parked) == (0, 1)
    [statement] = world.statements()
    assert statement.parked_code == "not_enough_credit"
    assert "5 of them are not in the customer's pools" in statement.parked_reason
    assert not CreditDraw.objects.exists()
    assert not LedgerTransaction.objects.exists()
    unit = UnitOfAccount.objects.create(code="TOKN", name="T", kind="credit")
    pool = open_pool(customer=customer, key="tokn", name="Tokens", unit=unit)
    grant_credit(
        pool=pool, key="g", source="service", amount=D(5), effective_at=at(2026, 9, 1), now=CLOSED
    )
    statement.__class__.objects.update(parked_at=None)
    assert world.close(now=CLOSED).finalised == 1
    assert remaining(customer) == [D(0)]
    proven()


def money_pool(customer, **said):
    unit, _ = UnitOfAccount.objects.get_or_create(
        code="USD", defaults={"name": "USD", "kind": "currency", "decimals": 2}
    )
    pool = CreditPool.objects.filter(customer=customer, key="money").first() or open_pool(
        customer=customer, key="money", name="Prepaid", unit=unit
    )
    given = {"key": "g", "source": "promotion", "effective_at": SEPTEMBER, **said}
    return grant_credit(pool=pool, now=SEPTEMBER, **given)


def test_money_pays_what_is_due_and_no_more_and_scoped_grants_only_their_meter(world):
    jobs, calls = world.meter("jobs"), world.meter("calls")
    plan = world.plan(
        prices=(
            {"key": "fee", "model": "flat", "amount": D(20)},
            {"key": "jobs", "model": "per_unit", "meter": jobs, "amount": D(2)},
            {"key": "calls", "model": "per_unit", "meter": calls, "amount": D("0.5")},
        )
    )
    customer = subscribed(world, plan)
    money_pool(customer, key="calls", amount=D(5), meters=["calls"], priority=10)
    money_pool(customer, key="bought", amount=D(40), source="bought", cost=D(30))
    world.use("acme", "jobs", time=at(2026, 9, 5), times=3)
    world.use("acme", "calls", time=at(2026, 9, 5), times=6)
    world.close(now=CLOSED)
    [statement] = world.statements()
    assert world.lines(statement) == [
        ("Fee", D(1), D(20)),
        ("Jobs", D(3), D(6)),
        ("Calls", D(6), D(3)),
        ("Paid from Prepaid", D(1), D(-29)),
    ]
    assert statement.total == D(0)
    paid = explained_line(statement=statement, position=4)
    assert paid.words == "Paid from Prepaid: -$29.00: $26.00 from Bought, $3.00 from Promotion"
    assert remaining(customer) == [D(2), D(14)]
    assert accounts(customer)["revenue USD"] == D("-19.50")
    proven()


def test_usage_that_comes_late_draws_with_the_adjustment(world):
    customer = subscribed(world, tokn_plan(world, beyond=D("0.01")))
    buy_pack(customer=customer, pack_key="p1000", now=at(2026, 9, 3), key="one")
    world.use("acme", "tokens", time=at(2026, 9, 10), n=900_000, model="any")
    world.close(now=CLOSED)
    assert remaining(customer) == [D(100)]
    world.use("acme", "tokens", time=at(2026, 9, 11), n=150_000, model="any", now=at(2026, 10, 9))
    world.close(now=at(2026, 11, 4))
    second = world.statements()[1]
    assert world.lines(second) == [("usage drawn from credits", D(150), D("0.50"))]
    assert second.lines.get().kind == "adjustment"
    assert remaining(customer) == [D(0)]
    first = CreditDraw.objects.order_by("pk").values_list("period_start", "amount")
    assert list(first) == [(SEPTEMBER, D(900)), (SEPTEMBER, D(100))]
    proven()


def basic(world, *, most=3):
    jobs = world.meter("jobs")
    return world.plan(
        prices=(
            {"key": "fee", "name": "Basic", "model": "flat", "amount": D(49)},
            {"key": "jobs", "name": "job pack of 500", "model": "per_unit", "meter": jobs,
             "amount": D(0), "allowance": D(1000), "overage": "packs", "pack_size": D(500),
             "pack_amount": D(30), "packs_most": most, "pack_months": 2},
        )
    )  # fmt: skip


def test_s07d_a_pack_of_jobs_is_bought_when_needed_and_the_rest_is_carried_over(world):
    customer = subscribed(world, basic(world))
    world.use("acme", "jobs", time=at(2026, 9, 10), times=1250)
    world.close(now=CLOSED)
    [first] = world.statements()
    assert world.lines(first) == [("Basic", D(1), D(49)), ("job pack of 500", D(1), D(30))]
    assert first.total == D(79)
    pool = CreditPool.objects.get()
    assert balance_of(pool_id=pool.pk, at=CLOSED).available == D(250)
    assert accounts(customer)["revenue USD"] == D(-64)
    proven()

    world.use("acme", "jobs", time=at(2026, 10, 10), times=1200)
    world.close(now=at(2026, 11, 4))
    second = world.statements()[1]
    assert world.lines(second) == [("Basic", D(1), D(49)), ("job pack of 500", D(0), D(0))]
    assert balance_of(pool_id=pool.pk, at=at(2026, 11, 4)).available == D(50)
    assert CreditPurchase.objects.count() == 1
    proven()


def test_more_packs_than_the_plan_sells_park_the_customer(world):
    customer = subscribed(world, basic(world, most=1))
    world.use("acme", "jobs", time=at(2026, 9, 10), times=1600)
    assert world.close(now=CLOSED).parked == 1
    [statement] = world.statements()
    assert statement.parked_code == "packs_exhausted"
    assert "2 packs are needed, and the plan sells at most 1" in statement.parked_reason
    assert not CreditPurchase.objects.filter(customer=customer).exists()


def test_sweeps_draw_as_usage_comes_and_the_statement_draws_only_the_rest(world):
    customer = subscribed(world, tokn_plan(world, beyond=D("0.01")))
    buy_pack(customer=customer, pack_key="p1000", now=at(2026, 9, 3), key="one")
    world.use("acme", "tokens", time=at(2026, 9, 10), n=200_000, model="any")
    assert sweep(at(2026, 9, 10, 1)) == 1
    assert remaining(customer) == [D(800)]
    assert sweep(at(2026, 9, 10, 2)) == 0
    world.use("acme", "tokens", time=at(2026, 9, 11), n=100_000, model="any")
    sweep(at(2026, 9, 11, 1))
    assert remaining(customer) == [D(700)]
    world.use("acme", "tokens", time=at(2026, 9, 20), n=60_500, model="any")
    world.close(now=CLOSED)
    [statement] = world.statements()
    assert world.lines(statement)[1] == ("usage drawn from credits", D(361), D(0))
    drawn = CreditDraw.objects.order_by("pk").values_list("amount", "statement")
    assert list(drawn) == [(D(200), None), (D(100), None), (D(61), statement.pk)]
    assert remaining(customer) == [D(639)]
    proven()


def test_money_is_used_in_one_order_over_all_pools(world):
    jobs = world.meter("jobs")
    plan = world.plan(prices=({"key": "jobs", "model": "per_unit", "meter": jobs, "amount": D(2)},))
    customer = subscribed(world, plan)
    first = money_pool(customer, key="never", amount=D(40)).pool
    second = open_pool(customer=customer, key="gifts", name="Gifts", unit=first.unit)
    grant_credit(
        pool=second, key="soon", source="promotion", amount=D(5), effective_at=SEPTEMBER,
        expires_at=NOVEMBER, now=SEPTEMBER,
    )  # fmt: skip
    world.use("acme", "jobs", time=at(2026, 9, 5), times=4)
    world.close(now=CLOSED)
    [statement] = world.statements()
    assert world.lines(statement)[1:] == [
        ("Paid from Prepaid", D(1), D(-3)), ("Paid from Gifts", D(1), D(-5)),
    ]  # fmt: skip
    assert remaining(customer) == [D(37), D(0)]
    proven()


def test_a_test_customer_is_swept_at_its_own_clock(world):
    clock = at(2026, 9, 11)
    customer = subscribed(world, tokn_plan(world, beyond=D("0.01")), clock_at=clock)
    buy_pack(customer=customer, pack_key="p1000", now=at(2026, 9, 3), key="one")
    world.use("acme", "tokens", time=clock, n=200_000, model="any")
    assert sweep(at(2030, 1, 1)) == 1
    draw = CreditDraw.objects.get()
    assert (draw.amount, draw.period_start) == (D(200), SEPTEMBER)
    world.use("acme", "tokens", time=at(2026, 9, 12), n=100_000, model="any")
    assert sweep(at(2030, 1, 2)) == 0
    assert remaining(customer) == [D(800)]


def sweep(now):
    before = CreditDraw.objects.count()
    roll_up(now=now)
    assert sweep_credit(now=now) is not None
    return CreditDraw.objects.count() - before


def test_what_was_used_in_time_is_drawn_before_credit_expires(world):
    customer = subscribed(world, tokn_plan(world, beyond=D("0.01")))
    buy_pack(customer=customer, pack_key="p1000", now=at(2026, 9, 3), key="one")
    grant = CreditGrant.objects.get()
    pool = grant.pool
    grant_credit(
        pool=pool, key="soon", source="promotion", amount=D(300), effective_at=SEPTEMBER,
        expires_at=at(2026, 9, 15), now=SEPTEMBER,
    )  # fmt: skip
    world.use("acme", "tokens", time=at(2026, 9, 14), n=120_000, model="any")
    world.use("acme", "tokens", time=at(2026, 9, 16), n=50_000, model="any")
    roll_up(now=at(2026, 9, 16))
    assert expire_grants(now=at(2026, 9, 16)) == 1
    assert remaining(customer) == [D(1000), D(0)]
    assert accounts(customer)["expired TOKN"] == D(-180)
    world.close(now=CLOSED)
    assert remaining(customer) == [D(950), D(0)]
    proven()


def test_what_was_drawn_and_is_not_owed_in_the_end_returns(world):
    customer = subscribed(world, tokn_plan(world, aggregation="latest"))
    buy_pack(customer=customer, pack_key="p1000", now=at(2026, 9, 3), key="one")
    world.use("acme", "tokens", time=at(2026, 9, 10), n=400_000, model="any")
    sweep(at(2026, 9, 10, 1))
    assert remaining(customer) == [D(600)]
    world.use("acme", "tokens", time=at(2026, 9, 12), n=250_000, model="any")
    sweep(at(2026, 9, 12, 1))
    assert remaining(customer) == [D(600)]
    world.close(now=CLOSED)
    [statement] = world.statements()
    assert world.lines(statement)[1:] == [
        ("usage drawn from credits", D(250), D(0)),
        ("Credit given back", D(1), D(0)),
    ]
    assert remaining(customer) == [D(750)]
    assert accounts(customer)["revenue USD"] == D("-2.50")
    proven()


def test_sweeps_at_once_draw_once(world):
    customer = subscribed(world, tokn_plan(world))
    buy_pack(customer=customer, pack_key="p1000", now=at(2026, 9, 3), key="one")
    world.use("acme", "tokens", time=at(2026, 9, 10), n=400_000, model="any")
    roll_up(now=at(2026, 9, 10, 1))

    def run(_):
        try:
            return sweep_credit(now=at(2026, 9, 10, 1))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(8)))
    assert [draw.amount for draw in CreditDraw.objects.all()] == [D(400)]
    assert remaining(customer) == [D(600)]
    proven()


def test_a_draft_whose_credit_moved_is_built_again_before_it_is_finalised(world):
    customer = subscribed(world, tokn_plan(world, beyond=D("0.01")))
    buy_pack(customer=customer, pack_key="p1000", now=at(2026, 9, 3), key="one")
    world.use("acme", "tokens", time=at(2026, 9, 10), n=400_000, model="any")
    world.close(now=at(2026, 10, 1, 3))
    [statement] = world.statements()
    assert (statement.status, statement.total) == ("draft", D(10))
    pool = CreditPool.objects.get()
    spend(pool_id=pool.pk, key="elsewhere", amount=D(700), now=at(2026, 10, 1, 4))
    world.close(now=CLOSED)
    [statement] = world.statements()
    assert (statement.status, statement.total) == ("finalised", D(11))
    assert remaining(customer) == [D(0)]
    proven()


def allotting(world, **said):
    unit = CreditUnit.objects.create(code="TOKN", name="Tokens of credit")
    meter = world.meter("tokens", aggregation="sum", value_property="n")
    price = {
        "key": "usage", "model": "per_unit", "meter": meter, "unit_size": D(1000),
        "amount": D(1), "credit_unit": unit, "beyond_credit_amount": D("0.01"),
    }  # fmt: skip
    given = {"key": "monthly", "name": "Monthly credit", "unit": unit, "amount": D(1000), **said}
    return plan_with(world, prices=(price,), rows=[CreditAllotment(**given)])


def test_each_period_grants_once_and_a_share_of_the_rest_is_carried_on(world):
    plan = allotting(world, rollover_percent=D(25), rollover_months=1, rollovers=1)
    customer = world.customer(grace_hours=48)
    world.subscribe(customer, plan, starts_at=at(2026, 9, 20))
    assert allot_credit(now=at(2026, 9, 20)) == 1
    assert allot_credit(now=at(2026, 9, 21)) == 0
    grant = CreditGrant.objects.get()
    assert (grant.amount, grant.effective_at, grant.expires_at) == (D(1000), SEPTEMBER, OCTOBER)
    assert (grant.rollover_most, grant.rollovers_left, grant.source) == (D(250), 1, "plan")

    world.use("acme", "tokens", time=at(2026, 9, 25), n=600_000)
    roll_up(now=at(2026, 9, 30))
    assert expire_grants(now=OCTOBER) == 1
    assert allot_credit(now=OCTOBER) == 1
    rows = CreditGrant.objects.order_by("pk").values_list("source", "remaining", "expires_at")
    assert list(rows) == [
        ("plan", D(0), OCTOBER), ("rollover", D(250), NOVEMBER), ("plan", D(1000), NOVEMBER),
    ]  # fmt: skip
    assert accounts(customer)["expired TOKN"] == D(-150)
    world.close(now=CLOSED)
    [statement] = world.statements()
    assert world.lines(statement) == [("Usage", D(600), D(0))]
    assert [row.remaining for row in CreditGrant.objects.order_by("pk")] == [0, 250, 1000]
    proven()


def test_an_allotment_of_money_pays_only_the_meters_that_it_names(world):
    jobs, calls = world.meter("jobs"), world.meter("calls")
    prices = (
        {"key": "jobs", "model": "per_unit", "meter": jobs, "amount": D(2)},
        {"key": "calls", "model": "per_unit", "meter": calls, "amount": D(1)},
    )
    row = CreditAllotment(key="free", name="Free calls", amount=D(5), meters=["calls"])
    customer = subscribed(world, plan_with(world, prices=prices, rows=[row]))
    assert allot_credit(now=at(2026, 9, 2)) == 1
    world.use("acme", "jobs", time=at(2026, 9, 5), times=3)
    world.use("acme", "calls", time=at(2026, 9, 5), times=4)
    world.close(now=CLOSED)
    [statement] = world.statements()
    assert world.lines(statement)[2:] == [("Paid from USD", D(1), D(-4))]
    assert remaining(customer) == [D(1)]
    proven()
