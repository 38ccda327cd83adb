"""Put Beat's default schedule into its tables, where people see and edit it."""

from typing import Any

from django.db import migrations

from billing.schedule import ENTRIES as BILLING
from usage.schedule import ENTRIES as USAGE
from usage.schedule import ensure_schedule, remove_schedule


def forwards(apps: Any, _schema_editor: Any) -> None:
    ensure_schedule([*USAGE, *BILLING], apps=apps)


def backwards(apps: Any, _schema_editor: Any) -> None:
    remove_schedule([*USAGE, *BILLING], apps=apps)


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0003_staff_groups"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(forwards, backwards)]
