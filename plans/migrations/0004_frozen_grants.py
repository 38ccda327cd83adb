"""What the database holds of grants and agreed prices: frozen with their version, or at once."""

from django.db import migrations

TABLES = ("versionfeature", "limit", "serviceclass", "phase")

METER_FROZEN = """
CREATE OR REPLACE FUNCTION plans_meter_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(NEW) - 'name' = to_jsonb(OLD) - 'name' THEN
        RETURN NEW;
    END IF;
    IF EXISTS (SELECT FROM plans_price p JOIN plans_planversion v ON v.id = p.version_id
               WHERE p.meter_id = OLD.id AND v.published_at IS NOT NULL) {or_agreed} THEN
        RAISE EXCEPTION 'The meter “%” is priced by a published version: make a new meter.', OLD.key
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
"""
OR_AGREED = "OR EXISTS (SELECT FROM plans_priceoverride WHERE meter_id = OLD.id)"

FORWARD = "\n".join(
    f"CREATE TRIGGER plans_{table}_frozen BEFORE INSERT OR UPDATE OR DELETE ON plans_{table}\n"
    "    FOR EACH ROW EXECUTE FUNCTION plans_price_frozen();"
    for table in TABLES
) + """
CREATE FUNCTION plans_override_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.ends_at IS NULL
        AND to_jsonb(NEW) - 'ends_at' = to_jsonb(OLD) - 'ends_at' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'The agreed price “%” is frozen: end it, and agree on a new one.',
        OLD.price_key USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER plans_override_frozen BEFORE UPDATE OR DELETE ON plans_priceoverride
    FOR EACH ROW EXECUTE FUNCTION plans_override_frozen();

-- A subscription is kept on a published version of its own plan, in its customer's currency.
CREATE FUNCTION plans_pin_fits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM plans_subscription s
        JOIN plans_customer c ON c.id = s.customer_id
        JOIN plans_planversion v ON v.plan_id = s.plan_id AND v.currency = c.currency
        WHERE s.id = NEW.subscription_id AND v.id = NEW.version_id AND v.published_at IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'A subscription is kept on a published version of its plan, in its currency.'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER plans_pin_fits BEFORE INSERT OR UPDATE ON plans_versionpin
    FOR EACH ROW EXECUTE FUNCTION plans_pin_fits();
""" + METER_FROZEN.replace("{or_agreed}", OR_AGREED)

REVERSE = METER_FROZEN.replace("{or_agreed}", "") + """
DROP TRIGGER plans_pin_fits ON plans_versionpin;
DROP FUNCTION plans_pin_fits;
DROP TRIGGER plans_override_frozen ON plans_priceoverride;
DROP FUNCTION plans_override_frozen;
""" + "\n".join(
    f"DROP TRIGGER plans_{table}_frozen ON plans_{table};" for table in TABLES
)


class Migration(migrations.Migration):
    dependencies = [("plans", "0003_everything_a_plan_says")]

    operations = [migrations.RunSQL(FORWARD, REVERSE)]
