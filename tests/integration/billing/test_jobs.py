"""Jobs over the API: asked, admitted, run, settled; exact amounts, and nothing by a refusal."""

from datetime import timedelta
from decimal import Decimal as D
from uuid import UUID

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from billing.jobs import admitting, contention
from billing.jobs.admitting import admit
from billing.jobs.asking import JobRequest
from billing.jobs.checks import verify_spend
from billing.jobs.reporting import Report
from billing.jobs.settling import complete
from billing.jobs.sweeping import expire_silent
from billing.models import Spend
from plans.models import Budget, Subscription
from tests.fixtures.jobs import job_class, job_grants, job_of, rate, spend_of
from tests.fixtures.world import EVER, World, at
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


def test_a_job_runs_on_where_its_customer_has_left_the_plan(service, acme):
    job = service.admit(input_size=1000)
    Subscription.objects.update(ends_at=timezone.now())
    report = {"key": "1", "type": "llm", "data": {"tokens": 150_000}}

    status, body = service.post(f"jobs/{job}/heartbeat", {"usage": [report]})

    assert (status, body["answer"], body["job"]["state"]) == (200, "continue", "running")
    assert JobUsage.objects.get().properties == {"tokens": 150_000}
    assert service.ask()[1]["code"] == "no_subscription"
    status, body = service.post(f"jobs/{job}/complete")
    assert (status, body["state"], body["amount"]) == (200, "succeeded", "4")


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


def overtaken(monkeypatch, service, by):
    """Let jobs be admitted between what the next one is decided on and its writing."""
    likely = admitting.likely_of

    def meanwhile(*asked, **said):
        monkeypatch.setattr(admitting, "likely_of", likely)
        for _ in range(by):
            service.admit(input_size=1000)
        return likely(*asked, **said)

    monkeypatch.setattr(admitting, "likely_of", meanwhile)


def test_a_job_that_another_overtakes_is_counted_beside_it(service, acme, monkeypatch):
    overtaken(monkeypatch, service, by=1)

    status, body = service.ask(input_size=1000)

    assert (status, body["held"]) == (201, "9")
    row = spend_of(acme)
    assert (row.held, row.running, row.hour_jobs) == (D(18), 2, {"render": 2})
    assert Job.objects.count() == 2


def test_a_job_that_was_overtaken_beyond_a_limit_is_refused(service, acme, monkeypatch):
    overtaken(monkeypatch, service, by=3)

    status, body = service.ask(input_size=1000)

    assert (status, body["code"]) == (429, "too_many_concurrent_jobs")
    assert (spend_of(acme).held, spend_of(acme).running, Job.objects.count()) == (D(27), 3, 3)


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


@pytest.mark.parametrize(
    "wrong",
    [
        {"ended_at": at(2026, 1, 1)},
        {"state": "succeeded"},
        {"state": "running", "ended_at": at(2026, 1, 1)},
    ],
)
def test_the_database_holds_that_a_job_has_an_end_just_where_its_state_says_so(
    service, acme, wrong
):
    _, body = service.ask()
    job = Job.objects.filter(public_id=body["id"])
    before = job.values().get()

    with pytest.raises(IntegrityError, match="job_ends_once"), transaction.atomic():
        job.update(**wrong)

    assert job.values().get() == before


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


@pytest.fixture
def on_terms(world: World, meters):
    """Put a customer on a plan of 0.02 per 1,000 tokens with these terms for jobs."""

    def on_terms(**terms):
        customer = world.customer("acme")
        plan = world.plan(prices=({**PER_TOKEN, "meter": meters["tokens"]},),
                          grants=job_grants(**terms))  # fmt: skip
        world.subscribe(customer, plan, starts_at=EVER)
        job_class(uses={meters["tokens"]: ("100", "200", "400")})
        return customer

    return on_terms


