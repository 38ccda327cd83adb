"""What a job costs above what was held for it at admission, as its plan says."""

from collections.abc import Collection
from decimal import Decimal

from django.db import connection

from billing.jobs.steps import Step
from billing.spend.margin import Standing
from billing.spend.pending import price_pending
from plans.rating.money import ZERO, minus
from usage.job_metering import Reported, exact_json, meter_each
from usage.job_quantities import Cell, Quantities, added, read, without
from usage.models import Job, JobStep, JobUsage

_IN_ORDER = """
SELECT id, type, properties::text FROM usage_jobusage
WHERE job_id = %s AND attempt = ANY(%s) ORDER BY "time", id
"""


def hold_at_admission(job: Job) -> Decimal:
    """Return what was held for a job when it was admitted."""
    step = JobStep.objects.get(job=job, key="admit")
    return Decimal(step.answer["body"]["held"])


def leave_out_above_hold(
    found: Step, *, attempts: Collection[int], own: Quantities, standing: Standing | None
) -> dict[Cell, Decimal]:
    """Bill a job's reports in the order of time as far as its hold goes, and return what that is.

    A report that would go beyond it is not billed, nor is any after it: the job costs no more than
    its hold, and the customer's usage says the same as its statement. The job itself counts first.
    """
    most = hold_at_admission(found.job)
    rest = without(read(found.spend.pending), read(found.job.held_quantities))
    before = price_pending(standing, rest).exact if standing else ZERO
    billed, used = list[int](), dict(own)
    for usage_id, quantities in _reports(found.job, attempts):
        more = added(used, quantities)
        if standing and minus(price_pending(standing, added(rest, more)).exact, before) > most:
            break
        used = more
        billed.append(usage_id)
    left_out = JobUsage.objects.filter(job=found.job).exclude(pk__in=billed)
    left_out.update(billed=False)
    return used


def note_unpaid(found: Step) -> None:
    """Keep what a job cost above its hold: no other is admitted before that is on a statement."""
    job, spend = found.job, found.spend
    cost = minus(job.amount or ZERO, job.service_credit)
    over = minus(cost, hold_at_admission(job))
    if over > 0:
        spend.unpaid += over
        spend.unpaid_at = job.ended_at
        spend.save(update_fields=["unpaid", "unpaid_at"])


def _reports(job: Job, attempts: Collection[int]) -> list[tuple[int, dict[Cell, Decimal]]]:
    with connection.cursor() as cursor:
        cursor.execute(_IN_ORDER, [job.pk, list(attempts)])
        rows = cursor.fetchall()
    metered = meter_each([Reported(kind, exact_json(data)) for _, kind, data in rows])
    return [(row[0], quantities) for row, quantities in zip(rows, metered, strict=True)]
