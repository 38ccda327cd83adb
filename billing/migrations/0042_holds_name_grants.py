"""Holds name the grants that they pin, in place of a row for each; a rollover waits for payment.

A row for each slice cost two index entries, two foreign keys and a statement of its own with every
hold. docs/design.md, "Ledger and credit", says what it came to.
"""

from decimal import Decimal
from importlib import import_module

import django.contrib.postgres.fields
from django.db import migrations, models

_CREDIT = import_module("billing.migrations.0011_credit_rules")
_FASTER = import_module("billing.migrations.0013_faster_credit")

# Holds that ended stay as they are for everyone but this.
FILL = """
ALTER TABLE billing_hold DISABLE TRIGGER billing_hold_ends_once;
UPDATE billing_hold h SET grant_ids = s.grants, pinned = s.amounts
FROM (SELECT hold_id, array_agg(grant_id ORDER BY position) AS grants,
             array_agg(amount ORDER BY position) AS amounts
      FROM billing_holdslice GROUP BY hold_id) AS s
WHERE s.hold_id = h.id;
ALTER TABLE billing_hold ENABLE TRIGGER billing_hold_ends_once;
"""

UNFILL = """
INSERT INTO billing_holdslice (hold_id, position, grant_id, amount)
SELECT h.id, s.position, s.grant_id, s.amount
FROM billing_hold h,
     unnest(h.grant_ids, h.pinned) WITH ORDINALITY AS s(grant_id, amount, position);
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
CREATE TRIGGER billing_slice_stays BEFORE UPDATE OR DELETE ON billing_holdslice
    FOR EACH ROW EXECUTE FUNCTION billing_ledger_only_grows();
"""

STANDS = """
CREATE FUNCTION billing_hold_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The hold “%” pins what it pins: end it, and hold anew.', OLD.key
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER billing_hold_stands BEFORE UPDATE OF pool_id, amount, grant_ids, pinned
    ON billing_hold FOR EACH ROW EXECUTE FUNCTION billing_hold_stands();
"""

HOLDING = """
-- One statement places a hold, once the pool's lock shows what the call before it left.
CREATE OR REPLACE FUNCTION billing_place_hold(
    in_pool bigint, in_key text, in_amount numeric, in_at timestamptz, in_until timestamptz,
    in_meter text, in_job_class text
) RETURNS TABLE (hold_id bigint, held_amount numeric, available numeric) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM billing_creditpool p WHERE p.id = in_pool FOR NO KEY UPDATE;
    WITH usable AS MATERIALIZED (
        SELECT u.grant_id, u.position, u.free, least(u.free, in_amount - u.before) AS part
        FROM billing_usable_grants(in_pool, in_at, in_meter, in_job_class) u
    ), room AS MATERIALIZED (
        SELECT coalesce(sum(u.free), 0) AS free,
               array_agg(u.grant_id ORDER BY u.position) FILTER (WHERE u.part > 0) AS grants,
               array_agg(u.part ORDER BY u.position) FILTER (WHERE u.part > 0) AS parts
        FROM usable u
    ), placed AS (
        INSERT INTO billing_hold (pool_id, key, amount, used, meter, job_class, status, held_at,
                                  expires_at, grant_ids, pinned)
        SELECT in_pool, in_key, in_amount, 0, in_meter, in_job_class, 'pending', in_at, in_until,
               room.grants, room.parts
        FROM room WHERE room.free >= in_amount
        ON CONFLICT (pool_id, key) DO NOTHING RETURNING id
    ), kept AS (
        UPDATE billing_creditgrant g SET held = g.held + u.part
        FROM placed, usable u WHERE g.id = u.grant_id AND u.part > 0)
    SELECT placed.id, in_amount, room.free - CASE WHEN placed.id IS NULL THEN 0 ELSE in_amount END
    INTO hold_id, held_amount, available
    FROM room LEFT JOIN placed ON true;
    IF hold_id IS NULL THEN
        SELECT h.id, h.amount INTO hold_id, held_amount
        FROM billing_hold h WHERE h.pool_id = in_pool AND h.key = in_key;
        IF FOUND THEN
            available := NULL;
        END IF;
    END IF;
    RETURN NEXT;
END $$;
"""

