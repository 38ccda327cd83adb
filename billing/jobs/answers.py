"""A job as the API answers it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing.jobs.new_job import NewJob
from usage.models import Job


def said(amount: Decimal) -> str:
    """Return an amount or a quantity as text, without zeros that say nothing."""
    return f"{amount.normalize():f}" if amount else "0"


def moment(at: datetime | None) -> str | None:
    """Return an instant in UTC as RFC 3339."""
    if at is None:
        return None
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return utc.isoformat().replace("+00:00", "Z")


def job_answer(
    job: Job | NewJob,
    *,
    customer: str,
    workspace: str,
    job_class: str,
    currency: str,
    parent: str | None,
) -> dict[str, Any]:
    """Return a job's representation; whose it is is said by keys."""
    return {
        "id": str(job.public_id),
        "state": job.state,
        "cause": job.cause,
        "reason": job.reason,
        "customer": customer,
        "workspace": workspace or None,
        "parent": parent,
        "job_class": job_class,
        "service_class": job.service_class,
        "input_size": said(job.input_size),
        "dimensions": job.dimensions,
        "currency": currency,
        "estimate": {
            "low": said(job.estimate_low),
            "expected": said(job.estimate_expected),
            "high": said(job.estimate_high),
            "basis": job.estimate_basis,
            "comparable": job.estimate_comparable,
        },
        "held": said(job.held),
        "amount": None if job.amount is None else said(job.amount),
        "service_credit": said(job.service_credit),
        "admitted_at": moment(job.admitted_at),
        "promised_start_at": moment(job.promised_start_at),
        "started_at": moment(job.started_at),
        "silent_at": moment(job.silent_at),
        "ended_at": moment(job.ended_at),
        "settled_at": moment(job.settled_at),
        "rated_at": moment(job.rated_at),
    }


# What only the answer to its admission says of a job: the rest of it stays as it was, or was alike
# in every new job.
_OF_ADMISSION = ("held", "silent_at", "upgraded_to")
_ALIKE: dict[str, Any] = {
    "state": "admitted", "cause": "", "reason": "", "amount": None, "service_credit": "0",
    "started_at": None, "ended_at": None, "settled_at": None, "rated_at": None,
}  # fmt: skip


def kept_of_admission(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to keep of the answer to an admission, so that it can be given again."""
    return {name: answer[name] for name in _OF_ADMISSION if name in answer}


def admission_again(answer: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to an admission from that of the job as it is now, and what was kept."""
    return {**answer, **_ALIKE, **kept}
