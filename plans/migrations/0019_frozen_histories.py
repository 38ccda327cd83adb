"""The histories of budgets, credits and job classes are frozen like the others."""

from django.db import migrations

TABLES = ("budget", "creditunit", "jobclass")
FORWARD = "\n".join(
    f"CREATE TRIGGER history_frozen BEFORE UPDATE OR DELETE ON plans_historical{table}\n"
    "    FOR EACH ROW EXECUTE FUNCTION plans_history_frozen();"
    for table in TABLES
)
REVERSE = "\n".join(f"DROP TRIGGER history_frozen ON plans_historical{table};" for table in TABLES)


class Migration(migrations.Migration):
    dependencies = [("plans", "0018_clock_moves_on")]

    operations = [migrations.RunSQL(FORWARD, REVERSE)]
