"""A finalised statement and its lines are frozen by the database."""

from django.db import migrations

FORWARD = """
-- Room on each page, so that claiming a statement writes no index.
ALTER TABLE billing_statement SET (fillfactor = 50);

CREATE FUNCTION billing_statement_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Statement % is finalised: it cannot be changed. Correct it on a later one.',
        OLD.number USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER billing_statement_frozen BEFORE UPDATE OR DELETE ON billing_statement
    FOR EACH ROW WHEN (OLD.status = 'finalised') EXECUTE FUNCTION billing_statement_frozen();

-- One check for a whole COPY of lines rather than one for each line.
CREATE FUNCTION billing_lines_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE frozen text;
BEGIN
    SELECT s.number INTO frozen FROM changed c JOIN billing_statement s ON s.id = c.statement_id
    WHERE s.status = 'finalised' LIMIT 1;
    IF frozen IS NOT NULL THEN
        RAISE EXCEPTION 'Statement % is finalised: its lines cannot be changed.', frozen
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
-- The same for what foreign keys would check line by line.
CREATE FUNCTION billing_lines_known() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM (SELECT DISTINCT version_id FROM changed) c
               LEFT JOIN plans_planversion v ON v.id = c.version_id AND v.published_at IS NOT NULL
               WHERE v.id IS NULL) THEN
        RAISE EXCEPTION 'A line names a plan version that is not published.'
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    IF EXISTS (SELECT FROM (SELECT DISTINCT meter_id FROM changed WHERE meter_id IS NOT NULL) c
               LEFT JOIN plans_meter m ON m.id = c.meter_id WHERE m.id IS NULL) THEN
        RAISE EXCEPTION 'A line names a meter that does not exist.'
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER billing_lines_known AFTER INSERT ON billing_statementline
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION billing_lines_known();
CREATE TRIGGER billing_lines_known_still AFTER UPDATE ON billing_statementline
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION billing_lines_known();
CREATE TRIGGER billing_lines_no_insert AFTER INSERT ON billing_statementline
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION billing_lines_frozen();
CREATE TRIGGER billing_lines_no_update AFTER UPDATE ON billing_statementline
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION billing_lines_frozen();
CREATE TRIGGER billing_lines_no_delete AFTER DELETE ON billing_statementline
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION billing_lines_frozen();
"""

REVERSE = """
DROP TRIGGER billing_lines_known_still ON billing_statementline;
DROP TRIGGER billing_lines_known ON billing_statementline;
DROP TRIGGER billing_lines_no_delete ON billing_statementline;
DROP TRIGGER billing_lines_no_update ON billing_statementline;
DROP TRIGGER billing_lines_no_insert ON billing_statementline;
DROP TRIGGER billing_statement_frozen ON billing_statement;
DROP FUNCTION billing_lines_known, billing_lines_frozen, billing_statement_frozen;
ALTER TABLE billing_statement RESET (fillfactor);
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]

    operations = [migrations.RunSQL(FORWARD, REVERSE)]
