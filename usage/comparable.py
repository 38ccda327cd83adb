"""What comparable jobs used for each unit of their input: what estimates rest on."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import groupby
from time import monotonic
from types import MappingProxyType
from typing import Any, NamedTuple

from usage.comparable_sample import PerInput, Sample
from usage.prepared import all_rows, first_row

NEWEST = 100
KEPT_FOR_S = 5.0
_NO_TIME, _KEPT_FOR = timedelta(0), timedelta(seconds=KEPT_FOR_S)


_Row = tuple[Any, ...]


class ComparableJob(NamedTuple):
    """A job that succeeded; ``dimensions`` are the property values that were known beforehand."""

    dimensions: Mapping[str, str]
    used: tuple[PerInput, ...]


class ComparableJobs:
    """Comparable jobs, the newest first, with the samples that were taken of them."""

    def __init__(self, jobs: Sequence[ComparableJob]) -> None:
        self._all = Sample([job.used for job in jobs])
        by_values: dict[frozenset[tuple[str, str]], list[tuple[PerInput, ...]]] = {}
        for job in jobs:
            by_values.setdefault(frozenset(job.dimensions.items()), []).append(job.used)
        self._alike = {values: Sample(used) for values, used in by_values.items()}

    def __len__(self) -> int:
        """Return how many jobs there are."""
        return len(self._all)

    def sample(self, *, known: Mapping[str, str], least: int) -> Sample:
        """Return the jobs that had the same values known beforehand, or all where these are few."""
        alike = self._alike.get(frozenset(known.items()))
        return self._all if alike is None or len(alike) < least else alike


# The newest of them all is one look at the index of each customer's jobs that succeeded, whichever
# ended at the same time.
LAST_OF_CUSTOMER = """
SELECT last.id FROM usage_job last
WHERE last.state = 'succeeded' AND last.customer_id = {customer} AND last.job_class_id = {job_class}
    AND last.ended_at <= {at} AND last.input_size > 0
ORDER BY last.ended_at DESC, last.id DESC LIMIT 1
"""
_LAST = LAST_OF_CUSTOMER.format(customer="%(customer)s", job_class="%(job_class)s", at="%(at)s")

# The inner query is one scan of an index of jobs that succeeded, whichever it is.
_NEWEST = """
WITH newest AS MATERIALIZED (
    SELECT j.id, j.dimensions, j.ended_at FROM {whose}
        AND j.state = 'succeeded' AND j.input_size > 0
    ORDER BY j.ended_at DESC LIMIT %(limit)s)
SELECT n.id, n.dimensions::text, q.meter, q.dimensions::text, q.per_input
FROM newest n LEFT JOIN usage_jobquantity q ON q.job_id = n.id
ORDER BY n.ended_at DESC, n.id DESC, q.id
"""
_UP_TO = _NEWEST.format(
    whose="""usage_job last JOIN usage_job j ON j.customer_id = last.customer_id
    AND j.job_class_id = last.job_class_id AND j.ended_at <= last.ended_at
    WHERE last.id = %(last)s"""
)
_OF_CLASS = _NEWEST.format(
    whose="usage_job j WHERE j.job_class_id = %(job_class)s AND j.ended_at <= %(at)s"
)


def newest_of_customer(*, customer_id: int, job_class_id: int, at: datetime) -> ComparableJobs:
    """Return a customer's newest jobs of a class that had succeeded by an instant.

    A job without any usage is one, too.
    """
    asked = {"customer": customer_id, "job_class": job_class_id, "at": at}
    found = first_row(_LAST, asked)
    return newest_up_to(found and found[0])


# What a job used never changes, so these change with the last of them: a job whose end is told late
# is seen from the next one on. A thousand customers' jobs are some 20 MB of a process.
@lru_cache(maxsize=1024)
def newest_up_to(job_id: int | None) -> ComparableJobs:
    """Return the newest jobs of a job's customer and class up to its end; none of none."""
    if job_id is None:
        return ComparableJobs([])
    return ComparableJobs(list(_jobs(all_rows(_UP_TO, {"last": job_id, "limit": NEWEST}))))


class _Kept(NamedTuple):
    jobs: ComparableJobs
    rows: list[_Row]
    at: datetime
    read_at_s: float


_kept: dict[int, _Kept] = {}


def newest_of_class(*, job_class_id: int, at: datetime) -> ComparableJobs:
    """Return the newest jobs of a class over all customers, as they stood at most 5 s before.

    They are the same for everyone who asks, so each process reads them once in a while. Seconds
    are exact enough: the range of a hundred others' jobs does not hang on the last of them.
    """
    kept, now_s = _kept.get(job_class_id), monotonic()
    if (
        kept is None
        or now_s - kept.read_at_s > KEPT_FOR_S
        or not _NO_TIME <= at - kept.at <= _KEPT_FOR
    ):
        asked = {"job_class": job_class_id, "at": at, "limit": NEWEST}
        rows = all_rows(_OF_CLASS, asked)
        # What was worked out of the same jobs is kept with them.
        same = kept is not None and kept.rows == rows
        jobs = kept.jobs if kept and same else ComparableJobs(list(_jobs(rows)))
        kept = _kept[job_class_id] = _Kept(jobs, rows, at, now_s)
    return kept.jobs


def _jobs(rows: list[_Row]) -> Iterator[ComparableJob]:
    for (_, dimensions), group in groupby(rows, key=lambda row: row[:2]):
        used = tuple(
            PerInput(meter, _values(values), quantity)
            for _, _, meter, values, quantity in group
            if meter is not None
        )
        yield ComparableJob(_known(dimensions), used)


# Few different ones, many times: reading each text once saves a third of an estimate.
@lru_cache(maxsize=4096)
def _values(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


@lru_cache(maxsize=4096)
def _known(text: str) -> Mapping[str, str]:
    return MappingProxyType(json.loads(text))
