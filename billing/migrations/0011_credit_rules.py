"""What the database holds of credit, and how a hold is placed: one call, under the pool's lock."""

from django.db import migrations

FORWARD = """
-- The terms of a grant stand; what is left of it changes.
CREATE FUNCTION billing_grant_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.paid_at IS NULL OR NEW.paid_at = OLD.paid_at)
        AND to_jsonb(NEW) - ARRAY['remaining', 'held', 'recognised', 'paid_at']
          = to_jsonb(OLD) - ARRAY['remaining', 'held', 'recognised', 'paid_at'] THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'The grant “%” stands as it was made: expire it, and grant anew.', OLD.key
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER billing_grant_stands BEFORE UPDATE OR DELETE ON billing_creditgrant
    FOR EACH ROW EXECUTE FUNCTION billing_grant_stands();

-- A hold ends once.
CREATE FUNCTION billing_hold_ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.status = 'pending' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'The hold “%” is % and stays so.', OLD.key, OLD.status
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER billing_hold_ends_once BEFORE UPDATE OR DELETE ON billing_hold
    FOR EACH ROW EXECUTE FUNCTION billing_hold_ends_once();
CREATE TRIGGER billing_slice_stays BEFORE UPDATE OR DELETE ON billing_holdslice
    FOR EACH ROW EXECUTE FUNCTION billing_ledger_only_grows();

-- Burn-down: priority (lower first), then soonest expiry (never last), then free before paid, then
-- oldest. Source: DESIGN section 3, Credits. The pool's lock comes first, so that each call sees
-- what the one before it left.
CREATE FUNCTION billing_place_hold(
    in_pool bigint, in_key text, in_amount numeric, in_at timestamptz, in_until timestamptz,
    in_meter text, in_job_class text
) RETURNS TABLE (hold_id bigint, held_amount numeric, available numeric) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM billing_creditpool p WHERE p.id = in_pool FOR NO KEY UPDATE;
    SELECT h.id, h.amount INTO hold_id, held_amount
    FROM billing_hold h WHERE h.pool_id = in_pool AND h.key = in_key;
    IF FOUND THEN
        RETURN NEXT;
        RETURN;
    END IF;
    SELECT coalesce(sum(u.free), 0) INTO available
    FROM billing_usable_grants(in_pool, in_at, in_meter, in_job_class) u;
    IF available < in_amount THEN
        RETURN NEXT;
        RETURN;
    END IF;
    INSERT INTO billing_hold
        (pool_id, key, amount, used, meter, job_class, status, held_at, expires_at)
    VALUES (in_pool, in_key, in_amount, 0, in_meter, in_job_class, 'pending', in_at, in_until)
    RETURNING id, amount INTO hold_id, held_amount;
    WITH slices AS (
        INSERT INTO billing_holdslice AS s (hold_id, position, grant_id, amount)
        SELECT billing_place_hold.hold_id, u.position, u.grant_id,
               least(u.free, in_amount - u.before)
        FROM billing_usable_grants(in_pool, in_at, in_meter, in_job_class) u
        WHERE u.before < in_amount
        RETURNING s.grant_id, s.amount)
    UPDATE billing_creditgrant g SET held = g.held + s.amount
    FROM slices s WHERE g.id = s.grant_id;
    available := available - in_amount;
    RETURN NEXT;
END $$;
"""

USABLE = """
CREATE FUNCTION billing_usable_grants(
    in_pool bigint, in_at timestamptz, in_meter text, in_job_class text
) RETURNS TABLE (grant_id bigint, "position" bigint, free numeric, before numeric)
LANGUAGE sql STABLE AS $$
    SELECT g.id, row_number() OVER used_first, g.remaining - g.held,
           sum(g.remaining - g.held) OVER used_first - (g.remaining - g.held)
    FROM billing_creditgrant g
    WHERE g.pool_id = in_pool AND g.remaining > 0 AND g.remaining > g.held
      AND g.effective_at <= in_at AND (g.expires_at IS NULL OR g.expires_at > in_at)
      AND (NOT g.needs_payment OR g.paid_at <= in_at)
      AND (g.meters = '{}' OR in_meter = ANY(g.meters))
      AND (g.job_classes = '{}' OR in_job_class = ANY(g.job_classes))
    WINDOW used_first AS (ORDER BY g.priority, g.expires_at NULLS LAST, g.cost > 0, g.id)
$$;
"""

REVERSE = """
DROP FUNCTION billing_expire_grant, billing_release_hold, billing_settle_hold, billing_lock_pool,
    billing_end_hold, billing_post;
DROP FUNCTION billing_recognised;
DROP FUNCTION billing_place_hold;
DROP FUNCTION billing_usable_grants;
DROP TRIGGER billing_slice_stays ON billing_holdslice;
DROP TRIGGER billing_hold_ends_once ON billing_hold;
DROP TRIGGER billing_grant_stands ON billing_creditgrant;
DROP FUNCTION billing_hold_ends_once, billing_grant_stands;
"""


