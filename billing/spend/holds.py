"""End the holds of jobs whose usage the rated spend knows."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection


class Released(NamedTuple):
    """A job's hold that ended: how much money of whom, and in which workspace ("" for none)."""

    job_id: int
    public_id: str
    customer_id: int
    workspace: str
    held: Decimal
    quantities: str


# Usage that lies ahead of the reading is not in it, though its transaction has ended.
_RELEASE = """
WITH n AS (
    SELECT * FROM unnest(%(customers)s::bigint[], %(horizons)s::bigint[]) AS n (id, horizon)),
known AS (
    SELECT j.id, j.customer_id, j.held, j.public_id, j.held_quantities,
        coalesce(w.key, '') AS workspace
    FROM n JOIN usage_job j ON j.customer_id = n.id AND j.settled_xid < n.horizon
    LEFT JOIN plans_workspace w ON w.id = j.workspace_id
    WHERE j.settled_at IS NOT NULL AND j.rated_at IS NULL
        AND NOT EXISTS (SELECT FROM usage_jobusage u
                        WHERE u.job_id = j.id AND u.billed AND u."time" >= %(now)s)
    ORDER BY j.id FOR UPDATE OF j)
UPDATE usage_job j SET held = 0, rated_at = %(now)s
FROM known WHERE j.id = known.id
RETURNING j.id, known.public_id::text, known.customer_id, known.workspace, known.held,
    known.held_quantities::text
"""


def release_holds(*, horizons: Mapping[int, int], now: datetime) -> list[Released]:
    """End the holds of jobs that were settled below their customer's horizon; return them.

    ``horizons`` are by customer id. The customers' rows of spend are locked before.
    """
    if not horizons:
        return []
    values: dict[str, Any] = {
        "customers": list(horizons),
        "horizons": list(horizons.values()),
        "now": now,
    }
    with connection.cursor() as cursor:
        cursor.execute(_RELEASE, values)
        return [Released(*row) for row in cursor.fetchall()]
