"""End a job, and make usage of what the plan bills of it, in one transaction.

The hold is set to the true amount and stands until a rating knows the usage; see `rate_spend`.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from billing.jobs.above_hold import leave_out_above_hold, note_unpaid
from billing.jobs.asking import digest_of
from billing.jobs.credit import release_credit
from billing.jobs.events import store_events
from billing.jobs.holding import count_ended, find_standing, hold_for
from billing.jobs.late_starts import late_start_credit
from billing.jobs.life import finish_attempt, running_attempt
from billing.jobs.own_usage import job_properties, own_quantities, version_terms
from billing.jobs.reporting import Report, billable, take_reports
from billing.jobs.steps import RUNS, Step, answer_of, step
from billing.spend.pending import price_pending
from plans.rating.job_terms import JobTerms
from plans.rating.money import ZERO, minus
from usage.job_billing import Attempt, billed_attempts, is_billed_itself
from usage.job_quantities import Cell, added, read, without
from usage.models import Job, JobAttempt, JobQuantity, JobUsage

_ENDED = [
    "reported", "held_quantities", "held", "state", "cause", "reason", "started_at", "ended_at",
    "settled_at", "settled_xid", "rated_at", "amount", "service_credit",
]  # fmt: skip
_RUNNING = (Job.State.RUNNING, Job.State.ADMITTED)


def complete(
    *,
    job_id: UUID,
    reports: Sequence[Report] = (),
    key: str = "",
    at: datetime | None = None,
    now: datetime,
) -> dict[str, Any]:
    """End a job that succeeded, with its last usage. Done again, it answers the same.

    Raises UnknownJob, WrongState, KeyReused, InvalidReport.
    """
    return _end(
        job_id, state=Job.State.SUCCEEDED, reports=reports, key=key or "complete", at=at, now=now
    )


def fail(
    *,
    job_id: UUID,
    cause: str,
    reason: str = "",
    reports: Sequence[Report] = (),
    key: str = "",
    at: datetime | None = None,
    now: datetime,
) -> dict[str, Any]:
    """End a job that failed for good, by the provider or by its input.

    Raises UnknownJob, WrongState, KeyReused, InvalidReport.
    """
    return _end(
        job_id, state=Job.State.FAILED, cause=cause, reason=reason, reports=reports,
        key=key or "fail", at=at, now=now,
    )  # fmt: skip


def cancel(
    *,
    job_id: UUID,
    reason: str = "",
    reports: Sequence[Report] = (),
    key: str = "",
    at: datetime | None = None,
    now: datetime,
) -> dict[str, Any]:
    """End a job that somebody called off.

    Raises UnknownJob, WrongState, KeyReused, InvalidReport.
    """
    return _end(
        job_id, state=Job.State.CANCELLED, reason=reason, reports=reports, key=key or "cancel",
        at=at, now=now,
    )  # fmt: skip


def expire(*, job_id: UUID, now: datetime) -> bool:
    """End a job that fell silent; False where it reported meanwhile, or ended."""
    with step(
        job_id=job_id, kind="expired", key="expire", digest="", at=now, now=now,
        states=tuple(Job.State.values),
    ) as found:  # fmt: skip
        if found.is_done or found.job.ended_at is not None or found.job.silent_at > now:
            return False
        _settle(found, state=Job.State.EXPIRED, cause="", reason="It fell silent.", reports=())
        found.answer = answer_of(found.job)
    return True


def _end(
    job_id: UUID,
    *,
    state: str,
    cause: str = "",
    reason: str = "",
    reports: Sequence[Report],
    key: str,
    at: datetime | None,
    now: datetime,
) -> dict[str, Any]:
    digest = digest_of(
        {"state": state, "cause": cause, "reason": reason, "usage": reports, "at": at}
    )
    with step(
        job_id=job_id, kind=state, key=key, digest=digest, at=at, now=now, states=RUNS
    ) as found:
        if not found.is_done:
            _settle(found, state=state, cause=cause, reason=reason, reports=reports)
            found.answer = answer_of(found.job)
        return found.answer


def _settle(found: Step, *, state: str, cause: str, reason: str, reports: Sequence[Report]) -> None:
    job = found.job
    terms = _terms(job)
    attempts = _end_attempts(found, state=state, cause=cause, reports=reports)
    job.state, job.cause, job.reason, job.ended_at = state, cause, reason, found.at
    billed = billed_attempts(state=state, cause=cause, attempts=attempts, terms=terms)
    JobUsage.objects.filter(job=job, attempt__in=billed).update(billed=True)
    JobUsage.objects.filter(job=job).exclude(attempt__in=billed).update(billed=False)
    itself = is_billed_itself(state=state, cause=cause, terms=terms)
    own = _own(job) if itself else {}
    used = added(billable(job, billed), own)
    if terms.above_hold == "cap":
        standing = find_standing(job.customer, found.spend, at=found.now)
        used = leave_out_above_hold(found, attempts=billed, own=own, standing=standing)
    stored = store_events(job, own=_properties(job) if itself else None, now=found.now)
    _price(found, used, any_usage=stored > 0)
    if terms.above_hold == "block":
        note_unpaid(found)
    count_ended(job, found.spend)
    job.save(update_fields=_ENDED)
    if state == Job.State.SUCCEEDED:
        _remember(job, used)


def _end_attempts(
    found: Step, *, state: str, cause: str, reports: Sequence[Report]
) -> list[Attempt]:
    """End the attempt that runs; a job that never began one has its first as it ends."""
    job = found.job
    if reports or state == Job.State.SUCCEEDED:
        attempt = running_attempt(found)
        take_reports(found, reports, attempt=attempt.number)
    ends = {
        Job.State.SUCCEEDED: JobAttempt.State.SUCCEEDED,
        Job.State.FAILED: JobAttempt.State.FAILED,
    }
    for attempt in JobAttempt.objects.filter(job=job, state=JobAttempt.State.RUNNING):
        ended = ends.get(Job.State(state), JobAttempt.State.ENDED)
        finish_attempt(attempt, state=ended, cause=cause, at=found.at)
    rows = JobAttempt.objects.filter(job=job).order_by("number")
    return [Attempt(row.number, row.state, row.cause) for row in rows]


def _terms(job: Job) -> JobTerms:
    assert job.version_id is not None
    return version_terms(job.version_id).terms.jobs


def _properties(job: Job) -> dict[str, Any]:
    return job_properties(
        job_class=job.job_class.key,
        service_class=job.service_class,
        input_size=job.input_size,
        dimensions=job.dimensions,
        state=job.state,
    )


def _own(job: Job) -> dict[Cell, Decimal]:
    assert job.version_id is not None
    return own_quantities(job.version_id, _properties(job))


def _price(found: Step, used: dict[Cell, Decimal], *, any_usage: bool) -> None:
    """Set the hold to what the job came to; where it used nothing, let it go."""
    job, spend = found.job, found.spend
    job.settled_at = found.now
    job.settled_xid = _xid()
    standing = find_standing(job.customer, spend, at=found.now)
    rest = without(read(spend.pending), read(job.held_quantities))
    if standing is not None:
        before = price_pending(standing, rest).exact
        after = price_pending(standing, added(rest, used)).exact
        job.amount = max(ZERO, minus(after, before))
        job.service_credit = late_start_credit(job, used, rest=rest, standing=standing)
    hold_for(job, spend, used, standing=standing)
    if not any_usage:
        job.held, job.amount, job.service_credit, job.rated_at = ZERO, ZERO, ZERO, found.now
        release_credit(customer_id=job.customer_id, public_ids=[str(job.public_id)], now=found.now)


def _xid() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT usage_xid()")
        return int(cursor.fetchone()[0])


def _remember(job: Job, used: dict[Cell, Decimal]) -> None:
    """Keep what the job used for each unit of its input: estimates rest on it."""
    if not job.input_size or job.ended_at is None:
        return
    JobQuantity.objects.bulk_create(
        JobQuantity(
            job=job,
            customer_id=job.customer_id,
            job_class_id=job.job_class_id,
            meter=meter,
            dimensions=list(values),
            quantity=quantity,
            per_input=quantity / job.input_size,
            ended_at=job.ended_at,
        )
        for (meter, values), quantity in used.items()
        if meter
    )
