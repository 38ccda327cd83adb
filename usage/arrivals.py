"""Whose usage came since a horizon."""

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
