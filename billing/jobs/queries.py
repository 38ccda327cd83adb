"""Read a job with its attempts, and what it and the jobs below it come to."""

from typing import Any
from uuid import UUID

from django.db import connection

from billing.jobs.answers import moment, said
from billing.jobs.errors import UnknownJob
from billing.jobs.steps import answer_of
from usage.models import Job

_BELOW = """
WITH RECURSIVE below AS (
    SELECT id, amount - service_credit AS amount, held, 0 AS depth FROM usage_job WHERE id = %s
    UNION ALL
    SELECT j.id, j.amount - j.service_credit, j.held, b.depth + 1
    FROM usage_job j JOIN below b ON j.parent_id = b.id)
SELECT count(*) - 1, coalesce(sum(amount), 0), coalesce(sum(held), 0) FROM below
"""


def job_details(*, job_id: UUID) -> dict[str, Any]:
    """Return a job with its attempts and rolled-up amounts. Raises UnknownJob."""
    rows = Job.objects.select_related("customer", "workspace", "job_class", "parent")
    job = rows.filter(public_id=job_id).first()
    if job is None:
        raise UnknownJob(f"There is no job {job_id}.", field="id")
    with connection.cursor() as cursor:
        cursor.execute(_BELOW, [job.pk])
        steps, amount, held = cursor.fetchone()
    return {
        **answer_of(job),
        "attempts": [
            {
                "number": attempt.number,
                "state": attempt.state,
                "cause": attempt.cause,
                "started_at": moment(attempt.started_at),
                "ended_at": moment(attempt.ended_at),
            }
            for attempt in job.attempts.order_by("number")
        ],
        "steps": steps,
        "total_amount": said(amount),
        "total_held": said(held),
    }
