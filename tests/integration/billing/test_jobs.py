"""Jobs over the API: asked, admitted, run, settled; exact amounts, and nothing by a refusal."""

from decimal import Decimal as D

import pytest

from billing.models import Spend
from plans.models import Budget
from tests.fixtures.jobs import job_class, job_grants, job_of, rate, spend_of
from tests.fixtures.world import EVER, World
from usage.models import Event, Job, JobStep, JobUsage

PER_JOB = {"key": "jobs", "model": "per_unit", "amount": D("1.00")}
PER_TOKEN = {"key": "tokens", "model": "per_unit", "amount": D("0.02"), "unit_size": D(1000)}


@pytest.fixture
def meters(world: World):
    return {
        "jobs": world.meter("jobs", event_type="tollgate.job"),
        "tokens": world.meter(
            "tokens", event_type="llm", aggregation="sum", value_property="tokens"
        ),
    }


@pytest.fixture
def acme(world: World, meters):
    """1.00 a job and 0.02 per 1,000 tokens; 3 jobs at once."""
    customer = world.customer("acme", workspaces=("lab",))
    plan = world.plan(
        prices=({**PER_JOB, "meter": meters["jobs"]}, {**PER_TOKEN, "meter": meters["tokens"]}),
        grants=job_grants(limits=(("concurrent_jobs", "3", ""),)),
    )
    world.subscribe(customer, plan, starts_at=EVER)
    job_class(uses={meters["tokens"]: ("100", "200", "400")}, input_unit="page")
    return customer


def test_a_job_is_admitted_runs_and_is_billed(service, acme):
    status, body = service.ask(input_size=1000)

    # 1.00 for the job itself, and 400,000 tokens at 0.02 per 1,000.
    assert (status, body["state"], body["held"]) == (201, "admitted", "9")
    assert spend_of(acme).held == D(9)
    assert spend_of(acme).running_by_class == {"render": 1}

    job = body["id"]
    status, body = service.post(f"jobs/{job}/attempts")
    assert (status, body["state"], body["attempt"]) == (200, "running", 1)
    report = {"key": "1", "type": "llm", "data": {"tokens": 150_000}}
    status, body = service.post(f"jobs/{job}/heartbeat", {"usage": [report]})
    assert (status, body["answer"], body["job"]["held"]) == (200, "continue", "9")
    report = {"key": "2", "type": "llm", "data": {"tokens": "50000"}}
    status, body = service.post(f"jobs/{job}/complete", {"usage": [report]})

    # 200,000 tokens: 4.00.
    assert (status, body["state"], body["amount"], body["held"]) == (200, "succeeded", "5", "5")
    assert Event.objects.filter(source="tollgate/jobs").count() == 3
    row = spend_of(acme)
    assert (row.running, row.held, row.spent) == (0, D(5), D(0))

    row = rate(acme)

    assert (row.held, row.spent, row.pending) == (D(0), D(5), [])
    assert job_of(job).rated_at is not None
    _, body = service.get(f"jobs/{job}")
    assert (body["held"], body["total_amount"], len(body["attempts"])) == ("0", "5", 1)


def test_the_same_request_is_answered_again_and_another_under_its_key_refused(service, acme):
    first = service.ask(key="k", input_size=10)
    again = service.ask(key="k", input_size=10)
    other = service.ask(key="k", input_size=11)

    assert (first[0], again[0], again[1]) == (201, 200, first[1])
    assert (other[0], other[1]["code"]) == (409, "idempotency_key_reused")
    assert (Job.objects.count(), spend_of(acme).running) == (1, 1)


def test_a_dry_run_decides_the_same_and_changes_nothing(service, acme):
    status, body = service.ask(dry_run=True, input_size=1000)

    assert (status, body["id"], body["held"]) == (200, None, "9")
    assert Job.objects.count() == 0
    assert spend_of(acme).running == 0


def test_a_fourth_job_at_once_is_refused_until_one_ends(service, acme):
    jobs = [service.admit() for _ in range(3)]
    before = Spend.objects.values().get()

    status, body = service.ask()

    assert (status, body["code"], body["rule"]) == (
        429, "too_many_concurrent_jobs", "concurrent_jobs",
    )  # fmt: skip
    assert body["numbers"] == {"limit": "3", "running": "3", "job_class": ""}
    assert service.last["Retry-After"] == "5"
    assert Spend.objects.values().get() == before
    assert Job.objects.count() == 3

    service.post(f"jobs/{jobs[0]}/cancel")
    assert service.ask()[0] == 201


def test_a_budget_counts_what_is_spent_held_and_asked(service, acme):
    Budget.objects.create(customer=acme, amount=D("18.00"))
    jobs = [service.admit(input_size=1000) for _ in range(2)]

    status, body = service.ask(input_size=1000)

    assert (status, body["code"]) == (402, "budget_exceeded")
    assert body["numbers"] == {
        "budget": "18", "spent": "0", "held": "18", "amount": "9", "workspace": "",
    }  # fmt: skip
    service.post(f"jobs/{jobs[0]}/complete")
    assert rate(acme).spent == D(1)
    # 1 spent, 9 held, and 8 is what a job of 875 pages costs.
    assert service.ask(input_size=876)[0] == 402
    assert service.ask(input_size=875)[0] == 201


def test_a_transition_that_does_not_fit_is_409_and_changes_nothing(service, acme):
    job = service.admit()
    service.post(f"jobs/{job}/cancel")
    before = Job.objects.values().get(), JobStep.objects.count()

    for path, body in (("complete", {}), ("heartbeat", {}), ("attempts", {}),
                       ("fail", {"cause": "input"})):  # fmt: skip
        status, answer = service.post(f"jobs/{job}/{path}", body)
        assert (status, answer["code"], answer["state"]) == (409, "wrong_state", "cancelled")
    assert (Job.objects.values().get(), JobStep.objects.count()) == before
    assert service.post(f"jobs/{job}/cancel")[1]["state"] == "cancelled"


def test_a_failure_of_the_provider_is_never_billed(service, acme):
    job = service.admit(input_size=1000)
    service.post(f"jobs/{job}/attempts")
    report = {"key": "1", "type": "llm", "data": {"tokens": 5_000}}
    service.post(f"jobs/{job}/attempts/1", {"cause": "provider", "usage": [report]})
    service.post(f"jobs/{job}/attempts")
    report = {"key": "2", "type": "llm", "data": {"tokens": 7_000}}

    _, body = service.post(f"jobs/{job}/complete", {"usage": [report]})

    assert body["amount"] == "1.14"
    assert dict(JobUsage.objects.values_list("key", "billed")) == {"1": False, "2": True}
    row = rate(acme)
    assert (row.spent, row.held) == (D("1.14"), D(0))


def test_a_report_that_cannot_be_usage_is_refused_whole(service, acme):
    job = service.admit()
    good = {"key": "1", "type": "llm", "data": {"tokens": 5}}

    for bad, code in (({"key": "2", "type": "llm", "data": {}}, "invalid_report"),
                      ({"key": "2", "type": "fax", "data": {}}, "invalid_report"),
                      ({"key": "1", "type": "llm", "data": {"tokens": 6}}, "invalid_report"),
                      ({"key": "", "type": "llm"}, "invalid")):  # fmt: skip
        status, body = service.post(f"jobs/{job}/heartbeat", {"usage": [good, bad]})
        assert (status, body["code"]) == (422, code)
    assert JobUsage.objects.count() == 0
    assert job_of(job).state == "admitted"
