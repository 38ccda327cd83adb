"""End the jobs that fell silent, each by itself: one that fails stops no other."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import DatabaseError

from billing.jobs.settling import expire
from plans.errors import OperationError
from usage.models import Job

logger = logging.getLogger(__name__)

PAGE = 500
TRY_AGAIN_AFTER = timedelta(hours=1)


@dataclass(slots=True)
class ExpiryReport:
    """How many jobs expired, and how many could not be settled and are tried again later."""

    expired: int = 0
    failed: int = 0


def expire_silent(*, now: datetime, limit: int = PAGE) -> ExpiryReport:
    """End up to so many jobs that have reported nothing for as long as their class allows.

    What they reported is billed as the plan says. A job that cannot be settled says why and is
    tried again after an hour.
    """
    report = ExpiryReport()
    silent = Job.objects.filter(ended_at=None, silent_at__lte=now).order_by("silent_at")
    for job_id in list(silent.values_list("public_id", flat=True)[:limit]):
        try:
            report.expired += expire(job_id=job_id, now=now)
        except (OperationError, DatabaseError) as error:
            logger.exception("job %s cannot be settled", job_id)
            report.failed += _put_off(job_id, str(error), now=now)
    return report


def _put_off(job_id: UUID, reason: str, *, now: datetime) -> int:
    still = Job.objects.filter(public_id=job_id, ended_at=None, silent_at__lte=now)
    return still.update(silent_at=now + TRY_AGAIN_AFTER, reason=reason)
