"""The decimals of a credit that published terms are in are frozen: they say how usage is rounded."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION plans_credit_unit_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM plans_planversion v
        WHERE v.published_at IS NOT NULL AND (
            EXISTS (SELECT FROM plans_price p
                    WHERE p.version_id = v.id AND p.credit_unit_id = OLD.code)
            OR EXISTS (SELECT FROM plans_creditpack p
                       WHERE p.version_id = v.id AND p.unit_id = OLD.code)
            OR EXISTS (SELECT FROM plans_creditallotment a
                       WHERE a.version_id = v.id AND a.unit_id = OLD.code)
        )
    ) OR EXISTS (SELECT FROM plans_priceoverride o WHERE o.content ->> 'credit' = OLD.code) THEN
        RAISE EXCEPTION 'Published terms are in % with % decimals: define another credit.',
            OLD.code, OLD.decimals
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER plans_credit_unit_frozen BEFORE UPDATE ON plans_creditunit
    FOR EACH ROW WHEN (NEW.decimals <> OLD.decimals OR NEW.code <> OLD.code)
    EXECUTE FUNCTION plans_credit_unit_frozen();
"""

REVERSE = """
DROP TRIGGER plans_credit_unit_frozen ON plans_creditunit;
DROP FUNCTION plans_credit_unit_frozen;
"""


class Migration(migrations.Migration):
    dependencies = [("plans", "0011_outcome_contract_rules")]

    operations = [migrations.RunSQL(FORWARD, REVERSE)]
