"""The clients in examples/, as a service would use them, against the live server."""

import sys
import time
from decimal import Decimal as D
from pathlib import Path

import pytest
from celery import Celery
from django.utils import timezone

from plans.models import Budget, JobClass, JobClassUsage
from tests.fixtures.world import EVER
from usage.models import Job, JobUsage
from usage.operations.api_keys import issue_key

pytest.importorskip("billing.jobs", reason="The API of jobs is not here yet.")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def examples(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield
    for name in ("jobs_client", "celery_jobs"):
        sys.modules.pop(name, None)


@pytest.fixture
def acme(world):
    """2.00 a frame; a frame of input is expected to be a frame of output."""
    frames = world.meter("frames", event_type="render.completed", aggregation="sum",
                         value_property="frames")  # fmt: skip
    customer = world.customer()
    price = {"key": "frames", "model": "per_unit", "meter": frames, "amount": D(2)}
    world.subscribe(customer, world.plan(prices=(price,)), starts_at=EVER)
    render = JobClass.objects.create(key="render", name="Render", input_unit="frame")
    JobClassUsage.objects.create(
        job_class=render, meter=frames, low=D("0.5"), expected=D(1), high=D("1.5")
    )
    return customer


@pytest.fixture
def key(acme):
    return issue_key(name="render farm", scopes=["jobs"], now=timezone.now())[1]


@pytest.fixture
def tollgate(examples, live_server, key):
    from jobs_client import Tollgate

    found = Tollgate(live_server.url, key)
    yield found
    found.close()


def test_the_script_estimates_asks_reports_and_settles(
    examples, acme, live_server, key, monkeypatch, capsys
):
    import jobs_client

    monkeypatch.setenv("TOLLGATE_URL", live_server.url)
    monkeypatch.setenv("TOLLGATE_KEY", key)

    assert jobs_client.main("acme", "render", "240") == 0
    Budget.objects.create(customer=acme, amount=D(500))
    assert jobs_client.main("acme", "render", "240") == 1

    said = capsys.readouterr().out.splitlines()
    assert said[:3] == [
        "It will cost 240.00 to 720.00 USD.",
        "It came to 480 USD.",
        "It will cost 240.00 to 720.00 USD.",
    ]
    assert said[3].startswith("Not now (budget): ")
    job = Job.objects.get()
    assert (job.state, job.amount) == ("succeeded", D(480))


class Farm:
    """A Celery application whose task is billed; its tasks run where they are sent from."""

    def __init__(self, tollgate, work, **said):
        from celery_jobs import billed

        self.app = Celery("farm", broker="memory://", set_as_current=False)
        self.app.conf.update(task_always_eager=True, task_store_eager_result=False)
        task = billed(
            tollgate, job_class="render", input_size=lambda frames: frames, heartbeat_s=0.2, **said
        )(work)
        self.render = self.app.task(bind=True, max_retries=None, name="render")(task)


def test_a_task_that_ends_is_billed_for_what_it_used(acme, tollgate):
    def render(job, frames, *, customer):
        job.used("frames", "render.completed", frames=frames)
        return f"{frames} frames for {customer}"

    result = Farm(tollgate, render).render.apply((30,), {"customer": "acme"}, task_id="task-1")

    assert result.get() == "30 frames for acme"
    job = Job.objects.get()
    assert (job.key, job.state, job.amount) == ("celery:task-1", "succeeded", D(60))
    assert list(job.attempts.values_list("number", "state")) == [(1, "succeeded")]


def test_a_task_that_is_handed_out_again_is_the_same_job_and_is_billed_once(acme, tollgate):
    def render(job, frames, *, customer):
        job.used("frames", "render.completed", frames=frames)

    farm = Farm(tollgate, render)
    for _ in range(2):
        farm.render.apply((30,), {"customer": "acme"}, task_id="task-1")

    assert Job.objects.get().amount == D(60)


def test_an_error_fails_the_job_by_its_cause_and_neither_is_billed(acme, tollgate):
    from celery_jobs import InputError

    def render(job, frames, *, customer):
        job.used("frames", "render.completed", frames=3)
        raise (InputError if frames == 1 else OSError)("No scene.")

    farm = Farm(tollgate, render)
    for frames in (1, 2):
        result = farm.render.apply((frames,), {"customer": "acme"})
        assert "No scene." in str(result.result)

    jobs = Job.objects.order_by("pk").values_list("state", "cause", "amount", "reason")
    assert list(jobs) == [
        ("failed", "input", D(0), "No scene."),
        ("failed", "provider", D(0), "OSError: No scene."),
    ]
    assert set(JobUsage.objects.values_list("billed", flat=True)) == {False}


def test_a_refusal_that_time_helps_is_a_retry_and_another_one_an_error(acme, tollgate, monkeypatch):
    import jobs_client

    def render(job, frames, *, customer):
        job.used("frames", "render.completed", frames=frames)

    farm = Farm(tollgate, render)
    problem = {"detail": "Too many.", "code": "jobs_per_hour", "rule": "jobs_per_hour"}
    ask, waits, countdowns = tollgate.ask, [90.0], []

    def refusing(**asked):
        if waits:
            raise jobs_client.NotAdmitted(problem, retry_after_s=waits.pop())
        return ask(**asked)

    retry = farm.render.retry
    monkeypatch.setattr(tollgate, "ask", refusing)
    monkeypatch.setattr(
        farm.render._get_current_object(), "retry",
        lambda *, countdown, exc: countdowns.append(countdown) or retry(countdown=0, exc=exc),
    )  # fmt: skip

    farm.render.apply((30,), {"customer": "acme"}, task_id="task-1")

    assert countdowns == [90.0]
    assert Job.objects.get().amount == D(60)
    waits.append(None)
    with pytest.raises(jobs_client.NotAdmitted):
        farm.render.apply((1,), {"customer": "acme"}, throw=True)
    assert Job.objects.count() == 1


def test_heartbeats_report_and_stop_a_job_whose_budget_is_used_up(acme, tollgate):
    def render(job, frames, *, customer):
        job.used("frames", "render.completed", frames=400)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            job.check()
            time.sleep(0.05)
        raise AssertionError("It was never stopped.")

    Budget.objects.create(customer=acme, amount=D(100))
    result = Farm(tollgate, render).render.apply((1,), {"customer": "acme"})

    assert type(result.result).__name__ == "Stopped", result.traceback
    assert Job.objects.get().state == "cancelled"
