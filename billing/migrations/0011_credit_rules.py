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
DROP FUNCTION billing_place_hold;
DROP FUNCTION billing_usable_grants;
DROP TRIGGER billing_slice_stays ON billing_holdslice;
DROP TRIGGER billing_hold_ends_once ON billing_hold;
DROP TRIGGER billing_grant_stands ON billing_creditgrant;
DROP FUNCTION billing_hold_ends_once, billing_grant_stands;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0010_credits")]

    operations = [migrations.RunSQL(USABLE + FORWARD, REVERSE)]
