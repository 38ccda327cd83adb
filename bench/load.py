"""Fill tables with many events by SQL, in time order and customers scattered, as they would lie."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from bench.database import direct_connection
from bench.events import SOURCE
from bench.world import CLASSES, KINDS
from usage.operations.partitions import ensure_partitions, month_of

# One row for each number from %(first)s below %(last)s; the numbers are spread evenly over the
# span. What is random about an event follows from its number by a hash.
_GENERATED = f"""
SELECT %(start)s + (i - %(base)s) * %(step)s AS "time", i,
       (ARRAY{[kind.type for kind in KINDS]})[1 + i %% {len(KINDS)}] AS type,
       (hashint8extended(i, 1) & 2147483647) %% %(customers)s AS customer,
       hashint8extended(i, 2) & 2147483647 AS noise
FROM generate_series(%(first)s, %(last)s - 1) AS i
"""

# Laid out as UUIDv7.
_ID = """(SELECT substr(clock, 1, 8) || '-' || substr(clock, 9) || '-7' || substr(rest, 1, 3)
              || '-8' || substr(rest, 4, 3) || '-' || substr(rest, 7, 12)
       FROM (SELECT lpad(to_hex((extract(epoch FROM g."time") * 1000)::bigint), 12, '0') AS clock,
                    md5(g.i::text) AS rest) AS parts)"""

_COUNTED = [kind.type for kind in KINDS if kind.is_counted]
_EVENTS = f"""
INSERT INTO usage_event ("time", customer_id, workspace_id, xid, recorded_at, type, source,
    event_id, properties)
SELECT g."time", %(first_id)s + g.customer, NULL, x.xid, g."time", g.type, '{SOURCE}', {_ID},
       jsonb_strip_nulls(jsonb_build_object(
           'class', (ARRAY{list(CLASSES)})[1 + g.customer %% {len(CLASSES)}],
           'job', 'job-' || g.i,
           'amount', CASE g.type WHEN 'job.tokens' THEN 1 + g.noise %% 20000
               WHEN 'job.gpu' THEN (1 + g.noise %% 900000) / 1000.0
               WHEN 'job.images' THEN 1 + g.noise %% 8 END))
FROM ({_GENERATED}) AS g, (SELECT usage_xid() AS xid OFFSET 0) AS x
"""

_KEYS = f"""
INSERT INTO usage_eventkey (source, event_id, customer_id, "time")
SELECT '{SOURCE}', {_ID}, %(first_id)s + g.customer, g."time" FROM ({_GENERATED}) AS g
"""

_CHUNK = 100_000


class Span:
    """``count`` events spread evenly over ``[start, end)`` and at random over the customers."""

    def __init__(
        self, *, count: int, start: datetime, end: datetime, customers: int, first_id: int
    ) -> None:
        self.count, self.start, self.end = count, start, end
        self._fixed = {
            "start": start,
            "step": (end - start) / count,
            "base": 0,
            "customers": customers,
            "first_id": first_id,
        }

    def parameters(self, first: int, last: int) -> dict[str, object]:
        """Return what generates the events from number ``first`` to below ``last``."""
        return {**self._fixed, "first": first, "last": last}


def load_events_and_keys(span: Span) -> None:
    """Insert the span's events, and at the same time their keys, in time order."""
    _make_partitions(span)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(_load_all, statement, span) for statement in (_EVENTS, _KEYS)]:
            done.result()


def load_events(span: Span, *, first: int, last: int) -> None:
    """Insert the span's events from number ``first`` to below ``last``, in one transaction."""
    _make_partitions(span)
    with direct_connection() as connection:
        connection.execute(_EVENTS, span.parameters(first, last))


def _load_all(statement: str, span: Span) -> None:
    with direct_connection(autocommit=True) as connection:
        for first in range(0, span.count, _CHUNK):
            last = min(first + _CHUNK, span.count)
            connection.execute(statement, span.parameters(first, last))


def _make_partitions(span: Span) -> None:
    ensure_partitions({month_of(span.start), month_of(span.end - timedelta(microseconds=1))})
