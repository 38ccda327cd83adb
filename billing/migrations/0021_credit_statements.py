"""What was bought, and what usage has drawn; Beat draws for running periods."""

from decimal import Decimal
from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from billing.schedule import ENTRIES
from usage.schedule import ensure_schedule, remove_schedule

OURS = [entry for entry in ENTRIES if entry.name == "Draw credit"]


def forwards(apps: Any, _schema_editor: Any) -> None:
    ensure_schedule(OURS, apps=apps)


def backwards(apps: Any, _schema_editor: Any) -> None:
    remove_schedule(OURS, apps=apps)


class Migration(migrations.Migration):

    dependencies = [
        ("billing", "0020_spend"),
        ("billing", "0020_spend"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
        ('plans', '0009_frozen_credit_and_job_terms'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='CreditSweep',
            fields=[
                ('customer', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='credit_sweep', serialize=False, to='plans.customer')),
                ('period_start', models.DateTimeField()),
                ('horizon', models.BigIntegerField()),
                ('swept_at', models.DateTimeField()),
            ],
        ),
        migrations.AlterField(
            model_name='statementline',
            name='kind',
            field=models.CharField(choices=[('charge', 'Charge'), ('adjustment', 'Adjustment of an earlier period'), ('credit_pack', 'Credit or units bought'), ('credit', 'Paid by credit')], max_length=12),
        ),
        migrations.CreateModel(
            name='CreditDraw',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('period_start', models.DateTimeField()),
                ('price_key', models.CharField(max_length=100)),
                ('line_key', models.CharField(blank=True, default='', max_length=430)),
                ('amount', models.DecimalField(decimal_places=12, max_digits=38)),
                ('returned', models.DecimalField(decimal_places=12, default=Decimal('0'), max_digits=38)),
                ('drawn_at', models.DateTimeField()),
                ('customer', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='credit_draws', to='plans.customer')),
                ('hold', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='draw', to='billing.hold')),
                ('statement', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='credit_draws', to='billing.statement')),
            ],
            options={
                'indexes': [models.Index(fields=['customer', 'period_start'], name='draw_of_period')],
                'constraints': [models.CheckConstraint(condition=models.Q(('amount__gt', 0), ('returned__gte', 0), ('returned__lte', models.F('amount'))), name='draw_adds_up', violation_error_message='No more is given back than was drawn.')],
            },
        ),
        migrations.CreateModel(
            name='CreditPurchase',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('pack_key', models.CharField(max_length=100)),
                ('price_key', models.CharField(blank=True, default='', max_length=100)),
                ('name', models.CharField(max_length=200)),
                ('quantity', models.PositiveIntegerField()),
                ('amount', models.DecimalField(decimal_places=4, max_digits=30)),
                ('bought_at', models.DateTimeField()),
                ('billed_on', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='credit_purchases', to='billing.statement')),
                ('bought_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='credit_purchases', to='plans.customer')),
                ('grant', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='purchase', to='billing.creditgrant')),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='plans.planversion')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('billed_on__isnull', True)), fields=['customer'], name='purchase_to_bill')],
                'constraints': [models.CheckConstraint(condition=models.Q(('amount__gte', 0), ('quantity__gt', 0)), name='purchase_of_something', violation_error_message='Buy at least one pack, at no less than nothing.')],
            },
        ),
        migrations.RunPython(forwards, backwards),
    ]
