"""The SQL of ingest.

Large parameters go as one JSON document: it is what PostgreSQL takes fastest.
"""

from typing import Any

from usage.ingest import as_text

METERS_OF_TYPES = """
SELECT event_type, key, aggregation, value_property, dimensions, filters::text
FROM plans_meter
WHERE event_type IN (SELECT jsonb_array_elements_text(%s::jsonb))
ORDER BY id
"""

LIVE_API_KEY = "SELECT {columns} FROM usage_apikey WHERE digest = %s AND revoked_at IS NULL"

SUBJECTS = """
SELECT key, customer_id, workspace_id
FROM plans_subject
WHERE key = ANY (ARRAY(SELECT jsonb_array_elements_text(%s::jsonb)))
"""

# Takes a list of rows, each a list (source, id, type, time, subject, properties), which is read in
# half the time that objects take. Returns how many were new; rows whose subject nobody has are
# passed over. The keys go in order, so that batches with the same keys wait for each other and
# never deadlock; the events by customer, which keeps what a batch writes to the index on customer
# and time together.
INSERT_EVENTS = """
WITH r AS (
    SELECT e ->> 0 AS s, e ->> 1 AS i, e ->> 2 AS y, (e ->> 3)::timestamptz AS t, e -> 5 AS p,
        owner.customer_id AS c, owner.workspace_id AS w
    FROM jsonb_array_elements(%s::jsonb) AS e JOIN plans_subject owner ON owner.key = e ->> 4
),
new AS (
    INSERT INTO usage_eventkey (source, event_id, customer_id, "time")
    SELECT s, i, c, t FROM r ORDER BY s, i
    ON CONFLICT DO NOTHING
    RETURNING source, event_id
),
stored AS (
    INSERT INTO usage_event
        ("time", customer_id, workspace_id, xid, recorded_at, type, source, event_id, properties)
    SELECT r.t, r.c, r.w, (SELECT usage_xid()), %s, r.y, r.s, r.i, r.p
    FROM r JOIN new ON new.source = r.s AND new.event_id = r.i
    ORDER BY r.c, r.t
    RETURNING 1
)
SELECT count(*) FROM stored
"""

# `n` is the caller's reference; `u` marks an event that came without a time of its own.
COMPARE_EVENTS = """
SELECT r.n, e.type = r.y AND e.customer_id = r.c AND e.workspace_id IS NOT DISTINCT FROM r.w
    AND e.properties = r.p AND (r.u OR e."time" = r.t)
FROM jsonb_to_recordset(%s::jsonb) AS r
    (n bigint, u boolean, s text, i text, y text, t timestamptz, c bigint, w bigint, p jsonb)
JOIN usage_eventkey k ON k.source = r.s AND k.event_id = r.i
JOIN usage_event e ON e.customer_id = k.customer_id AND e."time" = k."time"
    AND e.source = k.source AND e.event_id = k.event_id
"""

# Returns the references of those that are held already with other content.
QUARANTINE_EVENTS = """
WITH r AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS r
        (n bigint, u boolean, s text, i text, code text, reason text, payload jsonb)
),
new AS (
    INSERT INTO usage_quarantinedevent
        (source, event_id, code, reason, payload, received_at, dismissed_reason)
    SELECT s, i, code, reason, payload, %s, '' FROM r ORDER BY s, i
    ON CONFLICT (source, event_id) DO NOTHING
)
SELECT r.n FROM r JOIN usage_quarantinedevent q ON q.source = r.s AND q.event_id = r.i
WHERE CASE WHEN r.u THEN q.payload - 'time' <> r.payload - 'time' ELSE q.payload <> r.payload END
"""

# Waiting for what is there by now. One that failed for another reason waits for a person.
REPLAYABLE = """
SELECT q.id FROM usage_quarantinedevent q
WHERE q.replayed_at IS NULL AND q.dismissed_at IS NULL AND q.id > %s
    AND q.code IN ('unknown_subject', 'unknown_type')
    AND EXISTS (SELECT FROM plans_subject s WHERE s.key = q.payload ->> 'subject')
    AND EXISTS (SELECT FROM plans_meter m WHERE m.event_type = q.payload ->> 'type')
ORDER BY q.id LIMIT %s
"""

WAITING_OF = """
SELECT id FROM usage_quarantinedevent
WHERE id = ANY(%s) AND replayed_at IS NULL AND dismissed_at IS NULL AND id > %s
ORDER BY id LIMIT %s
"""

WAITING = """
SELECT q.code, payload ->> CASE q.code WHEN 'unknown_subject' THEN 'subject' ELSE 'type' END,
    count(*), min(q.received_at)
FROM usage_quarantinedevent q
WHERE q.replayed_at IS NULL AND q.dismissed_at IS NULL
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT %s
"""


def filter_texts(wanted: Any) -> frozenset[str]:
    """Return the values that a meter's filter accepts for one property, as text."""
    values = wanted if isinstance(wanted, list) else [wanted]
    return frozenset(text for value in values if (text := as_text(value)) is not None)
