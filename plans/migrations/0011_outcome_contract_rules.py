"""What the database holds of outcome contracts: submitted is frozen, published stays, reviews stay."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION plans_contract_version_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    steps text[] := ARRAY['submitted_at', 'submitted_by_id', 'approved_at', 'approved_by_id',
                          'published_at', 'published_by_id', 'effective_from', 'effective_until'];
BEGIN
    IF OLD.published_at IS NOT NULL THEN
        IF TG_OP = 'UPDATE' AND OLD.effective_until IS NULL
            AND to_jsonb(NEW) - 'effective_until' = to_jsonb(OLD) - 'effective_until' THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'Version % is published and frozen: make a new version from it.',
            OLD.number USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - steps = to_jsonb(OLD) - steps
        AND (NEW.published_at IS NULL OR OLD.approved_at IS NOT NULL) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'Version % is submitted and frozen: withdraw it to change it.', OLD.number
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER plans_contract_version_frozen
    BEFORE UPDATE OR DELETE ON plans_outcomecontractversion
    FOR EACH ROW WHEN (OLD.published_at IS NOT NULL OR OLD.submitted_at IS NOT NULL)
    EXECUTE FUNCTION plans_contract_version_frozen();

CREATE FUNCTION plans_contract_authors() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT OLD.author_ids <@ NEW.author_ids THEN
        RAISE EXCEPTION 'Who had a part in version % stays its author.', OLD.number
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER plans_contract_authors BEFORE UPDATE ON plans_outcomecontractversion
    FOR EACH ROW EXECUTE FUNCTION plans_contract_authors();

-- Outcomes and statements name a published contract, and show its name.
CREATE FUNCTION plans_contract_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM plans_outcomecontractversion v
               WHERE v.contract_id = OLD.id AND v.published_at IS NOT NULL)
        AND (TG_OP = 'DELETE' OR to_jsonb(NEW) <> to_jsonb(OLD)) THEN
        RAISE EXCEPTION 'The contract “%” is published and frozen: make a new one.', OLD.key
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER plans_contract_frozen BEFORE UPDATE OR DELETE ON plans_outcomecontract
    FOR EACH ROW EXECUTE FUNCTION plans_contract_frozen();

CREATE TRIGGER plans_contract_review_stays
    BEFORE UPDATE OR DELETE ON plans_outcomecontractreview
    FOR EACH ROW EXECUTE FUNCTION plans_review_stays();
CREATE TRIGGER history_frozen BEFORE UPDATE OR DELETE ON plans_historicaloutcomecontract
    FOR EACH ROW EXECUTE FUNCTION plans_history_frozen();
"""
REVERSE = """
DROP TRIGGER history_frozen ON plans_historicaloutcomecontract;
DROP TRIGGER plans_contract_review_stays ON plans_outcomecontractreview;
DROP TRIGGER plans_contract_frozen ON plans_outcomecontract;
DROP FUNCTION plans_contract_frozen;
DROP TRIGGER plans_contract_authors ON plans_outcomecontractversion;
DROP FUNCTION plans_contract_authors;
DROP TRIGGER plans_contract_version_frozen ON plans_outcomecontractversion;
DROP FUNCTION plans_contract_version_frozen;
"""


class Migration(migrations.Migration):
    dependencies = [("plans", "0010_outcome_contracts")]

    operations = [migrations.RunSQL(FORWARD, REVERSE)]
