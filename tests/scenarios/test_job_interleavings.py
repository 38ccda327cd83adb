"""Whatever happens to jobs in whatever order: rated spend + holds is never less than true spend.

At the end all that was billed is on the statement, to the cent, and ledger and rows agree.
"""

from datetime import timedelta
from decimal import Decimal as D
from itertools import count
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.jobs.admitting import admit
from billing.jobs.asking import JobRequest
from billing.jobs.checks import verify_spend
from billing.jobs.errors import NotAdmitted
from billing.jobs.life import begin_attempt, end_attempt, heartbeat
from billing.jobs.reporting import Report, billable, not_the_providers
from billing.jobs.settling import cancel, complete, expire, fail
from billing.ledger.checks import check_ledger
from billing.models import Spend
from billing.spend.pending import price_pending
from billing.spend.rating import rate_spend
from billing.spend.standing import rated_standing, standing_of
from billing.statements.preview import preview_statement
from billing.statements.verify import verify_statements
from plans.models import Customer
from tests.fixtures.jobs import job_class, job_grants
from tests.fixtures.usage import wait_for_horizon
from tests.fixtures.world import World, at
from usage.job_quantities import added, read
from usage.models import Job

START, CLOSED = at(2026, 3, 1, 9), at(2026, 4, 4)
_numbers = count(1)
RISING = ((D(1000), "0.001"), (D(3000), "0.004"), (None, "0.01"))
FALLING = ((D(1000), "0.01"), (D(3000), "0.004"), (None, "0.001"))
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["admit", "admit", "begin", "report", "report", "report", "fail attempt", "complete",
             "complete", "fail", "cancel", "expire", "rate"]
        ),
        st.integers(0, 4),
        st.integers(1, 900),
        st.sampled_from(["provider", "input"]),
    ),
    min_size=3,
    max_size=25,
)  # fmt: skip


@pytest.fixture
def plans(world: World):
    jobs = world.meter("jobs", event_type="tollgate.job")
    tokens = world.meter("tokens", event_type="llm", aggregation="sum", value_property="tokens")
    job_class(uses={tokens: ("100", "150", "200")})
    return [
        world.plan(
            f"{name}-{bills}",
            prices=(
                {"key": "jobs", "model": "per_unit", "amount": D("0.25"), "meter": jobs,
                 "allowance": D(2)},
                {"key": "tokens", "model": "graduated", "meter": tokens, "tiers": tiers},
            ),
            grants=job_grants(
                bill_input_failures=bills, bill_cancelled=bills, bill_expired=not bills,
                bill_attempts="all" if bills else "successful",
            ),
        )
        for name, tiers in (("rising", RISING), ("falling", FALLING))
        for bills in (True, False)
    ]  # fmt: skip


class _Run:
    """One customer's jobs, step by step."""

    def __init__(self, world: World, plan) -> None:
        self.key = f"c{next(_numbers)}"
        self.customer = world.customer(self.key, workspaces=(f"{self.key}-lab",))
        world.subscribe(self.customer, plan, starts_at=at(2026, 3, 1))
        self.now = START
        self.jobs: list[UUID] = []
        self.keys = count(1)

    def step(self, kind: str, which: int, quantity: int, cause: str) -> None:
        self.now += timedelta(minutes=3)
        if kind == "admit":
            self.admit(which, quantity)
        elif kind == "rate":
            self.rate()
        else:
            jobs = Job.objects.filter(customer=self.customer, ended_at=None)
            running = list(jobs.order_by("pk"))
            if running:
                self.go_on(kind, running[which % len(running)], quantity, cause)

    def go_on(self, kind: str, job: Job, quantity: int, cause: str) -> None:
        said = {"job_id": job.public_id, "now": self.now}
        report = [Report(key=f"u{next(self.keys)}", type="llm", data={"tokens": quantity})]
        last = job.attempts.order_by("-number").first()
        runs = last is not None and last.state == "running"
        if kind == "begin" and not runs:
            begin_attempt(**said, number=None, key="", at=None)
        elif kind == "report":
            heartbeat(**said, reports=report, key="")
        elif kind == "fail attempt" and runs:
            end_attempt(**said, number=last.number, cause=cause, reports=report, key="", at=None)
        elif kind == "complete":
            complete(**said, reports=report)
        elif kind == "fail":
            fail(**said, cause=cause, reports=report)
        elif kind == "cancel":
            cancel(**said)
        elif kind == "expire":
            self.now = max(self.now, job.silent_at)
            assert expire(job_id=job.public_id, now=self.now)

    def admit(self, which: int, quantity: int) -> None:
        subject = self.key if which % 2 else f"{self.key}-lab"
        asked = JobRequest(subject=subject, job_class="render", input_size=D(quantity) / 100)
        try:
            admit(request=asked, key=f"k{next(self.keys)}", now=self.now)
        except NotAdmitted:
            pytest.fail("nothing limits these jobs")

    def rate(self) -> None:
        wait_for_horizon()
        rate_spend(customer_ids=[self.customer.pk], now=self.now)

    def check(self) -> None:
        row = Spend.objects.filter(pk=self.customer.pk).first()
        if row is None:
            return
        assert row.spent + row.held >= true_spend(self.customer, now=self.now)
        assert list(verify_spend(now=self.now)) == []


def true_spend(customer: Customer, *, now) -> D:
    """What is stored as usage, and what jobs that run have reported and may be billed for."""
    _, draft = preview_statement(customer_id=customer.pk, now=now + timedelta(seconds=1))
    standing = standing_of(
        customer=customer, at=now + timedelta(seconds=1), spend=Spend(customer_id=customer.pk)
    )
    running = Job.objects.filter(customer=customer, ended_at=None)
    reported = added(*(billable(job, not_the_providers(job)) for job in running))
    return draft.total + price_pending(standing, reported).amount


def test_money_never_escapes(world: World, plans) -> None:
    @settings(max_examples=12, suppress_health_check=list(HealthCheck))
    @given(steps=STEPS, plan=st.integers(0, 3))
    def play(steps, plan) -> None:
        run = _Run(world, plans[plan])
        for step in steps:
            run.step(*step)
            run.check()
        end_all(run)

    play()
    closed = world.close(now=CLOSED)
    assert closed.parked == 0
    assert_statements_are_the_jobs(world)
    assert list(check_ledger()) == []
    assert [each for each in verify_statements() if hasattr(each, "what")] == []


def end_all(run: _Run) -> None:
    for job in Job.objects.filter(customer=run.customer, ended_at=None):
        run.now += timedelta(minutes=1)
        complete(job_id=job.public_id, now=run.now)
        run.check()
    run.now += timedelta(minutes=1)
    run.rate()
    run.check()
    row = Spend.objects.filter(pk=run.customer.pk).first()
    if row is not None:
        assert (row.held, row.running, row.pending) == (D(0), 0, [])
        assert row.spent == true_spend(run.customer, now=run.now)


def assert_statements_are_the_jobs(world: World) -> None:
    for customer in Customer.objects.filter(spend__isnull=False):
        spend = Spend.objects.get(pk=customer.pk)
        march = world.statements(customer.key)[:1]
        assert [one.total for one in march] == [spend.spent]
        # The quantities of the jobs, priced at once on nothing before them.
        jobs = Job.objects.filter(customer=customer)
        standing = rated_standing(customer=customer, at=START, spend=Spend(pk=customer.pk))
        used = added(*(read(job.held_quantities) for job in jobs))
        assert price_pending(standing, used).amount == spend.spent
