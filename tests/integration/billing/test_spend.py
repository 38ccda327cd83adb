"""Spend so far: rated by the road of a statement, and the holds that it knows let go."""

import threading
from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from billing.locks import claim_spend_sweep
from billing.models import Spend, SpendSweep
from billing.spend import rating
from billing.spend.queries import current_spend
from billing.spend.rating import rate_spend
from billing.spend.sweeping import sweep_spend
from billing.statements.preview import preview_statement
from plans.models import Budget, Customer, JobClass
from tests.fixtures.usage import wait_for_horizon
from tests.fixtures.world import World, at
from usage.horizon import current_horizon
from usage.job_quantities import added, read, stored
from usage.models import Job, JobUsage
from usage.operations.api_keys import issue_key

START = at(2026, 11, 1)
NOW = at(2026, 11, 10, 12)
ENDED = NOW - timedelta(minutes=1)
JOBS = {"key": "jobs", "model": "per_unit", "amount": D("0.10")}
FEE = {"key": "fee", "model": "flat", "amount": D(30)}


@pytest.fixture
def acme(world: World) -> Customer:
    """Acme with two workspaces, on a plan of 30 a month and 0.10 a job."""
    customer = world.customer("acme", workspaces=("lab", "shop"))
    plan = world.plan(prices=(FEE, {**JOBS, "meter": world.meter("jobs")}))
    world.subscribe(customer, plan, starts_at=START)
    return customer


def spend_of(customer: Customer) -> Spend:
    return Spend.objects.get(customer=customer)


def settled_job(customer: Customer, *, held: str, xid: int | None = None, **said: Any) -> Job:
    """Make a job that was settled by the transaction, with its hold in the customer's row."""
    job_class, _ = JobClass.objects.get_or_create(key="render", defaults={"name": "Render"})
    job = Job.objects.create(
        customer=customer,
        key=f"job-{Job.objects.count()}",
        job_class=job_class,
        state=Job.State.SUCCEEDED,
        held=D(held),
        held_quantities=[["", [], held]],
        admitted_at=NOW,
        silent_at=NOW,
        ended_at=ENDED,
        settled_at=None if xid is None else NOW,
        settled_xid=xid,
        **said,
    )
    row, _ = Spend.objects.get_or_create(customer=customer)
    row.held += D(held)
    row.pending = stored(added(read(row.pending), read(job.held_quantities)))
    workspace = said["workspace"].key if "workspace" in said else ""
    before = D(row.held_by_workspace.get(workspace, "0"))
    row.held_by_workspace[workspace] = str(before + D(held))
    row.save()
    return job


def test_spend_is_what_the_statement_would_say_split_by_workspace(world: World, acme) -> None:
    world.use("acme", time=at(2026, 11, 2), times=3)
    world.use("lab", time=at(2026, 11, 3), times=2)
    world.use("shop", time=at(2026, 11, 4), times=2)

    report = rate_spend(customer_ids=[acme.pk], now=NOW)

    row = spend_of(acme)
    _, draft = preview_statement(customer_id=acme.pk, now=NOW)
    assert report.rated == [acme.pk]
    assert (row.spent, row.usage_spent) == (D("30.70"), D("0.70"))
    assert row.spent == draft.total
    assert row.by_workspace == {"": "0.30", "lab": "0.20", "shop": "0.20"}
    assert (row.period_start, row.period_end) == (START, at(2026, 12, 1))
    assert row.rated_at == NOW
    assert (row.problem_code, row.problem) == ("", "")


def test_the_hold_of_a_job_ends_when_the_reading_knows_its_usage(world: World, acme) -> None:
    world.use("lab", time=at(2026, 11, 2), times=5)
    lab = acme.workspaces.get(key="lab")
    known = settled_job(acme, held="0.60", xid=current_horizon() - 1, workspace=lab)
    later = settled_job(acme, held="0.25", xid=current_horizon() - 1, workspace=lab)
    Job.objects.filter(pk=later.pk).update(ended_at=NOW)
    runs = settled_job(acme, held="2")

    report = rate_spend(customer_ids=[acme.pk], now=NOW)

    row = spend_of(acme)
    assert report.holds_ended == 1
    assert (row.usage_spent, row.held) == (D("0.50"), D("2.25"))
    assert row.held_by_workspace == {"lab": "0.25", "": "2"}
    assert held_of(known) == (D(0), NOW)
    assert held_of(later) == (D("0.25"), None)
    assert held_of(runs) == (D(2), None)


def held_of(job: Job) -> tuple[D, Any]:
    job.refresh_from_db()
    return job.held, job.rated_at