ENDING = """
DROP FUNCTION billing_end_hold;
-- End a hold that is pending and locked: use its slices in their order up to an amount, release the
-- rest; what is released after its grant's expiry is breakage. Returns what was used. One statement
-- does it: whatever plpgsql computes beside statements it sets up anew in every transaction.
CREATE FUNCTION billing_end_hold(
    in_hold bigint, in_grants bigint[], in_pinned numeric[], in_key text, in_customer bigint,
    in_unit text, in_amount numeric, in_at timestamptz, in_status text
) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE in_use numeric;
BEGIN
    WITH part AS MATERIALIZED (
        SELECT g.id, g.currency, g.remaining, g.recognised, s.amount AS pinned, n.taken, n.gone,
               CASE WHEN g.cost = 0 THEN 0 ELSE billing_recognised(
                   g.cost, g.amount, g.remaining - n.taken, u.decimals) END AS after_use,
               CASE WHEN g.cost = 0 THEN 0 ELSE billing_recognised(
                   g.cost, g.amount, g.remaining - n.gone, u.decimals) END AS after_all
        FROM (SELECT s.grant_id, s.amount,
                     greatest(least(s.amount, in_amount + s.amount
                              - sum(s.amount) OVER (ORDER BY s.position)), 0) AS taken
              FROM unnest(in_grants, in_pinned) WITH ORDINALITY
                   AS s(grant_id, amount, position)) AS s
        JOIN billing_creditgrant g ON g.id = s.grant_id
        LEFT JOIN billing_unitofaccount u ON u.code = g.currency,
        LATERAL (SELECT s.taken,
                        CASE WHEN g.expires_at <= in_at THEN s.amount ELSE s.taken END AS gone) n
    ), left_over AS (
        UPDATE billing_creditgrant g SET remaining = part.remaining - part.gone,
            held = g.held - part.pinned, recognised = part.after_all
        FROM part WHERE g.id = part.id
    ), posted AS (
        INSERT INTO billing_ledgertransaction (customer_id, key, reason, note, happened_at)
        SELECT in_customer, m.reason || ':' || in_key, m.reason, '', in_at
        FROM (SELECT 'use' AS reason, sum(taken) AS amount FROM part
              UNION ALL SELECT 'expiry', sum(gone - taken) FROM part) AS m
        WHERE m.amount > 0 RETURNING id, reason
    ), entered AS (
        INSERT INTO billing_ledgerentry (transaction_id, account_id, amount, grant_id)
        SELECT posted.id, a.id, e.amount, part.id
        FROM posted, part,
        LATERAL (VALUES
            ('use', 'credit', in_unit, part.taken), ('use', 'used', in_unit, -part.taken),
            ('use', 'deferred', part.currency, part.after_use - part.recognised),
            ('use', 'revenue', part.currency, part.recognised - part.after_use),
            ('expiry', 'credit', in_unit, part.gone - part.taken),
            ('expiry', 'expired', in_unit, part.taken - part.gone),
            ('expiry', 'deferred', part.currency, part.after_all - part.after_use),
            ('expiry', 'breakage', part.currency, part.after_use - part.after_all)
        ) AS e(reason, kind, unit, amount)
        LEFT JOIN billing_ledgeraccount a
          ON a.customer_id = in_customer AND a.kind = e.kind AND a.unit_id = e.unit
        WHERE e.reason = posted.reason AND e.amount <> 0
    )
    UPDATE billing_hold h SET status = in_status, ended_at = in_at, asked = in_amount,
        used = (SELECT sum(taken) FROM part)
    WHERE h.id = in_hold RETURNING h.used INTO in_use;
    RETURN in_use;
END $$;

-- The locks are taken in the order in which they are named: the customer's, the pool's, the hold's.
-- What another call changed meanwhile is read as it left it.
CREATE OR REPLACE FUNCTION billing_settle_hold(in_hold bigint, in_amount numeric, in_at timestamptz)
RETURNS TABLE (found_status text, asked numeric, used numeric) LANGUAGE plpgsql AS $$
DECLARE
    hold record;
    more numeric;
    beyond record;
BEGIN
    SELECT h.key, h.status, h.asked, h.used, h.meter, h.job_class, h.pool_id, h.grant_ids, h.pinned,
           p.key || ':' || h.key AS mark, p.customer_id, p.unit_id AS unit
    INTO hold
    FROM billing_hold h JOIN billing_creditpool p ON p.id = h.pool_id
    JOIN plans_customer c ON c.id = p.customer_id
    WHERE h.id = in_hold FOR NO KEY UPDATE OF c, p, h;
    found_status := hold.status;
    IF hold.status <> 'pending' THEN
        asked := hold.asked;
        SELECT hold.used + coalesce(sum(b.used), 0) INTO used
        FROM billing_hold b WHERE b.pool_id = hold.pool_id AND b.key = hold.key || ':beyond';
        RETURN NEXT;
        RETURN;
    END IF;
    asked := in_amount;
    used := billing_end_hold(in_hold, hold.grant_ids, hold.pinned, hold.mark, hold.customer_id,
                             hold.unit, in_amount, in_at, 'posted');
    IF in_amount > used THEN
        SELECT least(in_amount - used, coalesce(sum(u.free), 0)) INTO more
        FROM billing_usable_grants(hold.pool_id, in_at, hold.meter, hold.job_class) u;
        IF more > 0 THEN
            PERFORM billing_place_hold(hold.pool_id, hold.key || ':beyond', more, in_at, in_at,
                                       hold.meter, hold.job_class);
            SELECT b.id, b.grant_ids, b.pinned INTO beyond FROM billing_hold b
            WHERE b.pool_id = hold.pool_id AND b.key = hold.key || ':beyond';
            used := used + billing_end_hold(beyond.id, beyond.grant_ids, beyond.pinned,
                hold.mark || ':beyond', hold.customer_id, hold.unit, more, in_at, 'posted');
        END IF;
    END IF;
    RETURN NEXT;
END $$;

CREATE OR REPLACE FUNCTION billing_release_hold(
    in_hold bigint, in_at timestamptz, in_status text
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hold record;
BEGIN
    SELECT h.status, h.expires_at, h.grant_ids, h.pinned, p.key || ':' || h.key AS mark, p.customer_id, p.unit_id AS unit
    INTO hold
    FROM billing_hold h JOIN billing_creditpool p ON p.id = h.pool_id
    JOIN plans_customer c ON c.id = p.customer_id
    WHERE h.id = in_hold FOR NO KEY UPDATE OF c, p, h;
    IF hold.status = 'pending' AND (in_status = 'voided' OR hold.expires_at <= in_at) THEN
        PERFORM billing_end_hold(in_hold, hold.grant_ids, hold.pinned, hold.mark,
                                 hold.customer_id, hold.unit, 0, in_at, in_status);
    END IF;
    RETURN hold.status;
END $$;

-- Arrays would have a plan made anew for each call.
ALTER FUNCTION billing_place_hold SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION billing_settle_hold SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION billing_release_hold SET plan_cache_mode = force_generic_plan;
"""

