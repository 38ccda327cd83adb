"""Tell endpoints of jobs and statements: found by what is stored, so that no hot path waits."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db import transaction

from billing.models import EventType, WebhookEndpoint
from billing.statements.facts import Period
from billing.webhooks import locks
from billing.webhooks.emitting import NewEvent, emit
from usage.horizon import current_horizon
from usage.models import Job

JOBS_MAX: Final = 500
_OF_JOBS: Final = [EventType.JOB_SETTLED.value, EventType.JOB_EXPIRED.value]


@transaction.atomic
def tell_of_jobs(*, jobs_max: int = JOBS_MAX) -> int:
    """Store the messages about jobs that were settled since each endpoint was last told.

    What lies below the transaction horizon is visible whole, so none is missed and, by its key,
    none is told twice. Returns how many jobs were looked at; 0 says that none is left.
    """
    horizon = current_horizon()
    seen = 0
    for endpoint in locks.endpoints_of_jobs(types=_OF_JOBS):
        jobs, reached = _settled(endpoint, horizon=horizon, jobs_max=jobs_max)
        emit([_of_job(job) for job in jobs])
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(jobs_horizon=reached)
        seen += len(jobs)
    return seen


def _settled(
    endpoint: WebhookEndpoint, *, horizon: int, jobs_max: int
) -> tuple[Sequence[Job], int]:
    """Return the next jobs, each transaction's whole, and the horizon that they reach."""
    jobs = Job.objects.filter(settled_xid__gte=endpoint.jobs_horizon or 0, settled_xid__lt=horizon)
    if endpoint.customer_id is not None:
        jobs = jobs.filter(customer_id=endpoint.customer_id)
    ordered = jobs.order_by("settled_xid", "pk").select_related(
        "customer", "workspace", "job_class"
    )
    page = list(ordered[:jobs_max])
    if len(page) < jobs_max:
        return page, horizon
    last = page[-1].settled_xid or 0
    return list(ordered.filter(settled_xid__lte=last)), last + 1


def _of_job(job: Job) -> NewEvent:
    expired = job.state == Job.State.EXPIRED
    kind = EventType.JOB_EXPIRED if expired else EventType.JOB_SETTLED
    return NewEvent(
        key=f"{kind}:{job.public_id}",
        type=kind,
        customer_id=job.customer_id,
        happened_at=job.settled_at or job.admitted_at,
        data={
            "job": str(job.public_id),
            "key": job.key,
            "customer": job.customer.key,
            "workspace": job.workspace.key if job.workspace else None,
            "job_class": job.job_class.key,
            "state": job.state,
            "cause": job.cause or None,
            "currency": job.customer.currency,
            "amount": _said(job.amount),
            "estimate": {
                "low": _said(job.estimate_low),
                "expected": _said(job.estimate_expected),
                "high": _said(job.estimate_high),
            },
            "settled_at": job.settled_at.isoformat() if job.settled_at else None,
        },
    )


def tell_of_statements(finalised: Iterable[tuple[Period, str, Decimal]], *, now: datetime) -> None:
    """Store the messages about statements in the transaction that finalises them."""
    emit(
        [
            NewEvent(
                key=f"{EventType.STATEMENT_FINALISED}:{number}",
                type=EventType.STATEMENT_FINALISED,
                customer_id=period.customer_id,
                happened_at=now,
                data=_of_statement(period, number, total),
            )
            for period, number, total in finalised
        ]
    )


def _of_statement(period: Period, number: str, total: Decimal) -> dict[str, Any]:
    return {
        "number": number,
        "customer": period.customer_key,
        "period_start": period.start.isoformat(),
        "period_end": period.end.isoformat(),
        "currency": period.currency,
        "total": _said(total),
    }


def _said(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount.normalize():f}"
