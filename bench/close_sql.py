"""The close as one SQL statement: what `close_vs_sql` divides by.

It adds up the month's events, prices them and inserts the lines, and nothing more: no statement,
no explanation, no hash, no plan that could have been another. The prices stand in it as numbers.
A run fails where its lines differ from those of the close.
"""

import time
from datetime import datetime
from typing import NamedTuple

from bench.database import direct_connection, settle
from bench.processes import backend_cpu_s
from bench.world import (
    CALL_RATES,
    FEE,
    GPU_SECOND,
    MONTH_END,
    MONTH_START,
    PACKAGE,
    TIERS,
    TOKENS_UNIT,
)

_MAKE_TABLE = """
DROP TABLE IF EXISTS bench_line;
CREATE TABLE bench_line (LIKE billing_statementline INCLUDING ALL);
"""

_FIRST, _SECOND, _LAST = TIERS
_TIERED = f"""round((least(quantity, {_FIRST[0]}) * {_FIRST[1]}
        + greatest(least(quantity, {_SECOND[0]}) - {_FIRST[0]}, 0) * {_SECOND[1]}
        + greatest(quantity - {_SECOND[0]}, 0) * {_LAST[1]}) / {TOKENS_UNIT}, 2)"""
_RATE = (
    "CASE cell " + " ".join(f"WHEN '{name}' THEN {rate}" for name, rate in CALL_RATES.items())
    + " END"
)  # fmt: skip

_CLOSE = f"""
WITH used AS (
    SELECT customer_id, type,
           CASE WHEN type = 'job.calls' THEN properties->>'class' END AS cell,
           sum(CASE WHEN type = 'job.calls' THEN 1
                    ELSE (properties->>'amount')::numeric END) AS quantity
    FROM usage_event WHERE "time" >= %(start)s AND "time" < %(end)s
    GROUP BY 1, 2, 3
),
priced AS (
    SELECT customer_id, 1 AS position, NULL AS meter, 'fee' AS price, '' AS line,
           'Platform fee' AS description, 0::numeric AS used, 1::numeric AS quantity,
           {FEE}::numeric AS amount
    FROM plans_subscription WHERE starts_at < %(end)s
    UNION ALL
    SELECT customer_id,
           CASE type WHEN 'job.tokens' THEN 2 WHEN 'job.gpu' THEN 3 WHEN 'job.images' THEN 4
               ELSE 5 END,
           CASE type WHEN 'job.tokens' THEN 'tokens' WHEN 'job.gpu' THEN 'gpu-seconds'
               WHEN 'job.images' THEN 'images' ELSE 'calls' END,
           CASE type WHEN 'job.tokens' THEN 'tokens' WHEN 'job.gpu' THEN 'gpu'
               WHEN 'job.images' THEN 'images' ELSE 'calls' END,
           coalesce(cell, ''),
           CASE type WHEN 'job.tokens' THEN 'Tokens' WHEN 'job.gpu' THEN 'GPU'
               WHEN 'job.images' THEN 'Images' ELSE 'Calls, ' || cell || ' models' END,
           quantity, quantity,
           CASE type WHEN 'job.tokens' THEN {_TIERED}
               WHEN 'job.gpu' THEN round(quantity * {GPU_SECOND}, 2)
               WHEN 'job.images' THEN ceil(quantity / {PACKAGE[1]}) * {PACKAGE[0]}
               ELSE round(quantity * {_RATE}, 2) END
    FROM used
)
INSERT INTO bench_line (statement_id, position, kind, version_id, meter_id, price_key, line_key,
    description, period_start, period_end, unit, usage_quantity, quantity, amount, explanation)
SELECT p.customer_id, p.position, 'charge', v.id, m.id, p.price, p.line, p.description,
       %(start)s, %(end)s, coalesce(m.unit, ''), p.used, p.quantity, p.amount, '{{}}'
FROM priced p CROSS JOIN plans_planversion v LEFT JOIN plans_meter m ON m.key = p.meter
"""

_DIFFERENT = """
SELECT count(*)
FROM (SELECT s.customer_id, l.position, l.price_key, l.line_key, l.description, l.version_id,
             l.meter_id, l.period_start, l.period_end, l.unit, l.usage_quantity, l.quantity,
             l.amount
      FROM billing_statementline l JOIN billing_statement s ON s.id = l.statement_id) AS a
FULL JOIN bench_line b ON b.statement_id = a.customer_id AND b.position = a.position
WHERE (a.price_key, a.line_key, a.description, a.version_id, a.meter_id, a.period_start,
       a.period_end, a.unit, a.usage_quantity, a.quantity, a.amount)
    IS DISTINCT FROM
      (b.price_key, b.line_key, b.description, b.version_id, b.meter_id, b.period_start,
       b.period_end, b.unit, b.usage_quantity, b.quantity, b.amount)
"""


class Spent(NamedTuple):
    """What the statement took: wall clock, and CPU of its backend."""

    seconds: float
    database_cpu_s: float


def close_by_sql() -> Spent:
    """Insert all lines by one statement into a new table; return what it took."""
    span: dict[str, datetime] = {"start": MONTH_START, "end": MONTH_END}
    with direct_connection(autocommit=True) as connection:
        connection.execute(_MAKE_TABLE)
        connection.execute("SET work_mem = '512MB'")
        settle()
        backend = connection.info.backend_pid
        cpu, started = backend_cpu_s(backend), time.perf_counter()
        connection.execute(_CLOSE, span)
        return Spent(time.perf_counter() - started, backend_cpu_s(backend) - cpu)


def differing_lines() -> int:
    """Return how many lines of the close differ from those of the SQL statement."""
    with direct_connection(autocommit=True) as connection:
        connection.execute("ANALYZE bench_line, billing_statement, billing_statementline")
        connection.execute("SET work_mem = '256MB'")
        row = connection.execute(_DIFFERENT).fetchone()
        assert row is not None
        return int(row[0])