DRAWING = """
-- Use exactly these amounts of these grants, in their order: a hold that is posted in the same call.
-- The grants must be usable at `in_valid_at`, which may lie before the instant of the posting; what
-- they are meant for is the caller's concern. Answers `drawn`, or `moved` where a grant has not that
-- much free or may not be used, or `taken` where another hold stands under the key.
CREATE OR REPLACE FUNCTION billing_draw(
    in_pool bigint, in_key text, in_at timestamptz, in_grants bigint[], in_amounts numeric[],
    in_valid_at timestamptz DEFAULT NULL
) RETURNS TABLE (outcome text, hold_id bigint) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    valid_at timestamptz := coalesce(in_valid_at, in_at);
    pool record;
BEGIN
    PERFORM billing_lock_pool(in_pool);
    SELECT h.id, CASE WHEN h.status = 'posted' AND h.used = h.amount
                       AND h.grant_ids = in_grants AND h.pinned = in_amounts
                      THEN 'drawn' ELSE 'taken' END
    INTO hold_id, outcome
    FROM billing_hold h WHERE h.pool_id = in_pool AND h.key = in_key;
    IF FOUND THEN
        RETURN NEXT;
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM unnest(in_grants, in_amounts) AS s(grant_id, amount)
               LEFT JOIN billing_creditgrant g
                 ON g.id = s.grant_id AND g.pool_id = in_pool AND g.effective_at <= valid_at
                AND (g.expires_at IS NULL OR g.expires_at > valid_at)
                AND (NOT g.needs_payment OR g.paid_at <= valid_at)
               WHERE g.id IS NULL OR g.remaining - g.held < s.amount)
    THEN
        outcome := 'moved';
        RETURN NEXT;
        RETURN;
    END IF;
    INSERT INTO billing_hold (pool_id, key, amount, used, meter, job_class, status, held_at,
                              expires_at, grant_ids, pinned)
    SELECT in_pool, in_key, sum(amount), 0, '', '', 'pending', in_at, in_at, in_grants, in_amounts
    FROM unnest(in_amounts) AS u(amount) RETURNING id INTO hold_id;
    UPDATE billing_creditgrant g SET held = g.held + s.amount
    FROM unnest(in_grants, in_amounts) AS s(grant_id, amount) WHERE g.id = s.grant_id;
    SELECT p.key, p.customer_id, p.unit_id INTO pool
    FROM billing_creditpool p WHERE p.id = in_pool;
    PERFORM billing_end_hold(hold_id, in_grants, in_amounts, pool.key || ':' || in_key,
                             pool.customer_id, pool.unit_id,
                             (SELECT sum(amount) FROM unnest(in_amounts) AS u(amount)), in_at,
                             'posted');
    outcome := 'drawn';
    RETURN NEXT;
END $$;
"""