def test_a_hold_stands_while_usage_of_its_job_lies_ahead(world: World, acme) -> None:
    job = settled_job(acme, held="0.60", xid=current_horizon() - 1)
    JobUsage.objects.create(
        job=job, attempt=1, key="u1", type="jobs", time=NOW + timedelta(seconds=5), properties={},
        billed=True,
    )  # fmt: skip

    rate_spend(customer_ids=[acme.pk], now=NOW)
    assert held_of(job) == (D("0.60"), None)

    rate_spend(customer_ids=[acme.pk], now=NOW + timedelta(seconds=6))
    assert held_of(job) == (D(0), NOW + timedelta(seconds=6))


def test_what_a_later_reading_wrote_stays(world: World, acme) -> None:
    world.use("acme", time=at(2026, 11, 2), times=3)
    job = settled_job(acme, held="0.60", xid=current_horizon() - 1)
    later = current_horizon() + 1_000_000
    Spend.objects.filter(customer=acme).update(seen=later, spent=D(99), rated_at=NOW)

    rate_spend(customer_ids=[acme.pk], now=NOW + timedelta(hours=1))

    row = spend_of(acme)
    assert (row.spent, row.seen, row.rated_at) == (D(99), later, NOW)
    assert held_of(job) == (D("0.60"), None)


def test_usage_that_cannot_be_priced_is_said_and_loses_no_hold(world: World) -> None:
    customer = world.customer("acme")
    tokens = world.meter("tokens", aggregation="sum", value_property="n", dimensions=["model"])
    matrix = {"key": "tokens", "model": "matrix", "meter": tokens, "rates": ((["small"], "0.01"),)}
    world.subscribe(customer, world.plan(prices=(matrix,)), starts_at=START)
    world.use("acme", "tokens", time=at(2026, 11, 2), n=10, model="small")
    rate_spend(customer_ids=[customer.pk], now=NOW)
    world.use("acme", "tokens", time=at(2026, 11, 3), n=10, model="huge")
    job = settled_job(customer, held="0.60", xid=current_horizon() - 1)

    report = rate_spend(customer_ids=[customer.pk], now=NOW + timedelta(minutes=1))

    row = spend_of(customer)
    assert list(report.problems) == [customer.pk]
    assert row.problem_code == "unmatched_usage"
    assert "huge" in row.problem
    assert (row.spent, row.held) == (D("0.10"), D("0.60"))
    assert held_of(job) == (D("0.60"), None)


def test_usage_that_the_plan_does_not_sell_is_said_beside_the_amount(world: World, acme) -> None:
    world.meter("images")
    world.use("acme", "images", time=at(2026, 11, 2), times=3)
    world.use("acme", time=at(2026, 11, 2))
    job = settled_job(acme, held="0.60", xid=current_horizon() - 1)

    rate_spend(customer_ids=[acme.pk], now=NOW)

    row = spend_of(acme)
    assert (row.usage_spent, row.held) == (D("0.10"), D(0))
    assert (row.problem_code, row.problem) == (
        "unpriced_usage",
        "The plan does not price images, so it is not in the amount.",
    )
    assert held_of(job) == (D(0), NOW)


def test_a_customer_without_a_subscription_is_said(world: World) -> None:
    customer = world.customer("acme")

    rate_spend(customer_ids=[customer.pk], now=NOW)

    assert spend_of(customer).problem_code == "no_subscription"


def test_a_new_period_begins_in_the_customers_zone(world: World) -> None:
    customer = world.customer("acme", time_zone="Europe/Berlin")
    plan = world.plan(prices=(FEE, {**JOBS, "meter": world.meter("jobs")}))
    world.subscribe(customer, plan, starts_at=at(2026, 9, 30, 22))
    world.use("acme", time=at(2026, 10, 31, 22, 59), times=4)
    world.use("acme", time=at(2026, 10, 31, 23, 0), times=1)

    rate_spend(customer_ids=[customer.pk], now=at(2026, 10, 31, 22, 59))
    before = spend_of(customer)
    rate_spend(customer_ids=[customer.pk], now=at(2026, 11, 1, 1))
    after = spend_of(customer)

    assert (before.period_end, before.usage_spent) == (at(2026, 10, 31, 23), D(0))
    assert (after.period_start, after.usage_spent) == (at(2026, 10, 31, 23), D("0.10"))


