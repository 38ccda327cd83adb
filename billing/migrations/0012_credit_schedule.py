"""Put what Beat does for credit and the ledger into its tables."""

from typing import Any

from django.db import migrations

from billing.schedule import ENTRIES
from usage.schedule import ensure_schedule, remove_schedule

OURS = [entry for entry in ENTRIES if entry.name in ("Expire credit", "Check the ledger")]


def forwards(apps: Any, _schema_editor: Any) -> None:
    ensure_schedule(OURS, apps=apps)


def backwards(apps: Any, _schema_editor: Any) -> None:
    remove_schedule(OURS, apps=apps)


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0011_credit_rules"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(forwards, backwards)]
