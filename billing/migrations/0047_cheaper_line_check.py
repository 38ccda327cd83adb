"""Whether lines are those of a finalised statement, asked of the statements that they are on.

By what was known of the month before, hardly any statement was finalised: so each COPY of lines
read the whole table of statements to find these few first. `status || ''` tells the planner nothing
of the kind. The rule is that of 0002.
"""

from django.db import migrations

FROZEN = """
CREATE OR REPLACE FUNCTION billing_lines_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE frozen text;
BEGIN
    SELECT s.number INTO frozen {of_finalised} LIMIT 1;
    IF frozen IS NOT NULL THEN
        RAISE EXCEPTION 'Statement % is finalised: its lines cannot be changed.', frozen
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
"""
BY_STATEMENT = """FROM (SELECT DISTINCT statement_id FROM changed) c
    JOIN billing_statement s ON s.id = c.statement_id AND s.status || '' = 'finalised'"""
BY_STATUS = """FROM changed c JOIN billing_statement s ON s.id = c.statement_id
    WHERE s.status = 'finalised'"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0046_requests_of_services")]

    operations = [
        migrations.RunSQL(
            FROZEN.replace("{of_finalised}", BY_STATEMENT),
            FROZEN.replace("{of_finalised}", BY_STATUS),
        )
    ]
