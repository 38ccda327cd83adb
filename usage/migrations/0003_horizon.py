"""Transaction numbers that stay in order over a restore, and the indexes that reads go by."""

from django.db import migrations, models

FORWARD = """
-- Keys and types are compared byte by byte, whatever language the database sorts in.
ALTER TABLE usage_eventkey
    ALTER source TYPE text COLLATE "C", ALTER event_id TYPE text COLLATE "C";
ALTER TABLE usage_event
    ALTER source TYPE text COLLATE "C", ALTER event_id TYPE text COLLATE "C",
    ALTER type TYPE text COLLATE "C", ALTER xid DROP DEFAULT;
ALTER TABLE usage_eventkey SET (
    autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE usage_rollup SET (
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

-- Events stored since a horizon are found by xid alone, or within one customer's time without
-- touching the rows. Both cost an insert less than a tenth more than no index on xid at all.
DROP INDEX usage_event_xid;
DROP INDEX usage_event_customer_time;
CREATE INDEX usage_event_xid ON usage_event (xid);
CREATE INDEX usage_event_customer_time ON usage_event (customer_id, "time", xid);

-- Transaction numbers begin anew when a dump is restored into another cluster. The epoch counts
-- those moves, so that epoch * 2^48 + number never goes back: an event stored after a restore
-- never looks older than a reading made before it.
CREATE FUNCTION usage_xid() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    here CONSTANT bigint := (SELECT system_identifier FROM pg_control_system());
    known bigint;
BEGIN
    SELECT epoch INTO known FROM usage_rollupstate WHERE system = here;
    IF NOT FOUND THEN
        INSERT INTO usage_rollupstate AS s (id, horizon, system, epoch, meters)
        VALUES (1, 0, here, 0, '{}')
        ON CONFLICT (id) DO UPDATE SET system = here, epoch = s.epoch + 1 WHERE s.system <> here;
        SELECT epoch INTO STRICT known FROM usage_rollupstate WHERE system = here;
    END IF;
    RETURN (known << 48) + pg_current_xact_id()::text::bigint;
END $$;
SELECT usage_xid();

-- Every event stored by a transaction before this number is visible to the calling statement.
CREATE FUNCTION usage_snapshot_horizon() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT (coalesce((SELECT s.epoch + (s.system <> c.system_identifier)::int
                      FROM usage_rollupstate s, pg_control_system() c), 0)::bigint << 48)
        + pg_snapshot_xmin(pg_current_snapshot())::text::bigint
$$;

-- A customer's days follow its zone: a new zone takes its usage out of the rollups, and the next
-- run takes it in again by the new days.
CREATE FUNCTION usage_follow_time_zone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM usage_rollupstate FOR UPDATE;
    DELETE FROM usage_rollup WHERE customer_id = NEW.id;
    IF EXISTS (SELECT FROM usage_event WHERE customer_id = NEW.id) THEN
        UPDATE usage_event SET xid = (SELECT usage_xid()) WHERE customer_id = NEW.id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER usage_follow_time_zone AFTER UPDATE OF time_zone ON plans_customer
    FOR EACH ROW WHEN (NEW.time_zone <> OLD.time_zone)
    EXECUTE FUNCTION usage_follow_time_zone();
"""

REVERSE = """
DROP TRIGGER usage_follow_time_zone ON plans_customer;
DROP FUNCTION usage_follow_time_zone, usage_snapshot_horizon, usage_xid;
DROP INDEX usage_event_xid;
DROP INDEX usage_event_customer_time;
CREATE INDEX usage_event_customer_time ON usage_event (customer_id, "time");
CREATE INDEX usage_event_xid ON usage_event USING brin (xid);
ALTER TABLE usage_event ALTER xid SET DEFAULT (pg_current_xact_id()::text::bigint);
"""


class Migration(migrations.Migration):
    dependencies = [("usage", "0002_events_and_rollups")]

    operations = [
        migrations.AddField(
            "rollupstate", "epoch", models.SmallIntegerField(default=0)
        ),
        migrations.AddField(
            "rollupstate", "meters", models.JSONField(default=dict)
        ),
        migrations.RunSQL(FORWARD, REVERSE),
    ]