def test_what_the_day_began_with_is_kept_and_fees_are_no_days_spend(world: World, acme) -> None:
    world.use("acme", time=at(2026, 11, 1, 3), times=4)
    rate_spend(customer_ids=[acme.pk], now=at(2026, 11, 1, 12))
    first = spend_of(acme)
    world.use("acme", time=at(2026, 11, 2, 3), times=2)
    Spend.objects.update(day_jobs={"render": 7})
    rate_spend(customer_ids=[acme.pk], now=at(2026, 11, 2, 12))
    second = spend_of(acme)

    assert (first.spent, first.day_spent_before) == (D("30.40"), D(30))
    assert (second.spent, second.day_spent_before) == (D("30.60"), D("30.40"))
    assert (second.day_start, second.day_jobs) == (at(2026, 11, 2), {})


def test_the_sweep_finds_new_usage_settled_jobs_ended_periods_and_what_is_old(
    world: World, acme
) -> None:
    sweep_spend(now=NOW)
    assert spend_of(acme).spent == D(30)  # the first sweep makes the rows

    world.use("acme", time=at(2026, 11, 2))
    assert sweep_spend(now=NOW).rated == [acme.pk]
    assert sweep_spend(now=NOW).rated == []

    job = settled_job(acme, held="1", xid=current_horizon() - 1)
    assert sweep_spend(now=NOW).rated == [acme.pk]
    assert held_of(job) == (D(0), NOW)

    assert sweep_spend(now=NOW + timedelta(minutes=59)).rated == []
    assert sweep_spend(now=NOW + timedelta(minutes=60)).rated == [acme.pk]
    assert sweep_spend(now=at(2026, 12, 1)).rated == [acme.pk]
    assert spend_of(acme).period_start == at(2026, 12, 1)


def test_usage_that_lies_ahead_is_rated_when_its_time_comes(world: World, acme) -> None:
    """Stored before the reading and later than its instant: as while a sweep runs."""
    sweep_spend(now=NOW)
    world.use("acme", time=NOW + timedelta(seconds=1), now=NOW)
    world.use("acme", time=NOW + timedelta(seconds=5), now=NOW)

    spent = []
    for seconds in (0, 1, 2, 4, 6, 8):
        sweep_spend(now=NOW + timedelta(seconds=seconds))
        spent.append(spend_of(acme).usage_spent)

    assert spent == [D(0), D(0), D("0.10"), D("0.10"), D("0.20"), D("0.20")]
    assert spend_of(acme).ahead_at is None
    assert sweep_spend(now=NOW + timedelta(seconds=9)).rated == []


def test_the_sweep_stops_when_its_time_is_up_and_the_next_goes_on(world: World, acme) -> None:
    sweep_spend(now=NOW)
    plan = acme.subscriptions.get().plan
    others = [world.customer(f"c{number}") for number in range(3)]
    for customer in others:
        world.subscribe(customer, plan, starts_at=START)
        world.use(customer.key, time=at(2026, 11, 2))

    first = sweep_spend(now=NOW, seconds_max=-1, chunk=1)
    reached = SpendSweep.objects.get().horizon
    second = sweep_spend(now=NOW, chunk=2)

    assert first.rated == []
    assert reached < SpendSweep.objects.get().horizon
    assert sorted(second.rated) == sorted(customer.pk for customer in others)


def test_one_sweep_at_a_time(world: World, acme) -> None:
    assert claim_spend_sweep(now=NOW, lasts=timedelta(seconds=60)) is not None

    assert sweep_spend(now=NOW).rated == []
    assert not Spend.objects.exists()
    assert sweep_spend(now=NOW + timedelta(seconds=61)).rated == [acme.pk]


def test_a_customer_that_fails_stands_alone(world: World, acme, monkeypatch) -> None:
    other = world.customer("other")
    world.subscribe(other, acme.subscriptions.get().plan, starts_at=START)
    real = rating.spent_of

    def fails_for_acme(facts: Any, draft: Any) -> Any:
        if facts.customer == "acme":
            raise ArithmeticError("no such number")
        return real(facts, draft)

    monkeypatch.setattr(rating, "spent_of", fails_for_acme)
    report = sweep_spend(now=NOW)

    assert report.rated == [other.pk]
    assert spend_of(acme).problem_code == "rating_failed"
    assert spend_of(acme).problem == "no such number"