GIVING_BACK = """
-- Take back a part of what a hold used, from its last slices backwards: a correction that names the
-- use. What returns to a grant that has expired is breakage at once. Answers `given`, or `taken`
-- where another correction stands under the key, `unknown` where the hold used nothing, or
-- `too_much` with what of it may still be given back.
CREATE OR REPLACE FUNCTION billing_give_back(
    in_pool bigint, in_key text, in_of_key text, in_amount numeric, in_at timestamptz, in_note text
) RETURNS TABLE (outcome text, possible numeric) LANGUAGE plpgsql AS $$
DECLARE
    pool billing_creditpool;
    mark text;
    use_id bigint;
BEGIN
    PERFORM billing_lock_pool(in_pool);
    SELECT p.* INTO pool FROM billing_creditpool p WHERE p.id = in_pool;
    mark := 'correction:' || pool.key || ':' || in_key;
    SELECT t.id INTO use_id FROM billing_ledgertransaction t
    WHERE t.customer_id = pool.customer_id AND t.key = 'use:' || pool.key || ':' || in_of_key;
    IF NOT FOUND THEN
        outcome := 'unknown';
        RETURN NEXT;
        RETURN;
    END IF;
    SELECT CASE WHEN t.corrects_id = use_id AND sum(e.amount) = in_amount
                THEN 'given' ELSE 'taken' END INTO outcome
    FROM billing_ledgertransaction t
    JOIN billing_ledgerentry e ON e.transaction_id = t.id
    JOIN billing_ledgeraccount a ON a.id = e.account_id AND a.kind = 'used'
    WHERE t.customer_id = pool.customer_id AND t.key = mark GROUP BY t.id;
    IF FOUND THEN
        RETURN NEXT;
        RETURN;
    END IF;
    SELECT sum(l.amount) INTO possible FROM billing_left_of_use(use_id) l;
    IF possible < in_amount THEN
        outcome := 'too_much';
        RETURN NEXT;
        RETURN;
    END IF;
    WITH part AS MATERIALIZED (
        SELECT g.id, g.currency, g.remaining, g.recognised, s.back,
               coalesce(g.expires_at <= in_at, false) AS is_over,
               CASE WHEN g.cost = 0 THEN 0 ELSE billing_recognised(
                   g.cost, g.amount, g.remaining + s.back, u.decimals) END AS after_back
        FROM (SELECT s.grant_id,
                     least(l.amount, in_amount + l.amount
                           - sum(l.amount) OVER (ORDER BY s.position DESC)) AS back
              FROM billing_hold h,
                   unnest(h.grant_ids, h.pinned) WITH ORDINALITY AS s(grant_id, amount, position)
              JOIN billing_left_of_use(use_id) l ON l.grant_id = s.grant_id
              WHERE h.pool_id = in_pool AND h.key = in_of_key) AS s
        JOIN billing_creditgrant g ON g.id = s.grant_id
        LEFT JOIN billing_unitofaccount u ON u.code = g.currency
        WHERE s.back > 0
    ), returned AS (
        UPDATE billing_creditgrant g
        SET remaining = g.remaining + part.back, recognised = part.after_back
        FROM part WHERE g.id = part.id AND NOT part.is_over
    ), posted AS (
        INSERT INTO billing_ledgertransaction
            (customer_id, key, reason, note, happened_at, corrects_id)
        SELECT pool.customer_id, mark, 'correction', in_note, in_at, use_id
        UNION ALL
        SELECT pool.customer_id, 'expiry:' || mark, 'expiry', in_note, in_at, NULL::bigint
        WHERE EXISTS (SELECT FROM part WHERE is_over)
        RETURNING id, reason
    )
    INSERT INTO billing_ledgerentry (transaction_id, account_id, amount, grant_id)
    SELECT posted.id, a.id, e.amount, part.id
    FROM posted, part,
    LATERAL (VALUES
        ('correction', 'credit', pool.unit_id, -part.back),
        ('correction', 'used', pool.unit_id, part.back),
        ('correction', 'deferred', part.currency, part.after_back - part.recognised),
        ('correction', 'revenue', part.currency, part.recognised - part.after_back),
        ('expiry', 'credit', pool.unit_id, part.back),
        ('expiry', 'expired', pool.unit_id, -part.back),
        ('expiry', 'deferred', part.currency, part.recognised - part.after_back),
        ('expiry', 'breakage', part.currency, part.after_back - part.recognised)
    ) AS e(reason, kind, unit, amount)
    LEFT JOIN billing_ledgeraccount a
      ON a.customer_id = pool.customer_id AND a.kind = e.kind AND a.unit_id = e.unit
    WHERE e.reason = posted.reason AND e.amount <> 0 AND (e.reason = 'correction' OR part.is_over);
    outcome := 'given';
    RETURN NEXT;
END $$;
"""

