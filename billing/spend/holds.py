"""End the holds of jobs whose usage the rated spend knows."""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

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
_SETTLED = """
SELECT j.customer_id, j.id FROM usage_job j
WHERE j.customer_id = ANY(%(customers)s) AND j.settled_at IS NOT NULL AND j.rated_at IS NULL
    AND j.ended_at < %(until)s
    AND NOT EXISTS (SELECT FROM usage_jobusage u
                    WHERE u.job_id = j.id AND u.billed AND u."time" >= %(until)s)
"""
_RELEASE = """
WITH known AS (
    SELECT j.id, j.customer_id, j.held, j.public_id, j.held_quantities,
        coalesce(w.key, '') AS workspace
    FROM usage_job j LEFT JOIN plans_workspace w ON w.id = j.workspace_id
    WHERE j.id = ANY(%(jobs)s) AND j.rated_at IS NULL
    ORDER BY j.id FOR UPDATE OF j)
UPDATE usage_job j SET held = 0, rated_at = %(now)s
FROM known WHERE j.id = known.id
RETURNING j.id, known.public_id::text, known.customer_id, known.workspace, known.held,
    known.held_quantities::text
"""


def settled_jobs(*, customer_ids: Collection[int], until: datetime) -> dict[int, list[int]]:
    """Return the jobs, by customer, that stand for usage which a reading until an instant holds.

    That is true of readings in the same snapshot alone: a job and its usage are stored at once.
    """
    found: dict[int, list[int]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_SETTLED, {"customers": list(customer_ids), "until": until})
        for customer_id, job_id in cursor.fetchall():
            found[customer_id].append(job_id)
    return found


def release_holds(*, job_ids: Collection[int], now: datetime) -> list[Released]:
    """End the holds of jobs, each once; return those that ended now.

    Their customers' rows of spend are locked before.
    """
    if not job_ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_RELEASE, {"jobs": list(job_ids), "now": now})
        return [Released(*row) for row in cursor.fetchall()]
