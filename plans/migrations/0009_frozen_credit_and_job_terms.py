"""A published version's packs, allotments and job terms are frozen like its prices."""

from django.db import migrations

TABLES = ("creditpack", "creditallotment", "jobterms")
FORWARD = "\n".join(
    f"CREATE TRIGGER plans_{table}_frozen BEFORE INSERT OR UPDATE OR DELETE ON plans_{table}\n"
    "    FOR EACH ROW EXECUTE FUNCTION plans_price_frozen();"
    for table in TABLES
)
REVERSE = "\n".join(f"DROP TRIGGER plans_{table}_frozen ON plans_{table};" for table in TABLES)


class Migration(migrations.Migration):
    dependencies = [("plans", "0008_credit_and_job_terms")]

    operations = [migrations.RunSQL(FORWARD, REVERSE)]
