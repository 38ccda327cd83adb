"""The SQL of outcomes: whole batches in one statement."""

# Takes claims as JSON objects; returns (id, contract, customer, key) of those that are new.
INSERT_OUTCOMES = """
WITH r AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS r (
        contract bigint, version bigint, key text, customer bigint, workspace bigint,
        happened timestamptz, claimed timestamptz, evidence jsonb, value numeric, bonus boolean,
        sampled boolean, job text, attempt integer, digest text, state text, steps smallint,
        decided timestamptz, verify_by timestamptz, dispute_by timestamptz, release timestamptz,
        via text, reason text)
),
new AS (
    INSERT INTO usage_outcome (
        contract_id, version_id, key, customer_id, workspace_id, happened_at, claimed_at,
        recorded_at, evidence, value, has_bonus, is_sampled, job, attempt, digest, state, steps,
        decided_at, verify_by, dispute_by, release_at)
    SELECT contract, version, key, customer, workspace, happened, claimed, %s, evidence, value,
        bonus, sampled, job, attempt, digest, state, steps, decided, verify_by, dispute_by, release
    FROM r ORDER BY contract, customer, key
    ON CONFLICT (contract_id, customer_id, key) DO NOTHING
    RETURNING id, contract_id, customer_id, key
),
logged AS (
    INSERT INTO usage_outcomestep (outcome_id, number, what, at, recorded_at, via, who, reason)
    SELECT new.id, step.number, step.what, r.claimed, %s, step.via, %s, step.reason
    FROM new JOIN r ON r.contract = new.contract_id AND r.customer = new.customer_id
        AND r.key = new.key
    CROSS JOIN LATERAL (
        SELECT 1 AS number, 'claim' AS what, 'api' AS via, '' AS reason
        UNION ALL
        SELECT 2, CASE r.state WHEN 'verified' THEN 'verify' ELSE 'reject' END, 'rule', r.reason
        WHERE r.steps = 2) AS step
)
SELECT id, contract_id, customer_id, key FROM new
"""

# Returns (place, id, whether it was claimed with the same content) of what was there before.
KNOWN_OUTCOMES = """
SELECT r.n, o.id, o.digest = r.digest
FROM jsonb_to_recordset(%s::jsonb) AS r
    (n bigint, contract bigint, customer bigint, key text, digest text)
JOIN usage_outcome o ON o.contract_id = r.contract AND o.customer_id = r.customer AND o.key = r.key
"""

# Moves those of the outcomes that stand in one of the states; the columns of `Moved`.
MOVE_OUTCOMES = """
WITH before AS (
    SELECT o.id, o.state FROM usage_outcome o
    WHERE o.id = ANY(%(ids)s) AND o.state = ANY(%(begins)s)
    ORDER BY o.id FOR UPDATE
),
moved AS (
    UPDATE usage_outcome o SET state = %(ends)s, steps = o.steps + 1,
        decided_at = CASE b.state WHEN 'pending' THEN %(at)s ELSE o.decided_at END,
        dispute_by = CASE WHEN %(ends)s = 'verified'
            THEN %(at)s + make_interval(
                days => nullif(nullif(v.content ->> 'dispute_days', '')::int, 0))
            ELSE o.dispute_by END,
        release_at = CASE WHEN %(ends)s = 'verified'
            THEN %(at)s + make_interval(
                days => nullif(nullif(v.content -> 'fee' ->> 'holdback_days', '')::int, 0))
            ELSE o.release_at END
    FROM before b, plans_outcomecontractversion v
    WHERE b.id = o.id AND v.id = o.version_id
    RETURNING o.id, b.state AS before, o.steps, o.version_id, o.customer_id, o.workspace_id,
        o.happened_at, o.key, o.value, o.has_bonus, o.released_at
),
logged AS (
    INSERT INTO usage_outcomestep
        (outcome_id, number, what, at, recorded_at, via, by_id, who, reason)
    SELECT id, steps, %(what)s, %(at)s, %(now)s, %(via)s, %(by)s, %(who)s, %(reason)s FROM moved
)
SELECT * FROM moved ORDER BY id
"""

# Releases what was held back; the columns of `Moved`. A dispute that is not decided holds it.
RELEASE_OUTCOMES = """
WITH due AS (
    SELECT o.id FROM usage_outcome o
    WHERE o.release_at <= %(now)s AND o.released_at IS NULL
        AND o.state IN ('verified', 'dismissed')
        AND (%(customers)s::bigint[] IS NULL OR o.customer_id = ANY(%(customers)s))
    ORDER BY o.release_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
),
moved AS (
    UPDATE usage_outcome o SET released_at = %(now)s, steps = o.steps + 1
    FROM due WHERE due.id = o.id
    RETURNING o.id, o.state AS before, o.steps, o.version_id, o.customer_id, o.workspace_id,
        o.happened_at, o.key, o.value, o.has_bonus, o.released_at
),
logged AS (
    INSERT INTO usage_outcomestep (outcome_id, number, what, at, recorded_at, via, who, reason)
    SELECT id, steps, 'release', %(now)s, %(now)s, 'time', '', '' FROM moved
)
SELECT * FROM moved ORDER BY id
"""

SUBJECT_KEYS = """
SELECT key, customer_id, workspace_id FROM plans_subject WHERE customer_id = ANY(%s)
"""
