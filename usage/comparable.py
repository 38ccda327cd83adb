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
from usage.prepared import all_rows

NEWEST = 100
KEPT_FOR_S = 5.0


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


# The inner query is one scan of an index of jobs that succeeded, whichever it is.
_NEWEST = """
WITH newest AS MATERIALIZED (
    SELECT id, dimensions, ended_at FROM usage_job
    WHERE state = 'succeeded' AND job_class_id = %(job_class)s AND ended_at <= %(at)s
        AND input_size > 0 {whose}
    ORDER BY ended_at DESC LIMIT %(limit)s)
SELECT n.id, n.dimensions::text, q.meter, q.dimensions::text, q.per_input
FROM newest n LEFT JOIN usage_jobquantity q ON q.job_id = n.id
ORDER BY n.ended_at DESC, n.id DESC, q.id
"""
_OF_CUSTOMER = _NEWEST.format(whose="AND customer_id = %(customer)s")
_OF_ALL = _NEWEST.format(whose="")


def newest_jobs(
    *, job_class_id: int, customer_id: int | None, at: datetime, limit: int = NEWEST
) -> ComparableJobs:
    """Return the newest jobs of a class that had succeeded by an instant, the newest first.

    Of one customer, or of all where that is None. A job without any usage is one, too.
    """
    values = {"job_class": job_class_id, "customer": customer_id, "at": at, "limit": limit}
    statement = _OF_ALL if customer_id is None else _OF_CUSTOMER
    return ComparableJobs(list(_jobs(all_rows(statement, values))))


class _Kept(NamedTuple):
    jobs: ComparableJobs
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
        or not timedelta(0) <= at - kept.at <= timedelta(seconds=KEPT_FOR_S)
    ):
        jobs = newest_jobs(job_class_id=job_class_id, customer_id=None, at=at)
        kept = _kept[job_class_id] = _Kept(jobs, at, now_s)
    return kept.jobs


_Row = tuple[Any, ...]


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
