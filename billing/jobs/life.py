"""A job while it runs: attempts, heartbeats, and whether it may go on."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from billing.jobs.answers import said
from billing.jobs.asking import digest_of
from billing.jobs.errors import WrongState
from billing.jobs.own_usage import version_terms
from billing.jobs.reading import find_account
from billing.jobs.reporting import Report, hold_reported, take_reports
from billing.jobs.rules import budgets_of
from billing.jobs.steps import RUNS, Step, answer_of, step
from plans.rating.money import ZERO, minus, plus
from usage.models import Job, JobAttempt

_LIVING = ["reported", "held_quantities", "held", "state", "started_at", "silent_at"]


def begin_attempt(
    *, job_id: UUID, number: int | None, key: str, at: datetime | None, now: datetime
) -> dict[str, Any]:
    """Begin the next attempt of a job; the first one starts it.

    The number is the next one where it is not said; one that runs already is answered again. Raises
    UnknownJob, WrongState, KeyReused, InvalidReport.
    """
    digest = digest_of({"number": number, "at": at})
    with step(job_id=job_id, kind="attempt", key=key, digest=digest, at=at, now=now) as found:
        if not found.is_done:
            attempt = _begin(found, number)
            _live_on(found)
            found.answer = {**answer_of(found.job), "attempt": attempt}
        return found.answer


def end_attempt(
    *,
    job_id: UUID,
    number: int,
    cause: str,
    reports: Sequence[Report],
    key: str,
    at: datetime | None,
    now: datetime,
) -> dict[str, Any]:
    """End an attempt that failed, by the provider or by the input; the job may be tried again.

    Raises UnknownJob, WrongState, KeyReused, InvalidReport.
    """
    digest = digest_of({"number": number, "cause": cause, "at": at, "usage": reports})
    with step(
        job_id=job_id, kind="attempt_failed", key=key, digest=digest, at=at, now=now,
        states=(Job.State.RUNNING,),
    ) as found:  # fmt: skip
        if not found.is_done:
            attempt = _attempt(found.job, number)
            if attempt.state == JobAttempt.State.RUNNING:
                take_reports(found, reports, attempt=number)
                finish_attempt(attempt, state=JobAttempt.State.FAILED, cause=cause, at=found.at)
            elif (attempt.state, attempt.cause) != (JobAttempt.State.FAILED, cause):
                raise WrongState(
                    f"Attempt {number} has {attempt.state} already.", state=found.job.state
                )
            hold_reported(found)
            _live_on(found)
            found.answer = {**answer_of(found.job), "attempt": number}
        return found.answer


def heartbeat(
    *, job_id: UUID, reports: Sequence[Report], key: str, now: datetime
) -> dict[str, Any]:
    """Say that a job lives and what it used, and answer whether it may go on.

    Its hold grows where its usage outruns it. The answer is ``continue``; ``finish`` where a budget
    is used up, within its grace amount; ``stop`` beyond that, or where its parent was stopped.
    Raises UnknownJob, WrongState, KeyReused, InvalidReport.
    """
    digest = digest_of({"usage": reports})
    with step(job_id=job_id, kind="heartbeat", key=key, digest=digest, at=None, now=now) as found:
        if not found.is_done:
            attempt = running_attempt(found)
            take_reports(found, reports, attempt=attempt.number)
            hold_reported(found)
            _live_on(found)
            verdict = _verdict(found)
            found.answer = {
                "answer": verdict.answer,
                "reason": verdict.reason,
                "numbers": verdict.numbers,
                "job": answer_of(found.job),
            }
        return found.answer


class _Verdict(NamedTuple):
    answer: str
    reason: str
    numbers: dict[str, str]


def _verdict(found: Step) -> _Verdict:
    job = found.job
    if job.parent is not None and job.parent.state not in RUNS:
        return _Verdict("stop", f"The parent job is {job.parent.state}.", {})
    # A job that was admitted runs on where the customer has left its plan since.
    account = find_account(
        subject=job.workspace.key if job.workspace else job.customer.key,
        job_class=job.job_class.key,
        at=found.now,
    )
    grace = _grace(job)
    worst = _Verdict("continue", "", {})
    for budget in budgets_of(account, found.now):
        over = minus(plus(budget.spent, budget.held), budget.amount)
        if not budget.stops or over <= 0 or worst.answer == "stop":
            continue
        whose = f"The budget of “{budget.workspace}”" if budget.workspace else "The budget"
        worst = _Verdict(
            "finish" if over <= grace else "stop",
            f"{whose} is used up" + ("." if over <= grace else ", and so is its grace amount."),
            {
                "budget": said(budget.amount),
                "spent": said(budget.spent),
                "held": said(budget.held),
                "over": said(over),
                "grace": said(grace),
            },
        )
    return worst


def _grace(job: Job) -> Decimal:
    if job.version_id is None:
        return ZERO
    return version_terms(job.version_id).terms.jobs.grace_amount


def _live_on(found: Step) -> None:
    """Store the job, which falls silent later."""
    job = found.job
    job.silent_at = found.now + timedelta(seconds=job.job_class.silence_seconds)
    job.save(update_fields=_LIVING)


def running_attempt(found: Step) -> JobAttempt:
    """Return the attempt that runs; a job that has none begins one by reporting."""
    last = JobAttempt.objects.filter(job=found.job).order_by("-number").first()
    if last is None or last.state != JobAttempt.State.RUNNING:
        return _attempt(found.job, _begin(found, None))
    return last


def _begin(found: Step, number: int | None) -> int:
    job = found.job
    last = JobAttempt.objects.filter(job=job).order_by("-number").first()
    is_running = last is not None and last.state == JobAttempt.State.RUNNING
    following = 1 if last is None else last.number + (not is_running)
    if number is not None and number != following:
        raise WrongState(
            f"Attempt {number} cannot begin: the job is at attempt {following}.", state=job.state
        )
    if is_running:
        if number is None:
            raise WrongState(f"Attempt {following} still runs: end it first.", state=job.state)
        return following
    JobAttempt.objects.create(job=job, number=following, started_at=found.at)
    if job.started_at is None:
        job.state, job.started_at = Job.State.RUNNING, found.at
    return following


def _attempt(job: Job, number: int) -> JobAttempt:
    found = JobAttempt.objects.filter(job=job, number=number).first()
    if found is None:
        raise WrongState(f"The job has no attempt {number}.", state=job.state)
    return found


def finish_attempt(attempt: JobAttempt, *, state: str, cause: str, at: datetime) -> None:
    """End an attempt that runs."""
    attempt.state, attempt.cause, attempt.ended_at = state, cause, at
    attempt.save(update_fields=["state", "cause", "ended_at"])
