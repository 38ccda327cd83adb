"""A customer has a test clock from the beginning or never, and it only moves on."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION plans_clock_moves_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '“%” has a test clock from the beginning or never, and it only moves on.',
        OLD.key USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER plans_clock_moves_on BEFORE UPDATE OF clock_at ON plans_customer
    FOR EACH ROW WHEN (NEW.clock_at IS DISTINCT FROM OLD.clock_at
                       AND (OLD.clock_at IS NULL OR NEW.clock_at IS NULL
                            OR NEW.clock_at < OLD.clock_at))
    EXECUTE FUNCTION plans_clock_moves_on();
"""
REVERSE = """
DROP TRIGGER plans_clock_moves_on ON plans_customer;
DROP FUNCTION plans_clock_moves_on;
"""


class Migration(migrations.Migration):
    dependencies = [("plans", "0017_test_clocks_and_upgrades")]

    operations = [migrations.RunSQL(FORWARD, REVERSE)]
