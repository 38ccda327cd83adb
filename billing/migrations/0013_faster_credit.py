"""Hold and settle with less work for the database; draw over named grants; give back.

The rules are those of 0008 and 0011. docs/design.md, "Ledger and credit", says what was slow.
"""

from importlib import import_module

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

_LEDGER = import_module("billing.migrations.0008_ledger_rules")
_CREDIT = import_module("billing.migrations.0011_credit_rules")

# What is updated with each hold finds room on its own page, and so needs no new index entries.
ROOM = """
ALTER TABLE billing_creditgrant SET (fillfactor = 50);
ALTER TABLE billing_creditpool SET (fillfactor = 70);
ALTER TABLE billing_ledgeraccount SET (fillfactor = 50);
"""

RULES = """
-- One look at all entries of a statement, one update of their accounts. A statement that leaves a
-- transaction uneven is noted, and what was noted is checked at commit: so SQL may add the legs one
-- by one, and whoever adds them together pays nothing for it.
DROP TRIGGER billing_transaction_balances ON billing_ledgerentry;
CREATE TABLE billing_ledgeruneven (transaction_id bigint NOT NULL);
CREATE OR REPLACE FUNCTION billing_transaction_balances() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE off record;
BEGIN
    SELECT a.unit_id, sum(e.amount) AS amount INTO off
    FROM billing_ledgerentry e JOIN billing_ledgeraccount a ON a.id = e.account_id
    WHERE e.transaction_id = NEW.transaction_id
    GROUP BY a.unit_id HAVING sum(e.amount) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'A ledger transaction is out of balance by % %.',
            trim_scale(off.amount), off.unit_id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    DELETE FROM billing_ledgeruneven u WHERE u.transaction_id = NEW.transaction_id;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_transaction_balances AFTER INSERT ON billing_ledgeruneven
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_transaction_balances();

CREATE OR REPLACE FUNCTION billing_entries_fit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    astray boolean;
    uneven bigint[];
BEGIN
    SELECT bool_or(s.astray), array_agg(s.transaction_id) FILTER (WHERE s.amount <> 0)
    INTO astray, uneven
    FROM (SELECT e.transaction_id, sum(e.amount) AS amount,
                 bool_or(t.recorded_at IS DISTINCT FROM transaction_timestamp()
                         OR a.customer_id IS DISTINCT FROM t.customer_id
                         OR (e.grant_id IS NOT NULL AND g.id IS NULL)) AS astray
          FROM added e
          LEFT JOIN billing_ledgertransaction t ON t.id = e.transaction_id
          LEFT JOIN billing_ledgeraccount a ON a.id = e.account_id
          LEFT JOIN billing_creditgrant g ON g.id = e.grant_id
          GROUP BY e.transaction_id, a.unit_id) AS s;
    IF astray THEN
        RAISE EXCEPTION 'An entry belongs to a transaction that is being recorded, of its customer.'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF uneven IS NOT NULL THEN
        INSERT INTO billing_ledgeruneven SELECT DISTINCT unnest(uneven);
    END IF;
    UPDATE billing_ledgeraccount a SET balance = a.balance + moved.amount
    FROM (SELECT account_id, sum(amount) AS amount FROM added GROUP BY account_id) AS moved
    WHERE a.id = moved.account_id;
    RETURN NULL;
END $$;
CREATE TRIGGER billing_account_stays BEFORE DELETE ON billing_ledgeraccount
    FOR EACH ROW EXECUTE FUNCTION billing_account_follows();

-- A grant's terms are compared only where a statement names one of them.
CREATE OR REPLACE FUNCTION billing_grant_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.paid_at IS NULL OR NEW.paid_at = OLD.paid_at)
        AND to_jsonb(NEW) - ARRAY['remaining', 'held', 'recognised', 'paid_at', 'has_credit']
          = to_jsonb(OLD) - ARRAY['remaining', 'held', 'recognised', 'paid_at', 'has_credit'] THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'The grant “%” stands as it was made: expire it, and grant anew.', OLD.key
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
DROP TRIGGER billing_grant_stands ON billing_creditgrant;
CREATE TRIGGER billing_grant_stands BEFORE DELETE OR UPDATE OF id, pool_id, key, source, note,
    amount, priority, effective_at, expires_at, meters, job_classes, cost, currency, needs_payment,
    paid_at, rollover_most, rollover_months, rollovers_left, rolled_from_id, created_at,
    created_by_id
    ON billing_creditgrant FOR EACH ROW EXECUTE FUNCTION billing_grant_stands();

DROP TRIGGER billing_hold_ends_once ON billing_hold;
CREATE TRIGGER billing_hold_ends_once BEFORE UPDATE ON billing_hold FOR EACH ROW
    WHEN (OLD.status <> 'pending') EXECUTE FUNCTION billing_hold_ends_once();
CREATE TRIGGER billing_hold_stays BEFORE DELETE ON billing_hold
    FOR EACH ROW EXECUTE FUNCTION billing_hold_ends_once();
"""