EXPIRING = """
-- Expire what is free of a grant whose time is up; up to `rollover_most` of it is carried on into
-- a new grant that lasts until `in_until`, and waits for its payment as the old one did. Returns whether there was anything to do.
CREATE OR REPLACE FUNCTION billing_expire_grant(in_grant bigint, in_at timestamptz, in_until timestamptz)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    expiring billing_creditgrant;
    pool billing_creditpool;
    decimals int;
    free numeric;
    carried numeric := 0;
    after_expiry numeric;
    after_all numeric;
    rolled bigint;
    mark text;
BEGIN
    SELECT g.* INTO expiring FROM billing_creditgrant g WHERE g.id = in_grant;
    PERFORM billing_lock_pool(expiring.pool_id);
    SELECT g.* INTO expiring FROM billing_creditgrant g WHERE g.id = in_grant;
    SELECT p.* INTO pool FROM billing_creditpool p WHERE p.id = expiring.pool_id;
    free := expiring.remaining - expiring.held;
    IF free = 0 OR expiring.expires_at IS NULL OR expiring.expires_at > in_at THEN
        RETURN false;
    END IF;
    IF expiring.rollovers_left > 0 THEN
        carried := least(free, coalesce(expiring.rollover_most, 0));
    END IF;
    SELECT coalesce(max(u.decimals), 0) INTO decimals
    FROM billing_unitofaccount u WHERE u.code = expiring.currency;
    after_expiry := expiring.recognised;
    after_all := expiring.recognised;
    IF expiring.cost > 0 THEN
        after_expiry := billing_recognised(expiring.cost, expiring.amount,
            expiring.remaining - (free - carried), decimals);
        after_all := billing_recognised(
            expiring.cost, expiring.amount, expiring.remaining - free, decimals);
    END IF;
    UPDATE billing_creditgrant SET remaining = remaining - free, recognised = after_all
    WHERE id = in_grant;
    mark := pool.key || ':' || expiring.key || ':' || trim_scale(expiring.remaining);
    IF free > carried THEN
        PERFORM billing_post(pool.customer_id, 'expiry:' || mark, 'expiry', expiring.expires_at,
            ARRAY['credit', 'expired', 'deferred', 'breakage'],
            ARRAY[pool.unit_id, pool.unit_id, expiring.currency, expiring.currency],
            ARRAY[free - carried, carried - free, after_expiry - expiring.recognised,
                  expiring.recognised - after_expiry],
            ARRAY[in_grant, in_grant, in_grant, in_grant]);
    END IF;
    IF carried > 0 THEN
        INSERT INTO billing_creditgrant (pool_id, key, source, note, amount, remaining, held,
            priority, effective_at, expires_at, meters, job_classes, cost, currency, recognised,
            needs_payment, paid_at, rollover_most, rollover_months, rollovers_left,
            rolled_from_id, created_at)
        VALUES (pool.id, expiring.key || ':rolled', 'rollover', '', carried, carried, 0,
            expiring.priority, expiring.expires_at, in_until, expiring.meters,
            expiring.job_classes, after_all - after_expiry,
            CASE WHEN after_all > after_expiry THEN expiring.currency ELSE '' END, 0,
            expiring.needs_payment, expiring.paid_at, expiring.rollover_most, expiring.rollover_months, expiring.rollovers_left - 1,
            in_grant, in_at)
        RETURNING id INTO rolled;
        PERFORM billing_post(pool.customer_id, 'rollover:' || mark, 'rollover',
            expiring.expires_at, ARRAY['credit', 'credit'], ARRAY[pool.unit_id, pool.unit_id],
            ARRAY[carried, -carried], ARRAY[in_grant, rolled]);
    END IF;
    RETURN true;
END $$;
"""

