"""The history of webhook endpoints is frozen like the others."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER history_frozen BEFORE UPDATE OR DELETE ON billing_historicalwebhookendpoint
    FOR EACH ROW EXECUTE FUNCTION plans_history_frozen();
"""
REVERSE = "DROP TRIGGER history_frozen ON billing_historicalwebhookendpoint;"


class Migration(migrations.Migration):
    dependencies = [("billing", "0040_top_up")]

    operations = [migrations.RunSQL(FORWARD, REVERSE)]
