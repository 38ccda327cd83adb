"""What the database itself holds: subjects, frozen versions and meters, fixed currency and zone."""

from django.db import migrations

FORWARD = """
-- Every customer's and workspace's key stands in plans_subject, so it is unique over both.
CREATE FUNCTION plans_keep_subject() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM plans_subject WHERE key = OLD.key;
        RETURN OLD;
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.key = OLD.key THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM plans_subject WHERE key = OLD.key;
    END IF;
    IF EXISTS (SELECT FROM plans_subject WHERE key = NEW.key) THEN
        RAISE EXCEPTION 'The key “%” is taken by another customer or workspace.', NEW.key
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'one_subject_per_key';
    END IF;
    IF TG_TABLE_NAME = 'plans_customer' THEN
        INSERT INTO plans_subject (key, customer_id) VALUES (NEW.key, NEW.id);
    ELSE
        INSERT INTO plans_subject (key, customer_id, workspace_id)
        VALUES (NEW.key, NEW.customer_id, NEW.id);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER plans_customer_subject AFTER INSERT OR UPDATE OF key ON plans_customer
    FOR EACH ROW EXECUTE FUNCTION plans_keep_subject();
CREATE TRIGGER plans_workspace_subject AFTER INSERT OR UPDATE OF key ON plans_workspace
    FOR EACH ROW EXECUTE FUNCTION plans_keep_subject();
CREATE TRIGGER plans_customer_subject_gone BEFORE DELETE ON plans_customer
    FOR EACH ROW EXECUTE FUNCTION plans_keep_subject();
CREATE TRIGGER plans_workspace_subject_gone BEFORE DELETE ON plans_workspace
    FOR EACH ROW EXECUTE FUNCTION plans_keep_subject();

-- A workspace never moves to another customer; currency and zone never change under a subscription.
CREATE FUNCTION plans_workspace_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'A workspace cannot move to another customer: make a new workspace there.'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER plans_workspace_stays BEFORE UPDATE ON plans_workspace
    FOR EACH ROW WHEN (NEW.customer_id <> OLD.customer_id)
    EXECUTE FUNCTION plans_workspace_stays();

CREATE FUNCTION plans_customer_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM plans_subscription WHERE customer_id = OLD.id) THEN
        RAISE EXCEPTION 'Currency and billing time zone of “%” are fixed by its first subscription.',
            OLD.key USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER plans_customer_fixed BEFORE UPDATE ON plans_customer
    FOR EACH ROW WHEN (NEW.currency <> OLD.currency OR NEW.time_zone <> OLD.time_zone)
    EXECUTE FUNCTION plans_customer_fixed();

-- A published version is frozen: only its end may be set, once, and nothing in it changes.
CREATE FUNCTION plans_version_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.effective_until IS NULL
        AND to_jsonb(NEW) - 'effective_until' = to_jsonb(OLD) - 'effective_until' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'Version % is published and frozen: make a new version from it.', OLD.number
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER plans_version_frozen BEFORE UPDATE OR DELETE ON plans_planversion
    FOR EACH ROW WHEN (OLD.published_at IS NOT NULL)
    EXECUTE FUNCTION plans_version_frozen();

-- Its prices are written under a share lock on the version: publishing waits for who is writing,
-- and who writes while it is being published waits and is refused.
CREATE FUNCTION plans_refuse_if_published(number integer, published timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF published IS NOT NULL THEN
        RAISE EXCEPTION 'Version % is published and frozen: make a new version from it.', number
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
END $$;

CREATE FUNCTION plans_price_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM plans_refuse_if_published(v.number, v.published_at)
        FROM plans_planversion v WHERE v.id = OLD.version_id FOR SHARE;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM plans_refuse_if_published(v.number, v.published_at)
        FROM plans_planversion v WHERE v.id = NEW.version_id FOR SHARE;
        RETURN NEW;
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER plans_price_frozen BEFORE INSERT OR UPDATE OR DELETE ON plans_price
    FOR EACH ROW EXECUTE FUNCTION plans_price_frozen();

CREATE FUNCTION plans_price_part_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM plans_refuse_if_published(v.number, v.published_at)
        FROM plans_price p JOIN plans_planversion v ON v.id = p.version_id
        WHERE p.id = OLD.price_id FOR SHARE OF v;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM plans_refuse_if_published(v.number, v.published_at)
        FROM plans_price p JOIN plans_planversion v ON v.id = p.version_id
        WHERE p.id = NEW.price_id FOR SHARE OF v;
        RETURN NEW;
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER plans_tier_frozen BEFORE INSERT OR UPDATE OR DELETE ON plans_tier
    FOR EACH ROW EXECUTE FUNCTION plans_price_part_frozen();
CREATE TRIGGER plans_rate_frozen BEFORE INSERT OR UPDATE OR DELETE ON plans_matrixrate
    FOR EACH ROW EXECUTE FUNCTION plans_price_part_frozen();

-- What a published price measures by cannot change under it.
CREATE FUNCTION plans_meter_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(NEW) - 'name' = to_jsonb(OLD) - 'name' THEN
        RETURN NEW;
    END IF;
    IF EXISTS (SELECT FROM plans_price p JOIN plans_planversion v ON v.id = p.version_id
               WHERE p.meter_id = OLD.id AND v.published_at IS NOT NULL) THEN
        RAISE EXCEPTION 'The meter “%” is priced by a published version: make a new meter.', OLD.key
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER plans_meter_frozen BEFORE UPDATE ON plans_meter
    FOR EACH ROW EXECUTE FUNCTION plans_meter_frozen();
"""

REVERSE = """
DROP TRIGGER plans_meter_frozen ON plans_meter;
DROP TRIGGER plans_rate_frozen ON plans_matrixrate;
DROP TRIGGER plans_tier_frozen ON plans_tier;
DROP TRIGGER plans_price_frozen ON plans_price;
DROP TRIGGER plans_version_frozen ON plans_planversion;
DROP TRIGGER plans_customer_fixed ON plans_customer;
DROP TRIGGER plans_workspace_stays ON plans_workspace;
DROP TRIGGER plans_workspace_subject_gone ON plans_workspace;
DROP TRIGGER plans_customer_subject_gone ON plans_customer;
DROP TRIGGER plans_workspace_subject ON plans_workspace;
DROP TRIGGER plans_customer_subject ON plans_customer;
DROP FUNCTION plans_meter_frozen, plans_price_part_frozen, plans_price_frozen,
    plans_refuse_if_published, plans_version_frozen, plans_customer_fixed, plans_workspace_stays,
    plans_keep_subject;
DELETE FROM plans_subject;
"""


class Migration(migrations.Migration):
    dependencies = [("plans", "0001_initial")]

    operations = [migrations.RunSQL(FORWARD, REVERSE)]
