"""Find the usage of jobs that started late: few events of few customers."""

from django.db import migrations

FORWARD = """
CREATE INDEX usage_event_late_start ON usage_event (customer_id, "time")
    WHERE source = 'tollgate/jobs' AND properties ? 'late_start';
"""
REVERSE = "DROP INDEX usage_event_late_start;"


class Migration(migrations.Migration):
    dependencies = [("usage", "0020_scopes")]

    operations = [migrations.RunSQL(FORWARD, REVERSE)]
