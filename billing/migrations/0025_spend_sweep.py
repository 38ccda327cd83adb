"""How far spend is rated, the indexes that find what is out of date, and Beat's sweep over it."""

from typing import Any

from django.db import migrations, models

from billing.schedule import RATE_SPEND
from usage.schedule import ensure_schedule, remove_schedule


def forwards(apps: Any, _schema_editor: Any) -> None:
    ensure_schedule([RATE_SPEND], apps=apps)


def backwards(apps: Any, _schema_editor: Any) -> None:
    remove_schedule([RATE_SPEND], apps=apps)


class Migration(migrations.Migration):

    dependencies = [('django_celery_beat', '0019_alter_periodictasks_options'),
        ("billing", "0024_admission"),
        ('plans', '0009_frozen_credit_and_job_terms'),
    ]

    operations = [
        migrations.CreateModel(
            name='SpendSweep',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('horizon', models.BigIntegerField(default=0)),
                ('swept_at', models.DateTimeField(null=True)),
                ('claimed_until', models.DateTimeField(null=True)),
            ],
        ),
        migrations.AddIndex(
            model_name='spend',
            index=models.Index(fields=['rated_at'], name='spend_to_rate_again'),
        ),
        migrations.AddIndex(
            model_name='spend',
            index=models.Index(fields=['period_end'], name='spend_period_over'),
        ),
        migrations.AddIndex(
            model_name='spend',
            index=models.Index(condition=models.Q(('problem_code', ''), _negated=True), fields=['rated_at'], name='spend_with_problem'),
        ),
        migrations.AddConstraint(
            model_name='spendsweep',
            constraint=models.CheckConstraint(condition=models.Q(('id', 1)), name='one_spend_sweep'),
        ),
        migrations.RunPython(forwards, backwards),
    ]