HOLDING = """
CREATE OR REPLACE FUNCTION billing_usable_grants(
    in_pool bigint, in_at timestamptz, in_meter text, in_job_class text
) RETURNS TABLE (grant_id bigint, "position" bigint, free numeric, before numeric)
LANGUAGE sql STABLE AS $$
    SELECT g.id, row_number() OVER used_first, g.remaining - g.held,
           sum(g.remaining - g.held) OVER used_first - (g.remaining - g.held)
    FROM billing_creditgrant g
    WHERE g.pool_id = in_pool AND g.has_credit AND g.remaining > g.held
      AND g.effective_at <= in_at AND (g.expires_at IS NULL OR g.expires_at > in_at)
      AND (NOT g.needs_payment OR g.paid_at <= in_at)
      AND (g.meters = '{}' OR in_meter = ANY(g.meters))
      AND (g.job_classes = '{}' OR in_job_class = ANY(g.job_classes))
    WINDOW used_first AS (ORDER BY g.priority, g.expires_at NULLS LAST, g.cost > 0, g.id)
$$;

CREATE OR REPLACE FUNCTION billing_place_hold(
    in_pool bigint, in_key text, in_amount numeric, in_at timestamptz, in_until timestamptz,
    in_meter text, in_job_class text
) RETURNS TABLE (hold_id bigint, held_amount numeric, available numeric) LANGUAGE plpgsql AS $$
DECLARE
    grants bigint[];
    parts numeric[];
BEGIN
    PERFORM FROM billing_creditpool p WHERE p.id = in_pool FOR NO KEY UPDATE;
    SELECT coalesce(sum(u.free), 0),
           array_agg(u.grant_id ORDER BY u.position) FILTER (WHERE u.before < in_amount),
           array_agg(least(u.free, in_amount - u.before) ORDER BY u.position)
               FILTER (WHERE u.before < in_amount)
    INTO available, grants, parts
    FROM billing_usable_grants(in_pool, in_at, in_meter, in_job_class) u;
    IF available >= in_amount THEN
        INSERT INTO billing_hold
            (pool_id, key, amount, used, meter, job_class, status, held_at, expires_at)
        VALUES (in_pool, in_key, in_amount, 0, in_meter, in_job_class, 'pending', in_at, in_until)
        ON CONFLICT (pool_id, key) DO NOTHING RETURNING id, amount INTO hold_id, held_amount;
    END IF;
    IF hold_id IS NOT NULL THEN
        WITH pinned AS (
            INSERT INTO billing_holdslice (hold_id, position, grant_id, amount)
            SELECT billing_place_hold.hold_id, s.position, s.grant_id, s.amount
            FROM unnest(grants, parts) WITH ORDINALITY AS s(grant_id, amount, position))
        UPDATE billing_creditgrant g SET held = g.held + s.amount
        FROM unnest(grants, parts) AS s(grant_id, amount) WHERE g.id = s.grant_id;
        available := available - in_amount;
    ELSE
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
-- Post entries, given as rows of account kind, unit, amount and grant; see ledger/operations.py.
-- The customer's lock is held.
DROP FUNCTION billing_post;
CREATE FUNCTION billing_post(
    in_customer bigint, in_key text, in_reason text, in_at timestamptz, in_kinds text[],
    in_units text[], in_amounts numeric[], in_grants bigint[], in_note text DEFAULT '',
    in_corrects bigint DEFAULT NULL, in_by int DEFAULT NULL
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE entered int;
BEGIN
    WITH posted AS (
        INSERT INTO billing_ledgertransaction
            (customer_id, key, reason, note, happened_at, corrects_id, recorded_by_id)
        VALUES (in_customer, in_key, in_reason, in_note, in_at, in_corrects, in_by) RETURNING id)
    INSERT INTO billing_ledgerentry (transaction_id, account_id, amount, grant_id)
    SELECT posted.id, a.id, e.amount, e.grant_id
    FROM posted, unnest(in_kinds, in_units, in_amounts, in_grants)
             AS e(kind, unit, amount, grant_id)
    JOIN billing_ledgeraccount a
      ON a.customer_id = in_customer AND a.kind = e.kind AND a.unit_id = e.unit
    WHERE e.amount <> 0;
    GET DIAGNOSTICS entered = ROW_COUNT;
    IF entered < cardinality(array_remove(in_amounts, 0)) THEN
        RAISE EXCEPTION 'An account of customer % is missing.', in_customer;
    END IF;
END $$;

-- End a hold that is pending and locked: use its slices in their order up to an amount, release the
-- rest; what is released after its grant's expiry is breakage. Returns what was used. One statement
-- does it: whatever plpgsql computes beside statements it sets up anew in every transaction.
DROP FUNCTION billing_end_hold;
CREATE FUNCTION billing_end_hold(
    in_hold bigint, in_key text, in_customer bigint, in_unit text, in_amount numeric,
    in_at timestamptz, in_status text
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
              FROM billing_holdslice s WHERE s.hold_id = in_hold) AS s
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
    beyond bigint;
BEGIN
    SELECT h.key, h.status, h.asked, h.used, h.meter, h.job_class, h.pool_id,
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
    used := billing_end_hold(in_hold, hold.mark, hold.customer_id, hold.unit, in_amount, in_at,
                             'posted');
    IF in_amount > used THEN
        SELECT least(in_amount - used, coalesce(sum(u.free), 0)) INTO more
        FROM billing_usable_grants(hold.pool_id, in_at, hold.meter, hold.job_class) u;
        IF more > 0 THEN
            SELECT b.hold_id INTO beyond FROM billing_place_hold(
                hold.pool_id, hold.key || ':beyond', more, in_at, in_at, hold.meter,
                hold.job_class) b;
            used := used + billing_end_hold(beyond, hold.mark || ':beyond', hold.customer_id,
                                            hold.unit, more, in_at, 'posted');
        END IF;
    END IF;
    RETURN NEXT;
END $$;

CREATE OR REPLACE FUNCTION billing_release_hold(
    in_hold bigint, in_at timestamptz, in_status text
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hold record;
BEGIN
    SELECT h.status, h.expires_at, p.key || ':' || h.key AS mark, p.customer_id, p.unit_id AS unit
    INTO hold
    FROM billing_hold h JOIN billing_creditpool p ON p.id = h.pool_id
    JOIN plans_customer c ON c.id = p.customer_id
    WHERE h.id = in_hold FOR NO KEY UPDATE OF c, p, h;
    IF hold.status = 'pending' AND (in_status = 'voided' OR hold.expires_at <= in_at) THEN
        PERFORM billing_end_hold(in_hold, hold.mark, hold.customer_id, hold.unit, 0, in_at,
                                 in_status);
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
CREATE FUNCTION billing_draw(
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
                       AND (array_agg(s.grant_id ORDER BY s.position),
                            array_agg(s.amount ORDER BY s.position)) = (in_grants, in_amounts)
                      THEN 'drawn' ELSE 'taken' END
    INTO hold_id, outcome
    FROM billing_hold h JOIN billing_holdslice s ON s.hold_id = h.id
    WHERE h.pool_id = in_pool AND h.key = in_key GROUP BY h.id;
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
    INSERT INTO billing_hold
        (pool_id, key, amount, used, meter, job_class, status, held_at, expires_at)
    SELECT in_pool, in_key, sum(amount), 0, '', '', 'pending', in_at, in_at
    FROM unnest(in_amounts) AS u(amount) RETURNING id INTO hold_id;
    INSERT INTO billing_holdslice (hold_id, position, grant_id, amount)
    SELECT billing_draw.hold_id, s.position, s.grant_id, s.amount
    FROM unnest(in_grants, in_amounts) WITH ORDINALITY AS s(grant_id, amount, position);
    UPDATE billing_creditgrant g SET held = g.held + s.amount
    FROM unnest(in_grants, in_amounts) AS s(grant_id, amount) WHERE g.id = s.grant_id;
    SELECT p.key, p.customer_id, p.unit_id INTO pool
    FROM billing_creditpool p WHERE p.id = in_pool;
    PERFORM billing_end_hold(hold_id, pool.key || ':' || in_key, pool.customer_id, pool.unit_id,
                             (SELECT sum(amount) FROM unnest(in_amounts) AS u(amount)), in_at,
                             'posted');
    outcome := 'drawn';
    RETURN NEXT;
END $$;

-- Draw for many pools, in the order of the list; the customers' locks are held.
CREATE FUNCTION billing_draw_all(in_draws jsonb, in_at timestamptz)
RETURNS TABLE (outcome text, hold_id bigint) LANGUAGE plpgsql AS $$
DECLARE wanted record;
BEGIN
    FOR wanted IN
        SELECT * FROM jsonb_to_recordset(in_draws) AS d(
            pool_id bigint, key text, grants bigint[], amounts numeric[], valid_at timestamptz)
    LOOP
        RETURN QUERY SELECT d.* FROM billing_draw(
            wanted.pool_id, wanted.key, in_at, wanted.grants, wanted.amounts, wanted.valid_at) d;
    END LOOP;
END $$;
"""

