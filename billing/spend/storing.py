"""Write many rows of spend in one statement."""

import json
from collections.abc import Sequence

from django.db import connection

from billing.models import Spend

_COLUMNS = {
    "period_start": "timestamptz",
    "period_end": "timestamptz",
    "spent": "numeric",
    "usage_spent": "numeric",
    "by_workspace": "jsonb",
    "usage": "text",
    "horizon": "bigint",
    "seen": "bigint",
    "rated_at": "timestamptz",
    "ahead_at": "timestamptz",
    "problem_code": "text",
    "problem": "text",
    "pending": "jsonb",
    "held": "numeric",
    "held_by_workspace": "jsonb",
    "day_start": "timestamptz",
    "day_jobs": "jsonb",
    "day_spent_before": "numeric",
}
_STORE = f"""
UPDATE billing_spend s SET {", ".join(f"{name} = n.{name}" for name in _COLUMNS)}
FROM jsonb_to_recordset(%s::jsonb) AS n (
    customer_id bigint, {", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())})
WHERE s.customer_id = n.customer_id
"""  # noqa: S608


def store_spend(rows: Sequence[Spend]) -> None:
    """Store what a rating changes of rows that are locked; the counts of jobs are another's."""
    if not rows:
        return
    content = [
        {"customer_id": row.pk, **{name: getattr(row, name) for name in _COLUMNS}} for row in rows
    ]
    with connection.cursor() as cursor:
        cursor.execute(_STORE, [json.dumps(content, default=str)])
