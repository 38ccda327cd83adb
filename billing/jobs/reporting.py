"""What jobs report: kept once for its key, metered, and held for."""

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from django.db import connection

from billing.jobs.errors import InvalidReport, KeyReused
from billing.jobs.holding import find_standing, hold_for
from billing.jobs.own_usage import version_terms
from billing.jobs.steps import Step
from billing.spend.margin import Standing
from billing.spend.pending import LOOSE, price_pending
from plans.rating.money import ZERO, minus
from usage.ingest import CloudEvent, find_fault, has_nul
from usage.job_metering import SOURCE, Reported, meter_reports
from usage.job_quantities import Cell, added, by_meter, read, stored, to_hold
from usage.limits import accepted_span
from usage.models import Job, JobAttempt
from usage.operations.ingest import load_types

REPORTS_MOST = 1_000
_Key = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Report(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """Usage of a job's attempt, once for its key in the job; ``type`` and ``data`` as an event's.

    ``time`` is when it was, now where it is not said. Usage that lasted from ``time`` until
    ``until`` is split where a billing period ends in between.
    """

    key: _Key
    type: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    data: dict[str, Any] = {}
    time: _Time | None = None
    until: _Time | None = None


_encoder = msgspec.json.Encoder(decimal_format="number")
_STORE = """
WITH r AS (
    SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS r
        (key text, type text, time timestamptz, until timestamptz, data jsonb, timed boolean)),
new AS (
    INSERT INTO usage_jobusage (job_id, attempt, key, type, "time", until, properties)
    SELECT %(job)s, %(attempt)s, key, type, "time", until, data FROM r ORDER BY key
    ON CONFLICT (job_id, key) DO NOTHING
    RETURNING key)
SELECT r.key, new.key IS NOT NULL,
    u.id IS NULL OR (u.type = r.type AND u.properties = r.data
        AND (NOT r.timed OR u."time" = r."time") AND u.until IS NOT DISTINCT FROM r.until)
FROM r LEFT JOIN new USING (key)
LEFT JOIN usage_jobusage u ON u.job_id = %(job)s AND u.key = r.key
"""


def check_reports(found: Step, reports: Sequence[Report]) -> None:
    """Raise InvalidReport for the first report that could not become an event."""
    if len(reports) > REPORTS_MOST:
        raise InvalidReport(f"At most {REPORTS_MOST} reports are taken at once.", field="usage")
    if len({report.key for report in reports}) < len(reports):
        raise InvalidReport("Two reports have the same key: use a key for each.", field="usage")
    types = load_types({report.type for report in reports})
    span = accepted_span(now=found.now)
    for place, report in enumerate(reports):
        where = f"usage[{place}]"
        event = CloudEvent(
            id=report.key,
            source=SOURCE,
            type=report.type,
            subject="",
            time=report.time or found.at,
            data=report.data,
        )
        fault = find_fault(event, types=types, span=span)
        if fault is not None:
            raise InvalidReport(fault.detail, field=f"{where}.{fault.field}")
        if has_nul(report.data):
            raise InvalidReport("A string contains a NUL character.", field=f"{where}.data")
        if report.until is not None and not (report.time and report.time < report.until):
            raise InvalidReport(
                "“until” lies after “time”, which must be said with it.", field=f"{where}.until"
            )
        if report.until is not None and report.until > span.newest:
            raise InvalidReport(
                "“until” lies too far ahead: report usage once it is there.", field=f"{where}.until"
            )


def take_reports(found: Step, reports: Sequence[Report], *, attempt: int) -> None:
    """Keep what is new of the reports of an attempt, and add it to what the job reported.

    Raises InvalidReport, and KeyReused where other usage was reported under a key.
    """
    if not reports:
        return
    check_reports(found, reports)
    new = _store(found, reports, attempt=attempt)
    fresh = [Reported(each.type, each.data) for each in reports if each.key in new]
    if fresh:
        before = read(found.job.reported.get(str(attempt), []))
        after = added(before, meter_reports(fresh))
        found.job.reported = {**found.job.reported, str(attempt): stored(after)}


def _store(found: Step, reports: Sequence[Report], *, attempt: int) -> set[str]:
    rows = [
        {
            "key": each.key,
            "type": each.type,
            "time": each.time or found.at,
            "until": each.until,
            "data": each.data,
            "timed": each.time is not None,
        }
        for each in reports
    ]
    values: dict[str, Any] = {
        "rows": _encoder.encode(rows).decode(),
        "job": found.job.pk,
        "attempt": attempt,
    }
    with connection.cursor() as cursor:
        cursor.execute(_STORE, values)
        answers = cursor.fetchall()
    for key, is_new, is_same in answers:
        if not is_new and not is_same:
            raise KeyReused(f"Other usage was reported under the key “{key}”.", field="usage")
    return {key for key, is_new, _ in answers if is_new}


def billable(job: Job, attempts: Collection[int]) -> dict[Cell, Decimal]:
    """Return what some of a job's attempts reported together."""
    return added(*(read(rows) for number, rows in job.reported.items() if int(number) in attempts))


def not_the_providers(job: Job) -> frozenset[int]:
    """Return the attempts that the provider has not failed: what they reported may be billed."""
    if not job.reported:
        return frozenset()
    failed = JobAttempt.objects.filter(job=job, cause=Job.Cause.PROVIDER)
    theirs = set(failed.values_list("number", flat=True))
    return frozenset(int(number) for number in job.reported if int(number) not in theirs)


def hold_reported(found: Step) -> None:
    """Hold for what the job has reported, and for what is still expected.

    Where the plan caps what a job costs at its hold, the hold stays as it is.
    """
    job = found.job
    standing = find_standing(job.customer, found.spend, at=found.now)
    reported = billable(job, not_the_providers(job))
    expected = read(job.held_quantities)
    terms = _job_terms(job)
    if terms.above_hold == "cap" and _outruns(expected, reported):
        return
    if LOOSE in expected and standing is not None:
        whole: Decimal = getattr(job, f"estimate_{terms.hold_at}")
        expected[LOOSE] = max(ZERO, minus(whole, price_pending(standing, reported).exact))
    hold_for(job, found.spend, to_hold(expected, reported), standing=standing)


def _outruns(expected: dict[Cell, Decimal], reported: dict[Cell, Decimal]) -> bool:
    held = by_meter(expected)
    return any(quantity > held.get(meter, ZERO) for meter, quantity in by_meter(reported).items())


def _job_terms(job: Job) -> Any:
    assert job.version_id is not None
    return version_terms(job.version_id).terms.jobs


def find_standing_of(found: Step) -> Standing | None:
    """Return what the job's customer has used, and on which terms."""
    return find_standing(found.job.customer, found.spend, at=found.now)