GIVING_BACK = """
-- What was used by a transaction and is not given back yet, grant by grant.
CREATE FUNCTION billing_left_of_use(in_use bigint)
RETURNS TABLE (grant_id bigint, amount numeric) LANGUAGE sql STABLE AS $$
    SELECT e.grant_id, -sum(e.amount)
    FROM billing_ledgertransaction t
    JOIN billing_ledgerentry e ON e.transaction_id = t.id
    JOIN billing_ledgeraccount a ON a.id = e.account_id AND a.kind = 'used'
    WHERE t.id = in_use OR t.corrects_id = in_use
    GROUP BY e.grant_id
$$;

-- Take back a part of what a hold used, from its last slices backwards: a correction that names the
-- use. What returns to a grant that has expired is breakage at once. Answers `given`, or `taken`
-- where another correction stands under the key, `unknown` where the hold used nothing, or
-- `too_much` with what of it may still be given back.
CREATE FUNCTION billing_give_back(
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
              FROM billing_hold h JOIN billing_holdslice s ON s.hold_id = h.id
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

REVERSE = """
DROP FUNCTION billing_give_back, billing_draw_all, billing_draw;
DROP FUNCTION billing_left_of_use;
ALTER TABLE billing_creditgrant RESET (fillfactor);
ALTER TABLE billing_creditpool RESET (fillfactor);
ALTER TABLE billing_ledgeraccount RESET (fillfactor);
DROP TRIGGER billing_hold_stays ON billing_hold;
DROP TRIGGER billing_account_stays ON billing_ledgeraccount;
DROP TRIGGER billing_transaction_balances ON billing_ledgeruneven;
DROP TABLE billing_ledgeruneven;
CREATE CONSTRAINT TRIGGER billing_transaction_balances AFTER INSERT ON billing_ledgerentry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_transaction_balances();
"""

BEFORE = _LEDGER.FORWARD + _CREDIT.USABLE + _CREDIT.FORWARD + _CREDIT.ENDING


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0012_credit_schedule"),
        ("plans", "0004_frozen_grants"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL(migrations.RunSQL.noop, BEFORE),
        migrations.RemoveIndex(
            model_name='creditgrant',
            name='grant_with_credit',
        ),
        migrations.RemoveIndex(
            model_name='creditgrant',
            name='grant_to_expire',
        ),
        migrations.AddField(
            model_name='creditgrant',
            name='has_credit',
            field=models.GeneratedField(db_persist=True, expression=models.Q(('remaining__gt', 0)), output_field=models.BooleanField()),
        ),
        migrations.AlterField(
            model_name='creditgrant',
            name='created_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name='creditgrant',
            name='pool',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='grants', to='billing.creditpool'),
        ),
        migrations.AlterField(
            model_name='creditgrant',
            name='rolled_from',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='rolled_into', to='billing.creditgrant'),
        ),
        migrations.AlterField(
            model_name='hold',
            name='pool',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='billing.creditpool'),
        ),
        migrations.AlterField(
            model_name='holdslice',
            name='grant',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='slices', to='billing.creditgrant'),
        ),
        migrations.AlterField(
            model_name='holdslice',
            name='hold',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='slices', to='billing.hold'),
        ),
        migrations.AlterField(
            model_name='ledgeraccount',
            name='customer',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='accounts', to='plans.customer'),
        ),
        migrations.AlterField(
            model_name='ledgeraccount',
            name='unit',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.unitofaccount'),
        ),
        migrations.AlterField(
            model_name='ledgerentry',
            name='account',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='billing.ledgeraccount'),
        ),
        migrations.AlterField(
            model_name='ledgerentry',
            name='grant',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='billing.creditgrant'),
        ),
        migrations.AlterField(
            model_name='ledgerentry',
            name='transaction',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='billing.ledgertransaction'),
        ),
        migrations.AlterField(
            model_name='ledgertransaction',
            name='corrects',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='corrections', to='billing.ledgertransaction'),
        ),
        migrations.AlterField(
            model_name='ledgertransaction',
            name='customer',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='ledger_transactions', to='plans.customer'),
        ),
        migrations.AlterField(
            model_name='ledgertransaction',
            name='recorded_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name='ledgertransaction',
            name='statement',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='ledger_transactions', to='billing.statement'),
        ),
        migrations.AddIndex(
            model_name='creditgrant',
            index=models.Index(condition=models.Q(('has_credit', True)), fields=['pool', 'priority', 'expires_at'], name='grant_with_credit'),
        ),
        migrations.AddIndex(
            model_name='creditgrant',
            index=models.Index(condition=models.Q(('expires_at__isnull', False), ('has_credit', True)), fields=['expires_at'], name='grant_to_expire'),
        ),
        migrations.AddIndex(
            model_name='creditgrant',
            index=models.Index(condition=models.Q(('created_by__isnull', False)), fields=['created_by'], name='grant_created_by'),
        ),
        migrations.AddIndex(
            model_name='creditgrant',
            index=models.Index(condition=models.Q(('rolled_from__isnull', False)), fields=['rolled_from'], name='grant_rolled_from'),
        ),
        migrations.AddIndex(
            model_name='ledgertransaction',
            index=models.Index(condition=models.Q(('statement__isnull', False)), fields=['statement'], name='transaction_of_statement'),
        ),
        migrations.AddIndex(
            model_name='ledgertransaction',
            index=models.Index(condition=models.Q(('corrects__isnull', False)), fields=['corrects'], name='transaction_corrects'),
        ),
        migrations.AddIndex(
            model_name='ledgertransaction',
            index=models.Index(condition=models.Q(('recorded_by__isnull', False)), fields=['recorded_by'], name='transaction_recorded_by'),
        ),
        migrations.RunSQL(
            ROOM + RULES + HOLDING + ENDING + DRAWING + GIVING_BACK,
            REVERSE + _CREDIT.REVERSE + _LEDGER.REVERSE,
        ),
    ]
