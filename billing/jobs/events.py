"""What is billed of a job as usage events, stored by the road of all usage."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from billing.jobs.errors import InvalidReport
from billing.jobs.own_usage import JOB_EVENT, counts_jobs, version_terms
from plans.models.meters import Aggregation
from plans.queries import subscriptions_in
from plans.rating import billing_period
from plans.rating.prices import Attribution
from plans.terms import VersionTerms
from usage.ingest import CloudEvent
from usage.job_billing import Span, attributed, cut, shared_out
from usage.job_metering import SOURCE, exact_json
from usage.late_starts import marked
from usage.limits import batch_events_max
from usage.models import Job
from usage.operations.ingest import ingest

_BILLED = """
SELECT key, type, "time", coalesce(until, "time"), properties::text
FROM usage_jobusage WHERE job_id = %s AND billed ORDER BY "time", key
"""


class _Usage(NamedTuple):
    key: str
    type: str
    span: Span
    data: dict[str, Any]


def store_events(job: Job, *, own: dict[str, Any] | None, now: datetime) -> int:
    """Store what is billed of a job that ended, and return how many events that is.

    ``own`` is the data of the job's own event, where it counts and a price reads it. Their ids are
    the job's and the usage's own keys: settled again, nothing is stored twice. Raises InvalidReport
    where a meter changed so that what was reported cannot be stored any more.
    """
    events = list(_events(job, own=own))
    most = batch_events_max()
    for place in range(0, len(events), most):
        report = ingest(events[place : place + most], now=now)
        if report.rejected:
            raise InvalidReport(report.rejected[0].detail, field="usage")
    return len(events)


def _events(job: Job, *, own: dict[str, Any] | None) -> Iterator[CloudEvent]:
    assert job.version_id is not None
    assert job.ended_at is not None
    terms = version_terms(job.version_id)
    started_at = job.started_at or job.admitted_at
    for usage in _billed(job):
        span = attributed(
            usage.span,
            attribution=attribution_of(terms, usage.type),
            started_at=started_at,
            ended_at=job.ended_at,
        )
        yield from _pieces(job, usage._replace(span=span), terms=terms)
    if own is not None and counts_jobs(job.version_id):
        attribution = attribution_of(terms, JOB_EVENT)
        at = started_at if attribution == "start" else job.ended_at
        yield _event(job, str(job.public_id), JOB_EVENT, at, own)


def _billed(job: Job) -> list[_Usage]:
    with connection.cursor() as cursor:
        cursor.execute(_BILLED, [job.pk])
        return [
            _Usage(key, kind, Span(start, end), exact_json(data))
            for key, kind, start, end, data in cursor.fetchall()
        ]


def attribution_of(terms: VersionTerms, event_type: str) -> Attribution:
    """Return by what the usage of a type falls into a period; an event has one time for all."""
    reading = {
        price.attribution
        for price in terms.terms.prices
        if price.meter and terms.meters[price.meter].event_type == event_type
    }
    return reading.pop() if len(reading) == 1 else "usage"


def _pieces(job: Job, usage: _Usage, *, terms: VersionTerms) -> Iterator[CloudEvent]:
    """Yield one event, or one for each billing period that the usage touches."""
    summed = _summed(terms, usage.type)
    bounds = _period_ends(job, usage.span) if summed and usage.span.start < usage.span.end else []
    parts = cut(usage.span, bounds=bounds)
    name = f"{job.public_id}:{usage.key}"
    if len(parts) == 1:
        yield _event(job, name, usage.type, usage.span.start, usage.data)
        return
    shares = [share for _, share in parts]
    split = {
        each: shared_out(usage.data[each], shares=shares) for each in summed if each in usage.data
    }
    for number, (span, _) in enumerate(parts):
        data = usage.data | {each: quantities[number] for each, quantities in split.items()}
        yield _event(job, f"{name}:{number + 1}", usage.type, span.start, data)


def _summed(terms: VersionTerms, event_type: str) -> frozenset[str]:
    """Return the properties that are summed of a type; none where a meter does anything else."""
    meters = [meter for meter in terms.meters.values() if meter.event_type == event_type]
    if any(meter.aggregation != Aggregation.SUM for meter in meters):
        return frozenset()
    return frozenset(meter.value_property for meter in meters)


def _period_ends(job: Job, span: Span) -> list[datetime]:
    """Return the instants in a span at which a billing period of the customer ends."""
    found = []
    for one in subscriptions_in(customer_ids=[job.customer_id], start=span.start, end=span.end):
        at = max(span.start, one.starts_at)
        until = min(span.end, one.ends_at or span.end)
        while at < until:
            period = billing_period(anchor=one.anchor_date, zone=job.customer.time_zone, at=at)
            at = period.end
            found.append(period.end)
    return found


def _event(
    job: Job, name: str, event_type: str, time: datetime, data: dict[str, Any]
) -> CloudEvent:
    return CloudEvent(
        id=name,
        source=SOURCE,
        type=event_type,
        subject=job.workspace.key if job.workspace else job.customer.key,
        time=time,
        data=marked(
            data,
            service_class=job.service_class,
            promised_at=job.promised_start_at,
            started_at=job.started_at,
        ),
    )
