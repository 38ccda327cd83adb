"""What is said of a job class, stored or not, as plain values."""

from decimal import Decimal
from typing import NamedTuple

from plans.grant_values import plain
from plans.models import JobClass


class ClassUsage(NamedTuple):
    """What a job uses of a meter, by its key, for a unit of input, until history says better."""

    meter: str
    low: Decimal
    expected: Decimal
    high: Decimal


class ClassSaid(NamedTuple):
    """All that is said of a job class: what a document states, and what a form asks for."""

    key: str
    name: str
    input_unit: str = "job"
    silence_seconds: int = 900
    usage: tuple[ClassUsage, ...] = ()


def class_said(row: JobClass) -> ClassSaid:
    """Return what a stored class says; its usage is read unless it was prefetched."""
    usage = sorted(row.usage.all(), key=lambda each: each.meter.key)
    return ClassSaid(
        key=row.key,
        name=row.name,
        input_unit=row.input_unit,
        silence_seconds=row.silence_seconds,
        usage=tuple(
            ClassUsage(each.meter.key, plain(each.low), plain(each.expected), plain(each.high))
            for each in usage
        ),
    )
