"""Whom was asked for a word on outcomes, and the task that asks."""

import django.db.models.deletion
from django.db import migrations, models

from billing.schedule import ENTRIES
from usage.schedule import ensure_schedule, remove_schedule

OURS = [entry for entry in ENTRIES if entry.name == "Ask for verification"]


def forwards(apps, _schema_editor):
    ensure_schedule(OURS, apps=apps)


def backwards(apps, _schema_editor):
    remove_schedule(OURS, apps=apps)



class Migration(migrations.Migration):

    dependencies = [
        ('django_celery_beat', '0019_alter_periodictasks_options'),
        ('usage', '0010_outcomes'),
        ("billing", "0027_commitment_lines"),
        ('plans', '0011_outcome_contract_rules'),
    ]

    operations = [
        migrations.CreateModel(
            name='OutcomeRequest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('first', models.BigIntegerField()),
                ('last', models.BigIntegerField()),
                ('email', models.EmailField(max_length=254)),
                ('noted_at', models.DateTimeField()),
                ('sent_at', models.DateTimeField(null=True)),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='plans.customer')),
            ],
        ),
        migrations.RunPython(forwards, backwards),
    ]