def use(service, job: str, *tokens: int) -> tuple[int, dict]:
    usage = [{"key": f"u{n}", "type": "llm", "data": {"tokens": each}}
             for n, each in enumerate(tokens)]  # fmt: skip
    return service.post(f"jobs/{job}/complete", {"usage": usage})


@pytest.mark.parametrize(
    ("above_hold", "amount"), [("charge", "12"), ("cap", "6"), ("block", "12")]
)
def test_above_its_hold_a_job_costs_what_the_plan_says(service, on_terms, above_hold, amount):
    acme = on_terms(above_hold=above_hold, hold_at="high")
    # 400,000 tokens: 8.00 are held.
    job = service.admit(input_size=1000)

    _, body = use(service, job, 300_000, 200_000, 100_000)

    assert body["amount"] == amount
    assert service.ask(input_size=1)[0] == (402 if above_hold == "block" else 201)
    service.post(f"jobs/{job}/cancel")
    assert rate(acme).spent == D(amount)
    if above_hold == "block":
        _, body = service.ask()
        assert (body["code"], body["numbers"]) == ("unpaid_above_hold", {"unpaid": "4"})


def test_a_heartbeat_says_finish_within_the_grace_and_stop_beyond_it(service, on_terms):
    acme = on_terms(grace_amount=D(2))
    Budget.objects.create(customer=acme, amount=D(8))
    job = service.admit(input_size=1000)

    def beat(n, tokens):
        report = {"key": f"u{n}", "type": "llm", "data": {"tokens": tokens}}
        return service.post(f"jobs/{job}/heartbeat", {"usage": [report]}, key=f"beat-{n}")[1]

    # 8.00, 10.00 and 10.02.
    assert beat(1, 400_000)["answer"] == "continue"
    finish = beat(2, 100_000)
    assert (finish["answer"], finish["numbers"]["over"], finish["job"]["held"]) == (
        "finish",
        "2",
        "10",
    )
    stop = beat(3, 1_000)
    assert (stop["answer"], stop["numbers"]) == (
        "stop", {"budget": "8", "spent": "0", "held": "10.02", "over": "2.02", "grace": "2"},
    )  # fmt: skip
    assert beat(3, 1_000) == stop
    assert spend_of(acme).held == D("10.02")


def test_a_step_of_a_stopped_agent_is_told_to_stop_and_costs_roll_up(service, on_terms):
    on_terms()
    agent = service.admit(input_size=0)
    done, runs = service.admit(parent=agent), service.admit(parent=agent)
    use(service, done, 100_000)
    service.post(f"jobs/{agent}/cancel", {"reason": "too long"})

    assert service.post(f"jobs/{runs}/heartbeat")[1]["answer"] == "stop"
    _, body = service.get(f"jobs/{agent}")
    assert (body["total_amount"], body["steps"]) == ("2", 2)
    status, body = service.ask(parent=agent)
    assert (status, body["code"]) == (409, "wrong_state")


def test_a_silent_job_expires_and_what_it_reported_is_billed(service, on_terms):
    acme = on_terms(bill_expired=True)
    job = service.admit(input_size=1000)
    report = {"key": "1", "type": "llm", "data": {"tokens": 50_000}}
    service.post(f"jobs/{job}/heartbeat", {"usage": [report]})
    silent_at = job_of(job).silent_at

    assert expire_silent(now=silent_at - timedelta(seconds=1)).expired == 0
    assert expire_silent(now=silent_at).expired == 1
    assert expire_silent(now=silent_at).expired == 0

    expired = job_of(job)
    assert (expired.state, expired.amount) == ("expired", D(1))
    assert list(verify_spend(now=silent_at)) == []
    assert rate(acme).spent == D(1)


