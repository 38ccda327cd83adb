"""What is done as a pool runs low, and what a workspace takes of it; their history is frozen."""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import simple_history.models
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models

TABLES = (
    "billing_historicaltopup",
    "billing_historicallowbalance",
    "billing_historicalpoollimit",
)
FROZEN = "\n".join(
    f"CREATE TRIGGER history_frozen BEFORE UPDATE OR DELETE ON {table}\n"
    "    FOR EACH ROW EXECUTE FUNCTION plans_history_frozen();"
    for table in TABLES
)
THAWED = "\n".join(f"DROP TRIGGER history_frozen ON {table};" for table in TABLES)


class Migration(migrations.Migration):

    dependencies = [
        ("billing", "0030_outcome_requests"),
        ('plans', '0018_clock_moves_on'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='HistoricalLowBalance',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('threshold', models.DecimalField(decimal_places=12, max_digits=38, validators=[django.core.validators.MinValueValidator(Decimal('1E-12'))])),
                ('email', models.EmailField(blank=True, default='', help_text="Empty: the customer's own.", max_length=254)),
                ('history_id', models.BigAutoField(editable=False, primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField()),
                ('history_change_reason', models.TextField(null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
            ],
            options={
                'verbose_name': 'historical low balance',
                'verbose_name_plural': 'historical low balances',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='HistoricalPoolLimit',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('amount', models.DecimalField(decimal_places=12, max_digits=38, validators=[django.core.validators.MinValueValidator(Decimal('1E-12'))])),
                ('history_id', models.BigAutoField(editable=False, primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField()),
                ('history_change_reason', models.TextField(null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
            ],
            options={
                'verbose_name': 'historical pool limit',
                'verbose_name_plural': 'historical pool limits',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='HistoricalTopUp',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('threshold', models.DecimalField(decimal_places=12, help_text='A pack is bought while less than this is available.', max_digits=38, validators=[django.core.validators.MinValueValidator(Decimal('1E-12'))])),
                ('pack_key', models.CharField(max_length=100, validators=[django.core.validators.RegexValidator('^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$', 'Use 1 to 100 letters, digits, and . _ : - ; start with a letter or a digit.', code='invalid_key')])),
                ('most_per_period', models.PositiveSmallIntegerField(default=1, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000)], verbose_name='packs in a period at most')),
                ('cooldown_minutes', models.PositiveIntegerField(default=60, validators=[django.core.validators.MaxValueValidator(10080)], verbose_name='minutes between packs')),
                ('enabled', models.BooleanField(default=True)),
                ('failure', models.TextField(blank=True, default='', editable=False)),
                ('disabled_at', models.DateTimeField(editable=False, null=True)),
                ('history_id', models.BigAutoField(editable=False, primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField()),
                ('history_change_reason', models.TextField(null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
            ],
            options={
                'verbose_name': 'historical top up',
                'verbose_name_plural': 'historical top ups',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='LowBalance',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('threshold', models.DecimalField(decimal_places=12, max_digits=38, validators=[django.core.validators.MinValueValidator(Decimal('1E-12'))])),
                ('email', models.EmailField(blank=True, default='', help_text="Empty: the customer's own.", max_length=254)),
            ],
        ),
        migrations.CreateModel(
            name='LowBalanceAlert',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('threshold', models.DecimalField(decimal_places=12, max_digits=38)),
                ('available', models.DecimalField(decimal_places=12, max_digits=38)),
                ('email', models.EmailField(blank=True, default='', max_length=254)),
                ('created_at', models.DateTimeField()),
                ('rearmed_at', models.DateTimeField(null=True)),
                ('claimed_until', models.DateTimeField(null=True)),
                ('sent_at', models.DateTimeField(null=True)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('failure', models.TextField(blank=True, default='')),
            ],
        ),
        migrations.CreateModel(
            name='PoolLimit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('amount', models.DecimalField(decimal_places=12, max_digits=38, validators=[django.core.validators.MinValueValidator(Decimal('1E-12'))])),
            ],
        ),
        migrations.CreateModel(
            name='TopUp',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('threshold', models.DecimalField(decimal_places=12, help_text='A pack is bought while less than this is available.', max_digits=38, validators=[django.core.validators.MinValueValidator(Decimal('1E-12'))])),
                ('pack_key', models.CharField(max_length=100, validators=[django.core.validators.RegexValidator('^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$', 'Use 1 to 100 letters, digits, and . _ : - ; start with a letter or a digit.', code='invalid_key')])),
                ('most_per_period', models.PositiveSmallIntegerField(default=1, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000)], verbose_name='packs in a period at most')),
                ('cooldown_minutes', models.PositiveIntegerField(default=60, validators=[django.core.validators.MaxValueValidator(10080)], verbose_name='minutes between packs')),
                ('enabled', models.BooleanField(default=True)),
                ('failures', models.PositiveSmallIntegerField(default=0, editable=False)),
                ('failure_code', models.CharField(blank=True, default='', editable=False, max_length=60)),
                ('failure', models.TextField(blank=True, default='', editable=False)),
                ('failed_at', models.DateTimeField(editable=False, null=True)),
                ('next_try_at', models.DateTimeField(editable=False, null=True)),
                ('disabled_at', models.DateTimeField(editable=False, null=True)),
            ],
        ),
        migrations.AddField(
            model_name='hold',
            name='workspace',
            field=models.ForeignKey(db_index=False, help_text='Whose limit in the pool it counts against.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='plans.workspace'),
        ),
        migrations.AlterField(
            model_name='historicalwebhookendpoint',
            name='event_types',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('budget.alert', 'A budget reached one of its shares'), ('budget.forecast', 'A budget will end before its period'), ('credit.low_balance', 'A pool of credit is low'), ('job.settled', 'A job was settled'), ('job.expired', 'A job fell silent and expired'), ('statement.finalised', 'A statement was finalised'), ('endpoint.test', 'A test, sent by hand')], max_length=30), size=None),
        ),
        migrations.AlterField(
            model_name='webhookendpoint',
            name='event_types',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('budget.alert', 'A budget reached one of its shares'), ('budget.forecast', 'A budget will end before its period'), ('credit.low_balance', 'A pool of credit is low'), ('job.settled', 'A job was settled'), ('job.expired', 'A job fell silent and expired'), ('statement.finalised', 'A statement was finalised'), ('endpoint.test', 'A test, sent by hand')], max_length=30), size=None),
        ),
        migrations.AlterField(
            model_name='webhookevent',
            name='type',
            field=models.CharField(choices=[('budget.alert', 'A budget reached one of its shares'), ('budget.forecast', 'A budget will end before its period'), ('credit.low_balance', 'A pool of credit is low'), ('job.settled', 'A job was settled'), ('job.expired', 'A job fell silent and expired'), ('statement.finalised', 'A statement was finalised'), ('endpoint.test', 'A test, sent by hand')], max_length=30),
        ),
        migrations.AddIndex(
            model_name='hold',
            index=models.Index(condition=models.Q(('workspace__isnull', False)), fields=['workspace', 'pool', 'held_at'], name='hold_of_workspace'),
        ),
        migrations.AddField(
            model_name='historicallowbalance',
            name='history_user',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='historicallowbalance',
            name='pool',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='billing.creditpool'),
        ),
        migrations.AddField(
            model_name='historicalpoollimit',
            name='history_user',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='historicalpoollimit',
            name='pool',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='billing.creditpool'),
        ),
        migrations.AddField(
            model_name='historicalpoollimit',
            name='workspace',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='plans.workspace'),
        ),
        migrations.AddField(
            model_name='historicaltopup',
            name='history_user',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='historicaltopup',
            name='pool',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='billing.creditpool'),
        ),
        migrations.AddField(
            model_name='lowbalance',
            name='pool',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='low_balance', to='billing.creditpool'),
        ),
        migrations.AddField(
            model_name='lowbalancealert',
            name='pool',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='low_balance_alerts', to='billing.creditpool'),
        ),
        migrations.AddField(
            model_name='poollimit',
            name='pool',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='limits', to='billing.creditpool'),
        ),
        migrations.AddField(
            model_name='poollimit',
            name='workspace',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='pool_limits', to='plans.workspace'),
        ),
        migrations.AddField(
            model_name='topup',
            name='pool',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='top_up', to='billing.creditpool'),
        ),
        migrations.AddConstraint(
            model_name='lowbalance',
            constraint=models.CheckConstraint(condition=models.Q(('threshold__gt', 0)), name='low_balance_of_something'),
        ),
        migrations.AddIndex(
            model_name='lowbalancealert',
            index=models.Index(condition=models.Q(('sent_at', None)), fields=['id'], name='low_balance_unsent'),
        ),
        migrations.AddConstraint(
            model_name='lowbalancealert',
            constraint=models.UniqueConstraint(condition=models.Q(('rearmed_at', None)), fields=('pool',), name='one_low_balance_alert_at_a_time'),
        ),
        migrations.AddConstraint(
            model_name='poollimit',
            constraint=models.UniqueConstraint(fields=('pool', 'workspace'), name='one_limit_per_workspace', violation_error_message='The workspace has a limit in this pool: change it.'),
        ),
        migrations.AddConstraint(
            model_name='poollimit',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='pool_limit_of_something', violation_error_message='A limit is more than zero.'),
        ),
        migrations.AddIndex(
            model_name='topup',
            index=models.Index(condition=models.Q(('failures__gt', 0)), fields=['failed_at'], name='top_up_failing'),
        ),
        migrations.AddConstraint(
            model_name='topup',
            constraint=models.CheckConstraint(condition=models.Q(('most_per_period__gt', 0), ('threshold__gt', 0)), name='top_up_of_something', violation_error_message='A top-up has a threshold and buys at least one pack.'),
        ),
        migrations.RunSQL(FROZEN, reverse_sql=THAWED),
    ]
