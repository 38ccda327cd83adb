"""Revenue of outcomes against the cost of the jobs behind them, to the cent."""

from decimal import Decimal as D

import pytest

from billing.queries.outcome_reports import outcome_report
from plans.models import JobClass
from tests.fixtures.finished_jobs import finished_job
from tests.fixtures.outcomes import claim, contract, step
from tests.fixtures.world import World, at
from usage.models import Job, JobUsage

REPORT = "/admin/billing/outcomerequest/report"
VERIFIED = {"by": "customer", "window_hours": 45 * 24, "silence": "rejected"}


@pytest.fixture
def world_with_jobs(world: World) -> World:
    """One run of 3.005 with its steps behind two outcomes, one of them of November; others alone.

    Its provider charged 0.75, of which 0.25 for an attempt that failed and is not billed.
    """
    acme, hamburg = world.customer(), world.customer("hamburg", time_zone="Europe/Berlin")
    plan = world.plan(prices=({"key": "fee", "model": "flat", "amount": D(30)},))
    for customer in (acme, hamburg):
        world.subscribe(customer, plan, starts_at=at(2025, 9, 30, 22))
    contract(plan=plan, verification=VERIFIED)
    agent = JobClass.objects.create(key="agent", name="Agent", input_unit="task")

    def job(amount, **said):
        return finished_job(acme, agent, ended_at=at(2025, 10, 10), used={}, amount=amount, **said)

    run = job(D("1.005"))
    job(D(2), parent=run)
    Job.objects.filter(pk=job(None, parent=run).pk).update(state="running", ended_at=None)
    alone = job(D("0.45"), service_credit=D("0.05"))
    named = job(D("0.10"), parent=alone)
    for number, owner, properties in (
        (1, run, {"cost": 0.25}), (2, run, {"cost": "0.5", "cost_currency": "USD"}),
        (1, alone, {"cost": "9", "cost_currency": "EUR"}), (1, named, {"cost": "unknown"}),
    ):  # fmt: skip
        JobUsage.objects.create(
            job=owner, attempt=number, key=f"u{number}", type="llm", time=at(2025, 10, 10),
            properties=properties, billed=number == 2,
        )  # fmt: skip
    claim("a", at=at(2025, 10, 20), job=run.key)
    claim("b", at=at(2025, 11, 20), job=run.key)
    claim("c", at=at(2025, 10, 20), job=str(alone.public_id), attempt=1)
    claim("d", at=at(2025, 10, 20), job="not known here")
    claim("e", at=at(2025, 10, 20), job=named.key)
    claim("h", at=at(2025, 9, 30, 22, 30), subject="hamburg", now=at(2025, 10, 20))
    step("verify", *"adeh", now=at(2025, 10, 21))
    step("reject", "c", now=at(2025, 10, 21))
    world.close(now=at(2025, 11, 4))
    return world


def test_what_the_jobs_behind_outcomes_cost(
    world_with_jobs, staff, client, django_assert_max_num_queries
):
    """1.5025 + 0.40 + 0.10 = 2.0025 for three that stand; providers charged 0.375 that is known."""
    with django_assert_max_num_queries(7):
        report = outcome_report(start=at(2025, 10, 1).date(), end=at(2025, 11, 1).date())
    assert [row.customer for row in report.rows] == ["Acme", "Hamburg", ""]
    assert (report.rows[2].claimed, str(report.rows[2].revenue)) == (5, "$40.00")
    assert str(report.rows[2].rated.margin) == "$38.00"
    client.force_login(staff("Support"))
    answer = client.get(f"{REPORT}.csv?month=2025-10").content.decode().splitlines()
    assert answer[1:] == [
        (
            "support,acme,4,3,1,0,0,0,75.0,1.0,30.00,10.00,,USD"
            ",3,5,4,2.00,0.67,28.00,93.3,1,0.38,0.13,29.62,98.7"
        ),
        "support,hamburg,1,1,0,0,0,0,100.0,1.0,10.00,10.00,,USD,0,0,0,,,,,0,,,,",
    ]
    november = client.get(f"{REPORT}.csv?month=2025-11").content.decode().splitlines()
    assert november[1:] == [
        "support,acme,1,0,0,0,1,0,,,,,10.00,USD,1,3,2,1.50,,,,1,0.38,,,",
    ]
    text = client.get(f"{REPORT}/?month=2025-10").content.decode()
    for said in ("All customers", "3 of 4", "4 of 5", "$28.00", "93.3%", "$29.62"):
        assert said in text, said