ENDING = """
-- What of a grant's cost is recognised once so much of it remains: by the share that is gone,
-- rounded once for all that is gone so far, so that the parts add up whatever the steps were.
CREATE FUNCTION billing_recognised(cost numeric, amount numeric, remaining numeric, decimals int)
RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN remaining = 0 THEN cost
                ELSE round(cost * (amount - remaining) / amount, decimals) END
$$;

-- Post entries, given as rows of account kind, unit, amount and grant; see ledger/operations.py.
-- The customer's lock is held.
CREATE FUNCTION billing_post(
    in_customer bigint, in_key text, in_reason text, in_at timestamptz, in_kinds text[],
    in_units text[], in_amounts numeric[], in_grants bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    posted bigint;
    entered int;
BEGIN
    INSERT INTO billing_ledgertransaction (customer_id, key, reason, note, happened_at)
    VALUES (in_customer, in_key, in_reason, '', in_at) RETURNING id INTO posted;
    INSERT INTO billing_ledgerentry (transaction_id, account_id, amount, grant_id)
    SELECT posted, a.id, e.amount, e.grant_id
    FROM unnest(in_kinds, in_units, in_amounts, in_grants) AS e(kind, unit, amount, grant_id)
    JOIN billing_ledgeraccount a
      ON a.customer_id = in_customer AND a.kind = e.kind AND a.unit_id = e.unit
    WHERE e.amount <> 0;
    GET DIAGNOSTICS entered = ROW_COUNT;
    IF entered < (SELECT count(*) FROM unnest(in_amounts) AS u(amount) WHERE amount <> 0) THEN
        RAISE EXCEPTION 'An account of customer % is missing.', in_customer;
    END IF;
END $$;

-- End a hold that is pending: use its slices in their order up to an amount, release the rest;
-- what is released after its grant's expiry is breakage. Returns what was used.
CREATE FUNCTION billing_end_hold(
    in_hold bigint, in_amount numeric, in_at timestamptz, in_status text
) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    hold record;
    part record;
    in_use numeric := 0;
    kinds text[] := '{}';
    units text[] := '{}';
    moved numeric[] := '{}';
    grants bigint[] := '{}';
    expired_kinds text[] := '{}';
    expired_units text[] := '{}';
    expired_moved numeric[] := '{}';
    expired_grants bigint[] := '{}';
    taken numeric;
    gone numeric;
    after_use numeric;
    after_all numeric;
BEGIN
    SELECT h.key, h.pool_id, p.key AS pool, p.customer_id, p.unit_id INTO hold
    FROM billing_hold h JOIN billing_creditpool p ON p.id = h.pool_id WHERE h.id = in_hold;
    FOR part IN
        SELECT s.amount AS pinned, g.id, g.amount, g.remaining, g.cost, g.currency, g.recognised,
               coalesce(g.expires_at <= in_at, false) AS is_over,
               coalesce(u.decimals, 0) AS decimals
        FROM billing_holdslice s JOIN billing_creditgrant g ON g.id = s.grant_id
        LEFT JOIN billing_unitofaccount u ON u.code = g.currency
        WHERE s.hold_id = in_hold ORDER BY s.position
    LOOP
        taken := least(part.pinned, in_amount - in_use);
        in_use := in_use + taken;
        gone := CASE WHEN part.is_over THEN part.pinned ELSE taken END;
        after_use := part.recognised;
        after_all := part.recognised;
        IF part.cost > 0 THEN
            after_use := billing_recognised(
                part.cost, part.amount, part.remaining - taken, part.decimals);
            after_all := billing_recognised(
                part.cost, part.amount, part.remaining - gone, part.decimals);
        END IF;
        UPDATE billing_creditgrant SET remaining = part.remaining - gone,
            held = held - part.pinned, recognised = after_all WHERE id = part.id;
        IF taken > 0 THEN
            kinds := kinds || ARRAY['credit', 'used', 'deferred', 'revenue'];
            units := units || ARRAY[hold.unit_id, hold.unit_id, part.currency, part.currency];
            moved := moved || ARRAY[
                taken, -taken, after_use - part.recognised, part.recognised - after_use];
            grants := grants || ARRAY[part.id, part.id, part.id, part.id];
        END IF;
        IF gone > taken THEN
            expired_kinds := expired_kinds || ARRAY['credit', 'expired', 'deferred', 'breakage'];
            expired_units := expired_units
                || ARRAY[hold.unit_id, hold.unit_id, part.currency, part.currency];
            expired_moved := expired_moved || ARRAY[
                gone - taken, taken - gone, after_all - after_use, after_use - after_all];
            expired_grants := expired_grants || ARRAY[part.id, part.id, part.id, part.id];
        END IF;
    END LOOP;
    UPDATE billing_hold SET status = in_status, ended_at = in_at, used = in_use,
        asked = in_amount WHERE id = in_hold;
    IF kinds <> '{}' THEN
        PERFORM billing_post(hold.customer_id, 'use:' || hold.pool || ':' || hold.key, 'use',
                             in_at, kinds, units, moved, grants);
    END IF;
    IF expired_kinds <> '{}' THEN
        PERFORM billing_post(hold.customer_id, 'expiry:' || hold.pool || ':' || hold.key, 'expiry',
                             in_at, expired_kinds, expired_units, expired_moved, expired_grants);
    END IF;
    RETURN in_use;
END $$;

-- Take the locks under which a hold or a grant ends: the customer's first, then the pool's.
CREATE FUNCTION billing_lock_pool(in_pool bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM plans_customer c
    WHERE c.id = (SELECT customer_id FROM billing_creditpool WHERE id = in_pool)
    FOR NO KEY UPDATE;
    PERFORM FROM billing_creditpool p WHERE p.id = in_pool FOR NO KEY UPDATE;
END $$;

-- End a hold at its true amount; what lies above it is taken from the pool as far as it has
-- credit. `found_status` is what the hold was before. Settled again at the same amount, it answers
-- the same.
CREATE FUNCTION billing_settle_hold(in_hold bigint, in_amount numeric, in_at timestamptz)
RETURNS TABLE (found_status text, asked numeric, used numeric) LANGUAGE plpgsql AS $$
DECLARE
    hold billing_hold;
    more numeric;
    beyond bigint;
BEGIN
    SELECT h.* INTO hold FROM billing_hold h WHERE h.id = in_hold;
    PERFORM billing_lock_pool(hold.pool_id);
    SELECT h.* INTO hold FROM billing_hold h WHERE h.id = in_hold;
    found_status := hold.status;
    IF hold.status <> 'pending' THEN
        asked := hold.asked;
        SELECT hold.used + coalesce(sum(b.used), 0) INTO used
        FROM billing_hold b WHERE b.pool_id = hold.pool_id AND b.key = hold.key || ':beyond';
        RETURN NEXT;
        RETURN;
    END IF;
    asked := in_amount;
    used := billing_end_hold(in_hold, in_amount, in_at, 'posted');
    IF in_amount > used THEN
        SELECT least(in_amount - used, coalesce(sum(u.free), 0)) INTO more
        FROM billing_usable_grants(hold.pool_id, in_at, hold.meter, hold.job_class) u;
        IF more > 0 THEN
            SELECT b.hold_id INTO beyond FROM billing_place_hold(
                hold.pool_id, hold.key || ':beyond', more, in_at, in_at, hold.meter,
                hold.job_class) b;
            used := used + billing_end_hold(beyond, more, in_at, 'posted');
        END IF;
    END IF;
    RETURN NEXT;
END $$;

-- End a hold at nothing, by hand or by time. Returns what it was before; only one that is pending
-- ends, and by time only one whose time is up.
CREATE FUNCTION billing_release_hold(in_hold bigint, in_at timestamptz, in_status text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE hold billing_hold;
BEGIN
    SELECT h.* INTO hold FROM billing_hold h WHERE h.id = in_hold;
    PERFORM billing_lock_pool(hold.pool_id);
    SELECT h.* INTO hold FROM billing_hold h WHERE h.id = in_hold;
    IF hold.status = 'pending' AND (in_status = 'voided' OR hold.expires_at <= in_at) THEN
        PERFORM billing_end_hold(in_hold, 0, in_at, in_status);
    END IF;
    RETURN hold.status;
END $$;

-- Expire what is free of a grant whose time is up; up to `rollover_most` of it is carried on into
-- a new grant that lasts until `in_until`. Returns whether there was anything to do.
CREATE FUNCTION billing_expire_grant(in_grant bigint, in_at timestamptz, in_until timestamptz)
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
            needs_payment, rollover_most, rollover_months, rollovers_left, rolled_from_id,
            created_at)
        VALUES (pool.id, expiring.key || ':rolled', 'rollover', '', carried, carried, 0,
            expiring.priority, expiring.expires_at, in_until, expiring.meters,
            expiring.job_classes, after_all - after_expiry,
            CASE WHEN after_all > after_expiry THEN expiring.currency ELSE '' END, 0, false,
            expiring.rollover_most, expiring.rollover_months, expiring.rollovers_left - 1,
            in_grant, in_at)
        RETURNING id INTO rolled;
        PERFORM billing_post(pool.customer_id, 'rollover:' || mark, 'rollover',
            expiring.expires_at, ARRAY['credit', 'credit'], ARRAY[pool.unit_id, pool.unit_id],
            ARRAY[carried, -carried], ARRAY[in_grant, rolled]);
    END IF;
    RETURN true;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0010_credits")]

    operations = [migrations.RunSQL(USABLE + FORWARD + ENDING, REVERSE)]
