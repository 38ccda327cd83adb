"""Let Beat grant what plans allot, and draw credit for running periods."""

from typing import Any

from django.db import migrations

from billing.schedule import ENTRIES
from usage.schedule import ensure_schedule, remove_schedule

OURS = [entry for entry in ENTRIES if entry.name == "Draw credit"]


def forwards(apps: Any, _schema_editor: Any) -> None:
    ensure_schedule(OURS, apps=apps)


def backwards(apps: Any, _schema_editor: Any) -> None:
    remove_schedule(OURS, apps=apps)


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0021_credit_statements"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(forwards, backwards)]
