"""The tables that grow: event keys, events partitioned by month, and the rollups over them."""

from django.db import migrations

FORWARD = """
CREATE TABLE usage_eventkey (
    source text NOT NULL,
    event_id text NOT NULL,
    customer_id bigint NOT NULL,
    "time" timestamptz NOT NULL,
    PRIMARY KEY (source, event_id)
);

CREATE TABLE usage_event (
    "time" timestamptz NOT NULL,
    customer_id bigint NOT NULL,
    workspace_id bigint,
    xid bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    type text NOT NULL,
    source text NOT NULL,
    event_id text NOT NULL,
    properties jsonb NOT NULL
) PARTITION BY RANGE ("time");
CREATE INDEX usage_event_customer_time ON usage_event (customer_id, "time");
CREATE INDEX usage_event_xid ON usage_event USING brin (xid)
    WITH (pages_per_range = 32, autosummarize = on);

CREATE TABLE usage_rollup (
    customer_id bigint NOT NULL,
    meter_id bigint NOT NULL,
    day date NOT NULL,
    workspace_id bigint,
    dimensions text[] NOT NULL,
    quantity numeric NOT NULL,
    latest_at timestamptz,
    events bigint NOT NULL,
    UNIQUE NULLS NOT DISTINCT (customer_id, day, meter_id, workspace_id, dimensions)
) WITH (fillfactor = 85);

-- An event is a fact: it is neither changed nor taken back. A correction is a new event. Only the
-- transaction number may be set anew, after a restore into a cluster that counts from elsewhere.
CREATE FUNCTION usage_event_is_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - 'xid' = to_jsonb(OLD) - 'xid' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'A usage event cannot be changed or deleted: send a new event that names it.'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER usage_event_immutable BEFORE UPDATE OR DELETE ON usage_event
    FOR EACH ROW EXECUTE FUNCTION usage_event_is_immutable();
CREATE TRIGGER usage_eventkey_immutable BEFORE UPDATE OR DELETE ON usage_eventkey
    FOR EACH ROW EXECUTE FUNCTION usage_event_is_immutable();

-- Events carry no foreign key (a check for every row would slow the ingest): a customer or
-- workspace with usage is kept by its own deletion being refused.
CREATE FUNCTION usage_keeps_owner() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE used boolean;
BEGIN
    IF TG_TABLE_NAME = 'plans_customer' THEN
        used := EXISTS (SELECT FROM usage_event WHERE customer_id = OLD.id);
    ELSE
        used := EXISTS (SELECT FROM usage_event
                        WHERE customer_id = OLD.customer_id AND workspace_id = OLD.id);
    END IF;
    IF used THEN
        RAISE EXCEPTION '“%” has usage and cannot be deleted.', OLD.key
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER usage_keeps_customer BEFORE DELETE ON plans_customer
    FOR EACH ROW EXECUTE FUNCTION usage_keeps_owner();
CREATE TRIGGER usage_keeps_workspace BEFORE DELETE ON plans_workspace
    FOR EACH ROW EXECUTE FUNCTION usage_keeps_owner();
"""

REVERSE = """
DROP TRIGGER usage_keeps_workspace ON plans_workspace;
DROP TRIGGER usage_keeps_customer ON plans_customer;
DROP FUNCTION usage_keeps_owner;
DROP TABLE usage_rollup, usage_event, usage_eventkey;
DROP FUNCTION usage_event_is_immutable;
"""


class Migration(migrations.Migration):
    dependencies = [("usage", "0001_initial"), ("plans", "0002_integrity")]

    operations = [migrations.RunSQL(FORWARD, REVERSE)]
