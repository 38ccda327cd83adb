"""Whose usage came since a horizon."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from django.db import connection


class Arrival(NamedTuple):
    """A customer, and the transaction that stored its latest usage."""

    customer_id: int
    xid: int


_SINCE = """
SELECT customer_id, max(xid) FROM usage_event WHERE xid >= %s GROUP BY customer_id
ORDER BY min(xid) LIMIT %s
"""


def customers_with_usage(*, since: int, limit: int) -> list[Arrival]:
    """Return the customers with usage stored at or above a horizon, whose came first first.

    In one query over the index of transaction numbers.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SINCE, [since, limit])
        return [Arrival(*row) for row in cursor.fetchall()]


_AHEAD = """
SELECT customer_id, min("time") FROM usage_event
WHERE customer_id = ANY(%s) AND "time" >= %s GROUP BY customer_id
"""


def first_usage_ahead(*, customer_ids: Collection[int], of: datetime) -> dict[int, datetime]:
    """Return when the first usage at or after an instant is, of the customers that have any.

    Senders' clocks run ahead, and usage is stored while a reading up to its instant is made.
    """
    with connection.cursor() as cursor:
        cursor.execute(_AHEAD, [list(customer_ids), of])
        return dict(cursor.fetchall())
