"""What the jobs behind outcomes cost: as they were rated, and what their providers charged.

A claim names a job by its service's key or by its id. Behind it lies that job with all its steps,
but for steps that other outcomes name: these are behind those. What several outcomes name is shared
out among them evenly, so no job counts twice, in whichever months and contracts they are.
"""

from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection

# A report of a job may carry what the provider charged for it, as LiteLLM's callbacks do: `cost`,
# in USD unless `cost_currency` says another. What is in another currency is not known here.
_COSTS = """
WITH RECURSIVE claimed AS (
    SELECT o.contract_id, o.customer_id, o.job FROM usage_outcome o
    JOIN plans_customer c ON c.id = o.customer_id
    WHERE o.job <> '' AND o.happened_at >= %(start)s::timestamp AT TIME ZONE c.time_zone
        AND o.happened_at < %(end)s::timestamp AT TIME ZONE c.time_zone
),
linked AS (
    SELECT n.contract_id, n.customer_id, j.id AS root, sum(n.named) AS named
    FROM (SELECT contract_id, customer_id, job, count(*) AS named FROM claimed GROUP BY 1, 2, 3) n
    JOIN LATERAL (
        SELECT id FROM usage_job WHERE customer_id = n.customer_id AND key = n.job
        UNION
        SELECT id FROM usage_job WHERE customer_id = n.customer_id AND public_id = CASE
            WHEN n.job ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN n.job::uuid END
        ORDER BY id LIMIT 1) AS j ON true
    GROUP BY 1, 2, 3
),
below AS (
    SELECT DISTINCT root, root AS id FROM linked
    UNION ALL
    SELECT b.root, j.id FROM below b JOIN usage_job j ON j.parent_id = b.id
    WHERE NOT EXISTS (
        SELECT 1 FROM usage_outcome o
        WHERE o.customer_id = j.customer_id AND o.job IN (j.key, j.public_id::text)
            AND o.job <> '')
),
charged AS (
    SELECT u.job_id, sum((u.properties ->> 'cost')::numeric) AS cost FROM usage_jobusage u
    JOIN below b ON b.id = u.job_id
    JOIN usage_job j ON j.id = u.job_id JOIN plans_customer c ON c.id = j.customer_id
    WHERE coalesce(u.properties ->> 'cost_currency', 'USD') = c.currency
        AND u.properties ->> 'cost' ~ '^[0-9]{1,20}([.][0-9]{1,20})?([eE][-+]?[0-9]{1,2})?$'
    GROUP BY 1
),
trees AS (
    SELECT b.root, count(*) AS jobs, count(j.amount) AS settled,
        sum(j.amount - j.service_credit) AS rated,
        count(charged.cost) AS charged, sum(charged.cost) AS cost
    FROM below b JOIN usage_job j ON j.id = b.id LEFT JOIN charged ON charged.job_id = b.id
    GROUP BY 1
),
shared AS (
    SELECT t.*, (
        SELECT count(*) FROM usage_outcome o
        WHERE o.customer_id = j.customer_id AND o.job IN (j.key, j.public_id::text)) AS named
    FROM trees t JOIN usage_job j ON j.id = t.root
)
SELECT l.contract_id, coalesce(l.customer_id, 0), sum(l.named), sum(s.jobs), sum(s.settled),
    sum(s.rated * l.named / s.named), sum(s.charged), sum(s.cost * l.named / s.named)
FROM linked l JOIN shared s USING (root)
GROUP BY GROUPING SETS ((l.contract_id, l.customer_id), (l.contract_id))
"""


class JobCost(NamedTuple):
    """What lies behind outcomes: so many outcomes name so many jobs, with their steps.

    ``rated`` is what they came to at their customer's terms, of those that are settled;
    ``charged`` what providers charged, of ``jobs_charged`` that say so. Both are exact, in the
    customer's currency, and None where nothing is known.
    """

    outcomes: int
    jobs: int
    jobs_settled: int
    rated: Decimal | None
    jobs_charged: int
    charged: Decimal | None


def job_costs(*, start: date, end: date) -> dict[tuple[int, int], JobCost]:
    """Return the cost behind outcomes that happened in ``[start, end)`` of their customer's zone.

    By contract and customer, and by contract and 0 for all its customers.
    """
    span: dict[str, Any] = {"start": start, "end": end}
    with connection.cursor() as cursor:
        cursor.execute(_COSTS, span)
        return {(row[0], row[1]): JobCost(*row[2:]) for row in cursor.fetchall()}
