"""The staff groups with their permissions, from the first day."""

from django.db import migrations

from billing.staff import ensure_groups, remove_groups


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("plans", "0002_integrity"),
        ("usage", "0002_events_and_rollups"),
        ("billing", "0002_frozen_statements"),
    ]

    operations = [
        migrations.RunPython(
            lambda apps, schema_editor: ensure_groups(),
            lambda apps, schema_editor: remove_groups(),
        )
    ]
