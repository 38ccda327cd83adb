"""Define the kinds of jobs that services ask admission for."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Literal

from django.db import transaction

from plans import locks
from plans.errors import OperationError, Problem, refusing
from plans.job_classes import ClassSaid, ClassUsage, class_said
from plans.models import JobClass, JobClassUsage, Meter
from plans.operations.versions import clean_problems, refuse_invalid


class JobClassKeyTaken(OperationError):
    """Another job class has the key."""

    code = "job_class_key_taken"


def create_job_class(*, said: ClassSaid) -> JobClass:
    """Create a job class that there is not yet. Raises PlanInvalid, JobClassKeyTaken."""
    refusal = JobClassKeyTaken(
        f"There is another job class with the key “{said.key}”.", field="key"
    )
    with refusing({"plans_jobclass_key_key": refusal}):
        return _store(JobClass(key=said.key), said)


@transaction.atomic
def change_job_class(*, job_class: JobClass, said: ClassSaid) -> JobClass:
    """Give a job class exactly this name, input, silence and usage; its key stays.

    Raises PlanInvalid.
    """
    row = locks.job_class(job_class_id=job_class.pk)
    if said.key != row.key:
        message = f"Terms and services name the class “{row.key}”: define another one instead."
        refuse_invalid((Problem("key_fixed", "key", message),))
    return _store(row, said)


@transaction.atomic
def define_job_class(*, said: ClassSaid) -> Literal["created", "changed", "unchanged"]:
    """Create a job class, or bring it up to date; say what was done. Raises PlanInvalid."""
    row = JobClass.objects.filter(key=said.key).first()
    if row is None:
        create_job_class(said=said)
        return "created"
    if class_said(row) == said._replace(usage=tuple(sorted(said.usage))):
        return "unchanged"
    change_job_class(job_class=row, said=said)
    return "changed"


def class_problems(said: ClassSaid) -> tuple[Problem, ...]:
    """Return what is wrong with a job class, without the database; meters may be unknown."""
    row = JobClass(
        key=said.key,
        name=said.name,
        input_unit=said.input_unit,
        silence_seconds=said.silence_seconds,
    )
    return (*clean_problems(row), *_usage_problems(said.usage))


def _usage_problems(usage: Sequence[ClassUsage]) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, each in enumerate(usage):
        path = f"usage[{index}]"
        if each.meter in seen:
            message = f"The class states “{each.meter}” already: keep one."
            yield Problem("meter_twice", f"{path}.meter", message)
        seen.add(each.meter)
        if not Decimal(0) <= each.low <= each.expected <= each.high:
            message = "Low is at most what is expected, and that at most high: put them in order."
            yield Problem("usage_out_of_order", f"{path}.expected", message)


@transaction.atomic
def _store(row: JobClass, said: ClassSaid) -> JobClass:
    refuse_invalid(class_problems(said))
    meters = Meter.objects.in_bulk([each.meter for each in said.usage], field_name="key")
    refuse_invalid(
        tuple(
            Problem("unknown_meter", f"usage[{index}].meter", f"There is no meter “{each.meter}”.")
            for index, each in enumerate(said.usage)
            if each.meter not in meters
        )
    )
    row.name, row.input_unit = said.name, said.input_unit
    row.silence_seconds = said.silence_seconds
    row.save()
    row.usage.all().delete()
    JobClassUsage.objects.bulk_create(
        JobClassUsage(
            job_class=row,
            meter=meters[each.meter],
            low=each.low,
            expected=each.expected,
            high=each.high,
        )
        for each in said.usage
    )
    return row
