"""What is given back of a job that started later than its service class promised.

The statement is what counts: it gives back by the usage of the whole period. This is what the job
adds to that as things stand when it is settled, for its page and for whoever asks.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Sum

from billing.jobs.events import attribution_of
from billing.jobs.own_usage import JOB_EVENT, version_terms
from billing.spend.margin import Standing
from billing.spend.pending import price_pending
from plans.models import Meter
from plans.queries import subscriptions_in
from plans.rating import Period, billing_period
from plans.rating.late_starts import IS_LATE, LATE_DIMENSION, gives_back
from plans.rating.money import ZERO, minus
from usage.job_quantities import Quantities, added
from usage.late_starts import is_late
from usage.models import Job


def started_late(job: Job) -> bool:
    """Say whether a job started after its promised start; one that never started did not."""
    return is_late(promised_at=job.promised_start_at, started_at=job.started_at)


def late_start_credit(
    job: Job, used: Quantities, *, rest: Quantities, standing: Standing | None
) -> Decimal:
    """Return what a late start takes off what the job comes to, exact; zero where it was on time.

    ``used`` is what is billed of it, ``rest`` what else is pending. At most what is left of the
    most that the terms give back in the billing period.
    """
    assert job.version_id is not None
    terms = version_terms(job.version_id)
    if (
        standing is None
        or not started_late(job)
        or not any(map(gives_back, terms.terms.service_classes))
    ):
        return ZERO
    late = _as_late(used, meters=terms.meters)
    on_time = price_pending(standing, added(rest, used), late_credits=True).exact
    credit = minus(on_time, price_pending(standing, added(rest, late), late_credits=True).exact)
    most = terms.terms.jobs.late_start_most
    if credit <= ZERO or most is None:
        return max(ZERO, credit)
    return max(ZERO, min(credit, minus(most, _given_before(job))))


def _as_late(used: Quantities, *, meters: Mapping[str, Meter]) -> Quantities:
    """Return quantities with the values that the dimensions of late usage have."""
    found: list[Quantities] = []
    for (key, values), quantity in used.items():
        names = meters[key].dimensions if key in meters else []
        pairs = zip(names, values, strict=False)
        marked = tuple(IS_LATE if name == LATE_DIMENSION else value for name, value in pairs)
        found.append({(key, marked if names else values): quantity})
    return added(*found)


def _given_before(job: Job) -> Decimal:
    """Return what late starts gave back of the customer's jobs in the period of this one."""
    assert job.version_id is not None
    by_start = attribution_of(version_terms(job.version_id), JOB_EVENT) == "start"
    field = "started_at" if by_start else "ended_at"
    period = _period_of(job, field)
    others = Job.objects.filter(customer=job.customer_id, service_credit__gt=0).exclude(pk=job.pk)
    if period is not None:
        others = others.filter(**{f"{field}__gte": period.start, f"{field}__lt": period.end})
    given: Decimal | None = others.aggregate(sum=Sum("service_credit"))["sum"]
    return given or ZERO


def _period_of(job: Job, field: str) -> Period | None:
    at: datetime = getattr(job, field)
    running = subscriptions_in(
        customer_ids=[job.customer_id], start=at, end=at + timedelta.resolution
    )
    if not running:
        return None
    return billing_period(anchor=running[0].anchor_date, zone=job.customer.time_zone, at=at)
