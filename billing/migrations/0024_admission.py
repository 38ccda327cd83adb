"""What admission keeps on the row of spend, and the sweep over silent jobs."""

from decimal import Decimal
from typing import Any

from django.db import migrations, models

from billing.schedule import EXPIRE_JOBS
from usage.schedule import ensure_schedule, remove_schedule


def forwards(apps: Any, _schema_editor: Any) -> None:
    ensure_schedule([EXPIRE_JOBS], apps=apps)


def backwards(apps: Any, _schema_editor: Any) -> None:
    remove_schedule([EXPIRE_JOBS], apps=apps)


class Migration(migrations.Migration):

    dependencies = [
        ("billing", "0022_draw_credit_schedule"), ('usage', '0009_job_holds'),
    ]

    operations = [
        migrations.AddField(
            model_name='spend',
            name='pending',
            field=models.JSONField(default=list, help_text='What all jobs together hold or have used that is not rated yet: [meter, dimension values, quantity] each.'),
        ),
        migrations.AddField(
            model_name='spend',
            name='unpaid',
            field=models.DecimalField(decimal_places=12, default=Decimal('0'), help_text='What jobs cost above their hold, where that stops new ones.', max_digits=30),
        ),
        migrations.AddField(
            model_name='spend',
            name='unpaid_at',
            field=models.DateTimeField(help_text='When the last of these jobs ended.', null=True),
        ),
        migrations.RunPython(forwards, backwards),
    ]