# The functions of 0013 drop and make these.
BEFORE = (
    """
DROP TRIGGER billing_hold_stands ON billing_hold;
DROP FUNCTION billing_hold_stands;
DROP FUNCTION billing_end_hold, billing_draw_all, billing_draw, billing_give_back;
DROP FUNCTION billing_left_of_use, billing_expire_grant, billing_settle_hold;
DROP FUNCTION billing_release_hold, billing_lock_pool, billing_post, billing_recognised;
"""
    + _CREDIT.ENDING
    + _FASTER.HOLDING
    + _FASTER.ENDING
    + _FASTER.DRAWING
    + _FASTER.GIVING_BACK
)


class Migration(migrations.Migration):

    dependencies = [("billing", "0041_frozen_webhook_history")]

    operations = [
        migrations.AddField(
            model_name='hold',
            name='grant_ids',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, size=None),
        ),
        migrations.AddField(
            model_name='hold',
            name='pinned',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.DecimalField(decimal_places=12, max_digits=38), default=list, size=None),
        ),
        migrations.RunSQL(FILL, UNFILL),
        migrations.DeleteModel(name='HoldSlice'),
        migrations.RunSQL(STANDS + HOLDING + ENDING + DRAWING + GIVING_BACK + EXPIRING, BEFORE),
    ]
