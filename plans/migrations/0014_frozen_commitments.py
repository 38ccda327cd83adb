"""An approved commitment is frozen, but for its early end, which is set once."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION plans_commitment_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ending text[] := ARRAY['until_date', 'ended_on', 'shortfall_due', 'end_reason', 'ended_at',
                           'ended_by_id'];
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.ended_on IS NULL AND NEW.until_date <= OLD.until_date
        AND to_jsonb(NEW) - ending = to_jsonb(OLD) - ending THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'The commitment “%” is approved and frozen: end it, and make a new one.',
        OLD.key USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER plans_commitment_frozen BEFORE UPDATE OR DELETE ON plans_commitment
    FOR EACH ROW WHEN (OLD.approved_at IS NOT NULL)
    EXECUTE FUNCTION plans_commitment_frozen();

CREATE FUNCTION plans_instalment_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    frozen text;
    parents bigint[] := ARRAY[]::bigint[];
BEGIN
    IF TG_OP <> 'INSERT' THEN parents := parents || OLD.commitment_id; END IF;
    IF TG_OP <> 'DELETE' THEN parents := parents || NEW.commitment_id; END IF;
    SELECT key INTO frozen FROM plans_commitment
        WHERE id = ANY (parents) AND approved_at IS NOT NULL FOR SHARE;
    IF FOUND THEN
        RAISE EXCEPTION 'The commitment “%” is approved and frozen: end it, and make a new one.',
            frozen USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER plans_instalment_frozen BEFORE INSERT OR UPDATE OR DELETE
    ON plans_commitmentinstalment FOR EACH ROW EXECUTE FUNCTION plans_instalment_frozen();

CREATE TRIGGER history_frozen BEFORE UPDATE OR DELETE ON plans_historicalcommitment
    FOR EACH ROW EXECUTE FUNCTION plans_history_frozen();
"""

REVERSE = """
DROP TRIGGER history_frozen ON plans_historicalcommitment;
DROP TRIGGER plans_instalment_frozen ON plans_commitmentinstalment;
DROP FUNCTION plans_instalment_frozen;
DROP TRIGGER plans_commitment_frozen ON plans_commitment;
DROP FUNCTION plans_commitment_frozen;
"""


class Migration(migrations.Migration):
    dependencies = [("plans", "0013_commitments")]

    operations = [migrations.RunSQL(FORWARD, REVERSE)]
