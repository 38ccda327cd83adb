"""Dry runs and their results; Beat finds those whose worker died."""

import django.contrib.postgres.fields
import django.db.models.deletion
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models

from billing.schedule import CONTINUE_DRY_RUNS
from usage.schedule import ensure_schedule, remove_schedule

CASCADE = """
ALTER TABLE billing_dryrunresult ADD CONSTRAINT billing_dryrunresult_of_run
    FOREIGN KEY (run_id) REFERENCES billing_dryrun (id) ON DELETE CASCADE
    DEFERRABLE INITIALLY DEFERRED
"""


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0005_statement_unpriced'),
        ('plans', '0002_integrity'),
        ('django_celery_beat', '0019_alter_periodictasks_options'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='DryRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('customer_keys', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=100), blank=True, default=list, size=None)),
                ('first_month', models.DateField()),
                ('last_month', models.DateField()),
                ('currency', models.CharField(max_length=3)),
                ('requested_at', models.DateTimeField()),
                ('started_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('claimed_until', models.DateTimeField(null=True)),
                ('reached_customer_id', models.BigIntegerField(default=0)),
                ('customers_total', models.PositiveIntegerField(default=0)),
                ('customers_done', models.PositiveIntegerField(default=0)),
                ('customers_failed', models.PositiveIntegerField(default=0)),
                ('customers_of_other_currency', models.PositiveIntegerField(default=0)),
                ('old_total', models.DecimalField(decimal_places=4, default=Decimal('0'), max_digits=30)),
                ('new_total', models.DecimalField(decimal_places=4, default=Decimal('0'), max_digits=30)),
                ('terms_digest', models.CharField(blank=True, default='', max_length=64)),
                ('fingerprint', models.CharField(blank=True, default='', max_length=64)),
                ('failure_code', models.CharField(blank=True, default='', max_length=60)),
                ('failure_reason', models.TextField(blank=True, default='')),
                ('plan', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='plans.plan')),
                ('requested_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='dry_runs', to='plans.planversion')),
            ],
        ),
        migrations.CreateModel(
            name='DryRunResult',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('old_amount', models.DecimalField(decimal_places=4, max_digits=30, null=True)),
                ('new_amount', models.DecimalField(decimal_places=4, max_digits=30, null=True)),
                ('newly_at_minimum', models.BooleanField(default=False)),
                ('newly_at_maximum', models.BooleanField(default=False)),
                ('newly_unpriced', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=100), blank=True, default=list, size=None)),
                ('error_code', models.CharField(blank=True, default='', max_length=60)),
                ('error_reason', models.TextField(blank=True, default='')),
                ('customer', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='plans.customer')),
                ('run', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='results', to='billing.dryrun')),
            ],
        ),
        migrations.AddIndex(
            model_name='dryrun',
            index=models.Index(condition=models.Q(('finished_at', None)), fields=['id'], name='dry_run_unfinished'),
        ),
        migrations.AddConstraint(
            model_name='dryrun',
            constraint=models.CheckConstraint(condition=models.Q(('last_month__gte', models.F('first_month'))), name='dry_run_months_in_order', violation_error_message='The last month is not before the first.'),
        ),
        migrations.AddConstraint(
            model_name='dryrun',
            constraint=models.CheckConstraint(condition=models.Q(('finished_at', None), models.Q(models.Q(('fingerprint', ''), _negated=True), ('failure_code', '')), models.Q(('fingerprint', ''), models.Q(('failure_code', ''), _negated=True)), _connector='OR'), name='dry_run_finished_whole'),
        ),
        migrations.AddConstraint(
            model_name='dryrunresult',
            constraint=models.UniqueConstraint(fields=('run', 'customer'), name='one_result_per_customer'),
        ),
        migrations.AddConstraint(
            model_name='dryrunresult',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('new_amount__isnull', False), ('old_amount__isnull', False)), models.Q(('error_code', ''), _negated=True), _connector='OR'), name='dry_run_result_or_error'),
        ),
        migrations.RunSQL(
            CASCADE,
            "ALTER TABLE billing_dryrunresult DROP CONSTRAINT billing_dryrunresult_of_run",
        ),
        migrations.RunPython(
            lambda apps, _: ensure_schedule([CONTINUE_DRY_RUNS], apps=apps),
            lambda apps, _: remove_schedule([CONTINUE_DRY_RUNS], apps=apps),
        ),
    ]