def test_usage_that_is_committed_while_it_is_rated_is_found_again(world: World, acme) -> None:
    """A transaction that stores usage is open while others are rated: its usage is not passed."""
    sweep_spend(now=NOW)
    world.use("lab", time=at(2026, 11, 3))  # makes the month's table
    stored, commit = threading.Event(), threading.Event()

    def store() -> None:
        with transaction.atomic():
            world.use("acme", time=at(2026, 11, 2), times=5)
            stored.set()
            commit.wait(20)
        connection.close()

    thread = threading.Thread(target=store)
    thread.start()
    stored.wait(20)
    world.use("lab", time=at(2026, 11, 3))
    sweep_spend(now=NOW)
    before = spend_of(acme).usage_spent
    commit.set()
    thread.join(20)
    wait_for_horizon()
    sweep_spend(now=NOW)

    assert (before, spend_of(acme).usage_spent) == (D("0.20"), D("0.70"))


def test_spend_and_holds_never_fall_below_what_is_owed_while_a_job_is_settled(
    world: World, acme
) -> None:
    """A job's usage is stored, and its number known, in one transaction; rating runs beside."""
    sweep_spend(now=NOW)
    with transaction.atomic():
        world.use("acme", time=at(2026, 11, 2), times=6)
        with connection.cursor() as cursor:
            cursor.execute("SELECT max(xid) FROM usage_event")
            settled_job(acme, held="0.60", xid=cursor.fetchone()[0])
        owed = D("30.60")
    row = spend_of(acme)
    assert row.spent + row.held == owed

    wait_for_horizon(within_s=20)
    sweep_spend(now=NOW)
    row = spend_of(acme)
    assert (row.spent, row.held) == (owed, D(0))


def test_spend_is_read_with_its_budgets(world: World, acme) -> None:
    world.use("lab", time=at(2026, 11, 3), times=5)
    lab = acme.workspaces.get(key="lab")
    settled_job(acme, held="0.25", workspace=lab)
    Budget.objects.create(customer=acme, amount=D(100))
    Budget.objects.create(customer=acme, workspace=lab, amount=D("0.70"), stops=False)
    rate_spend(customer_ids=[acme.pk], now=NOW)

    found = current_spend(key="acme", now=NOW)

    assert (found.spent, found.usage_spent, found.held) == (D("30.50"), D("0.50"), D("0.25"))
    assert [(one.workspace, one.spent, one.held) for one in found.workspaces] == [
        ("lab", D("0.50"), D("0.25"))
    ]
    lines = [(one.workspace, one.amount, one.spent, one.held, one.left) for one in found.budgets]
    assert sorted(lines) == [
        ("", D(100), D("30.50"), D("0.25"), D("69.25")),
        ("lab", D("0.70"), D("0.50"), D("0.25"), D("-0.05")),
    ]


def test_spend_of_a_period_that_is_over_is_rated_when_it_is_read(world: World, acme) -> None:
    world.use("acme", time=at(2026, 11, 3), times=5)
    rate_spend(customer_ids=[acme.pk], now=NOW)

    found = current_spend(key="acme", now=at(2026, 12, 1, 1))

    assert (found.period_start, found.usage_spent) == (at(2026, 12, 1), D(0))
    assert spend_of(acme).period_start == START  # reading writes nothing


@pytest.fixture
def get():
    _, secret = issue_key(name="reader", scopes=["read"], now=NOW)
    _, other = issue_key(name="sender", scopes=["ingest"], now=NOW)

    def ask(key: str, *, may: bool = True) -> Any:
        headers = {"authorization": f"Bearer {secret if may else other}"}
        return Client().get(f"/api/v1/customers/{key}/spend", headers=headers)

    return ask


def test_services_read_spend(world: World, acme, get) -> None:
    now = timezone.now()
    world.use("lab", time=max(now.replace(day=1, hour=0, minute=0), START), times=5, now=now)
    Budget.objects.create(customer=acme, amount=D(100))
    rate_spend(customer_ids=[acme.pk], now=now)

    answer = get("acme")

    assert answer.status_code == 200
    body = answer.json()
    assert (body["customer"], body["currency"], body["time_zone"]) == ("acme", "USD", "UTC")
    assert (body["spent"], body["usage_spent"], body["held"]) == ("30.50", "0.50", "0.00")
    assert body["workspaces"] == [{"workspace": "lab", "spent": "0.50", "held": "0.00"}]
    assert body["budgets"] == [
        {
            "workspace": "", "amount": "100.00", "stops": True, "spent": "30.50", "held": "0.00",
            "left": "69.50",
        }
    ]  # fmt: skip
    assert body["running_jobs"] == 0
    assert body["problem_code"] == ""


def test_unknown_customers_and_keys_without_the_scope_are_refused(world: World, acme, get) -> None:
    assert (get("nobody").status_code, get("nobody").json()["code"]) == (404, "unknown_customer")
    assert get("acme", may=False).status_code == 403
