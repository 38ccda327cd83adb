"""A job of a workspace counts against its limit in a credit pool, and is refused beyond it."""

from decimal import Decimal as D
from functools import partial

import pytest
from django.utils import timezone

from billing.credits.granting import grant_credit
from billing.credits.limits import taken_by
from billing.credits.pools import pool_in_unit
from billing.jobs.drawn import draw_for_jobs
from billing.jobs.reporting import Report
from billing.jobs.settling import complete
from billing.models import CreditDraw, Hold, PoolLimit, Spend
from billing.statements.sweeping import sweep_credit
from plans import rating
from plans.models import CreditUnit, Workspace
from tests.fixtures.jobs import job_class, job_grants, rate
from tests.fixtures.usage import wait_for_horizon
from tests.fixtures.world import EVER
from usage.models import Job
from usage.operations.rollup import roll_up


@pytest.fixture
def pool(world):
    """1 TOKN per 1,000 tokens, and 5,000 TOKN given to Acme."""
    unit = CreditUnit.objects.create(code="TOKN", name="Tokens of credit")
    tokens = world.meter("tokens", event_type="llm", aggregation="sum", value_property="tokens")
    price = {
        "key": "tokens", "model": "per_unit", "amount": D(1), "unit_size": D(1000),
        "meter": tokens, "credit_unit": unit,
    }  # fmt: skip
    customer = world.customer("acme", workspaces=("lab",))
    plan = world.plan(prices=(price,), grants=job_grants())
    world.subscribe(customer, plan, starts_at=EVER)
    job_class(uses={tokens: ("100", "200", "400")}, input_unit="page")
    found = pool_in_unit(customer=customer, unit=rating.CreditUnit("TOKN", 12))
    now = timezone.now()
    grant_credit(
        pool=found, key="gift", source="promotion", amount=D(5000), effective_at=now, now=now
    )
    return found


def test_a_job_beyond_the_limit_of_its_workspace_is_refused(service, pool):
    lab = Workspace.objects.get(key="lab")
    PoolLimit.objects.create(pool=pool, workspace=lab, amount=500)
    status, _ = service.ask(subject="lab", input_size=1000)  # 400,000 tokens at the most
    assert status == 201
    [hold] = Hold.objects.all()
    assert (hold.amount, hold.workspace) == (D(400), lab)
    before = Spend.objects.values().get()

    assert service.ask(subject="lab", input_size=1000, dry_run=True)[1]["code"] == (
        "workspace_limit_reached"
    )
    assert service.ask(subject="lab", input_size=200, dry_run=True)[0] == 200
    status, body = service.ask(subject="lab", input_size=1000)

    assert (status, body["code"]) == (402, "workspace_limit_reached")
    assert "400 were asked for; the workspace has taken 400 of its limit of 500" in body["detail"]
    assert (Job.objects.count(), Hold.objects.count()) == (1, 1)
    assert Spend.objects.values().get() == before
    assert taken_by(pool_id=pool.pk, workspace_id=lab.pk, now=timezone.now()) == D(400)

    status, _ = service.ask(input_size=1000)
    assert status == 201


@pytest.mark.django_db(transaction=True)
def test_what_was_drawn_counts_against_the_limit_once(service, pool, world):
    lab, now = Workspace.objects.get(key="lab"), timezone.now()
    world.use("lab", "llm", time=now, tokens=300_000)
    world.use("acme", "llm", time=now, tokens=100_000)
    job = service.admit(subject="lab", input_size=1000)
    taken = partial(taken_by, pool_id=pool.pk, workspace_id=lab.pk)
    assert taken(now=timezone.now()) == D(400)

    sweep(timezone.now())
    assert CreditDraw.objects.get().amount == D(400)
    assert taken(now=timezone.now()) == D(700)

    report = Report(key="1", type="llm", data={"tokens": 200_000}, time=now, until=None)
    complete(job_id=job, reports=[report], key="", at=None, now=timezone.now())
    sweep(timezone.now())
    assert Hold.objects.filter(status="pending").count() == 1
    assert taken(now=timezone.now()) == D(500)
    rate(pool.customer)
    draw_for_jobs(customer_ids=[pool.customer_id], now=timezone.now())
    assert not Hold.objects.filter(status="pending").exists()
    assert taken(now=timezone.now()) == D(500)


def sweep(now):
    wait_for_horizon()
    roll_up(now=now)
    sweep_credit(now=now)
