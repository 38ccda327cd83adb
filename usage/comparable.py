"""What comparable jobs used for each unit of their input: what estimates rest on."""

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple

from django.db import connection

NEWEST = 200


class PerInput(NamedTuple):
    """What a job used of a meter, by the values of its dimensions, for each unit of its input."""

    meter: str
    dimensions: tuple[str, ...]
    quantity: Decimal


class ComparableJob(NamedTuple):
    """A job that succeeded; ``dimensions`` are the property values that were known beforehand."""

    dimensions: dict[str, str]
    used: tuple[PerInput, ...]


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
) -> list[ComparableJob]:
    """Return the newest jobs of a class that had succeeded by an instant, the newest first.

    Of one customer, or of all where that is None. A job without any usage is one, too.
    """
    values = {"job_class": job_class_id, "customer": customer_id, "at": at, "limit": limit}
    with connection.cursor() as cursor:
        cursor.execute(_OF_ALL if customer_id is None else _OF_CUSTOMER, values)
        rows = cursor.fetchall()
    return list(_jobs(rows))


_Row = tuple[int, str, str | None, str, Decimal]


def _jobs(rows: list[_Row]) -> Iterator[ComparableJob]:
    for (_, dimensions), group in groupby(rows, key=lambda row: row[:2]):
        used = tuple(
            PerInput(meter, tuple(json.loads(values)), quantity)
            for _, _, meter, values, quantity in group
            if meter is not None
        )
        yield ComparableJob(json.loads(dimensions), used)
