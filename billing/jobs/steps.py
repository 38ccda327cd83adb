"""A transition of a job: found and locked, done once for its key, and kept in its log."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from billing.jobs.answers import job_answer
from billing.jobs.errors import InvalidReport, KeyReused, UnknownJob, WrongState
from billing.locks import lock_spend
from billing.models import Spend
from usage.locks import lock_job
from usage.models import Job, JobStep

RUNS = (Job.State.ADMITTED, Job.State.RUNNING)
_AHEAD_MOST = timedelta(minutes=5)


@dataclass(slots=True)
class Step:
    """A job that is locked with its customer's spend, and what the step answers.

    ``answer`` is known from before where the step was done already.
    """

    job: Job
    spend: Spend
    now: datetime
    at: datetime
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        """Tell whether the step was done before."""
        return bool(self.answer)


@contextmanager
def step(
    *,
    job_id: UUID,
    kind: str,
    key: str,
    digest: str,
    at: datetime | None,
    now: datetime,
    states: tuple[str, ...] = RUNS,
) -> Iterator[Step]:
    """Do a transition under the locks of spend and job, once for its key; its answer is kept.

    Without a key nothing is kept, and the step must be harmless when it is done twice. ``now`` is
    the real time: the jobs of customers to test with go by their own. ``at`` is when it happened,
    now where that is not said. Raises UnknownJob, KeyReused, WrongState,
    InvalidReport.
    """
    with transaction.atomic():
        found = _locked(job_id, at=at, now=now)
        known = _known(found.job, kind=kind, key=key, digest=digest)
        if known is not None:
            found.answer = known
            yield found
            return
        if found.job.state not in states:
            raise WrongState(_wrong(found.job, kind), state=found.job.state)
        _check_time(found)
        yield found
        if key and found.answer:
            _keep(found, kind=kind, key=key, digest=digest)


def _locked(job_id: UUID, *, at: datetime | None, now: datetime) -> Step:
    rows = Job.objects.filter(public_id=job_id)
    row = rows.values_list("pk", "customer_id", "customer__clock_at").first()
    if row is None:
        raise UnknownJob(f"There is no job {job_id}.", field="id")
    pk, customer_id, clock_at = row
    now = clock_at or now
    spend = lock_spend(customer_ids=[customer_id])[customer_id]
    return Step(job=lock_job(job_id=pk), spend=spend, now=now, at=at or now)


def _known(job: Job, *, kind: str, key: str, digest: str) -> dict[str, Any] | None:
    if not key:
        return None
    before = JobStep.objects.filter(job=job, key=key).first()
    if before is None:
        return None
    if (before.kind, before.answer.get("digest")) != (kind, digest):
        raise KeyReused(f"The key was used for another step of the job: {before.kind}.")
    body: dict[str, Any] = before.answer["body"]
    return body


def _wrong(job: Job, kind: str) -> str:
    if job.ended_at is not None:
        return f"The job is {job.state} since {job.ended_at:%Y-%m-%d %H:%M:%S} UTC: no {kind} now."
    return f"The job is {job.state}: no {kind} now."


def _check_time(found: Step) -> None:
    if found.at > found.now + _AHEAD_MOST:
        raise InvalidReport("`time` lies ahead: say when it happened.", field="time")
    if found.at < found.job.admitted_at:
        raise InvalidReport("`time` lies before the job was admitted.", field="time")


def _keep(found: Step, *, kind: str, key: str, digest: str) -> None:
    JobStep.objects.create(
        job=found.job,
        key=key,
        kind=kind,
        happened_at=found.at,
        recorded_at=found.now,
        answer={"digest": digest, "body": found.answer},
    )


def answer_of(job: Job) -> dict[str, Any]:
    """Return a job as the API answers it; what it refers to was read with it."""
    return job_answer(
        job,
        customer=job.customer.key,
        workspace=job.workspace.key if job.workspace else "",
        job_class=job.job_class.key,
        currency=job.customer.currency,
        parent=str(job.parent.public_id) if job.parent else None,
    )