def test_verify_spend_finds_what_is_wrong_and_puts_it_right(service, on_terms):
    acme = on_terms()
    service.admit(input_size=1000)
    Spend.objects.update(running=7, held=D(1))

    found = {fault.what: fault.is_really for fault in verify_spend(now=timezone.now())}
    assert found == {"running": "1", "held": "8.00"}
    assert len(list(verify_spend(now=timezone.now(), repair=True))) == 2
    assert (spend_of(acme).running, spend_of(acme).held) == (1, D(8))
    assert list(verify_spend(now=timezone.now())) == []


@pytest.mark.parametrize(
    ("attribution", "expected"),
    [("usage", [D("6.00"), D("15.00")]), ("completion", [D("0.00"), D("21.00")])],
)
def test_usage_across_a_periods_end_falls_where_its_price_says(world, attribution, expected):
    """S28: one GPU from 22:00 on the last day to 05:00, 3.00 an hour."""
    gpu = world.meter("gpu", event_type="gpu", aggregation="sum", value_property="seconds")
    customer = world.customer("acme")
    plan = world.plan(
        prices=({"key": "gpu", "model": "per_unit", "amount": D(3), "unit_size": D(3600),
                 "meter": gpu, "attribution": attribution},)
    )  # fmt: skip
    world.subscribe(customer, plan, starts_at=at(2026, 3, 1))
    job_class()
    begun, ended = at(2026, 3, 31, 22), at(2026, 4, 1, 5)
    asked = JobRequest(subject="acme", job_class="render")
    job = UUID(admit(request=asked, key="k", now=begun).body["id"])
    usage = Report(key="1", type="gpu", data={"seconds": 7 * 3600}, time=begun, until=ended)

    complete(job_id=job, reports=[usage], now=ended)

    world.close(now=at(2026, 4, 4))
    world.close(now=at(2026, 5, 4))
    assert [one.total for one in world.statements()] == expected


def test_where_others_have_just_written_the_lock_is_taken_at_once_for_a_second(
    acme, monkeypatch
) -> None:
    as_read: list[str] = []
    without_lock = admitting._admit_as_read

    def attempt(account, asked, *, now):
        as_read.append(asked.key)
        return without_lock(account, asked, now=now)

    seconds = [100.0]
    monkeypatch.setattr(admitting, "_admit_as_read", attempt)
    monkeypatch.setattr(contention, "monotonic", lambda: seconds[0])
    monkeypatch.setattr(contention, "_noted", {})
    request = JobRequest(subject="acme", job_class="render")
    rate(acme)

    admit(request=request, key="calm", now=timezone.now())
    contention.note_contention("acme")
    locked = admit(request=request, key="contended", now=timezone.now())
    seconds[0] += 1
    admit(request=request, key="calm again", now=timezone.now())

    assert as_read == ["calm", "calm again"]
    assert locked.is_new
    assert list(Job.objects.order_by("pk").values_list("key", "state")) == [
        (key, "admitted") for key in ("calm", "contended", "calm again")
    ]
    assert spend_of(acme).running == 3
    assert list(verify_spend(now=timezone.now())) == []


def test_the_answer_to_an_admission_is_given_again_whatever_became_of_the_job(service, acme):
    said = {"subject": "lab", "input_size": "2.5", "dimensions": {"a": "b"}}
    parent = service.admit("lab")
    status, first = service.ask(key="once", parent=parent, **said)
    assert status == 201
    for path in ("attempts", "heartbeat"):
        assert service.post(f"jobs/{first['id']}/{path}")[0] == 200
    assert service.ask(key="once", parent=parent, **said) == (200, first)
    assert service.post(f"jobs/{first['id']}/complete")[0] == 200
    rate(acme)
    status, now = service.get(f"jobs/{first['id']}")
    assert (now["state"], now["held"]) == ("succeeded", "0")

    assert service.ask(key="once", parent=parent, **said) == (200, first)
    # As they were kept before: whole.
    JobStep.objects.filter(key="admit").update(answer={"body": {**first, "held": "4"}})
    assert service.ask(key="once", parent=parent, **said) == (200, {**first, "held": "4"})
