"""History: who changed what, when and why. Rows are added, and never changed or deleted."""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
import plans.models.fields
import simple_history.models
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models

SEEDED = {
    "customer": "id, key, name, email, currency, time_zone, requires_review, grace_hours",
    "feature": "id, key, name, description",
    "membership": "id, customer_id, user_id",
    "meter": "id, key, name, event_type, aggregation, value_property, dimensions, filters, "
    "rounding, rounding_multiple, unit",
    "plan": "id, key, name, description",
    "priceoverride": "id, price_key, content, starts_at, ends_at, reason, customer_id, meter_id, "
    "plan_id",
    "subscription": "id, starts_at, ends_at, anchor_date, phases_from, setup_waived, customer_id, "
    "plan_id",
    "workspace": "id, key, name, customer_id",
}
TABLES = [*(f"plans_historical{name}" for name in SEEDED), "plans_versionchange"]

# What is there already has its first entry now: how it stood when its history began.
SEED = "\n".join(
    f"INSERT INTO plans_historical{name} ({columns}, history_date, history_type)\n"
    f"SELECT {columns}, statement_timestamp(), '~' FROM plans_{name} ORDER BY id;"
    for name, columns in SEEDED.items()
)

FROZEN = """
CREATE FUNCTION plans_history_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'History is never changed or deleted: what was done stays on record.'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
""" + "\n".join(
    f"CREATE TRIGGER history_frozen BEFORE UPDATE OR DELETE ON {table}\n"
    "    FOR EACH ROW EXECUTE FUNCTION plans_history_frozen();"
    for table in TABLES
)
THAWED = "\n".join(f"DROP TRIGGER history_frozen ON {table};" for table in TABLES) + """
DROP FUNCTION plans_history_frozen;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('plans', '0006_reviews'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='HistoricalCustomer',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('key', models.CharField(help_text="The name that services send as an event's subject. It cannot be shared.", max_length=100, validators=[django.core.validators.RegexValidator('^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$', 'Use 1 to 100 letters, digits, and . _ : - ; start with a letter or a digit.', code='invalid_key')])),
                ('name', models.CharField(max_length=200)),
                ('email', models.EmailField(blank=True, default='', max_length=254)),
                ('currency', models.CharField(default='USD', max_length=3, validators=[plans.models.fields.validate_currency])),
                ('time_zone', models.CharField(default='UTC', max_length=64, validators=[plans.models.fields.validate_time_zone], verbose_name='billing time zone')),
                ('requires_review', models.BooleanField(default=False, help_text='A person must approve each statement before it is finalised.', verbose_name='statements are reviewed')),
                ('grace_hours', models.PositiveSmallIntegerField(default=48, help_text="Hours after a period's end in which late usage still enters its statement.", validators=[django.core.validators.MaxValueValidator(672)])),
                ('history_id', models.BigAutoField(editable=False, primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField()),
                ('history_change_reason', models.TextField(null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'historical customer',
                'verbose_name_plural': 'historical customers',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='HistoricalFeature',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('key', models.CharField(max_length=100, validators=[django.core.validators.RegexValidator('^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$', 'Use 1 to 100 letters, digits, and . _ : - ; start with a letter or a digit.', code='invalid_key')])),
                ('name', models.CharField(max_length=200)),
                ('description', models.TextField(blank=True, default='')),
                ('history_id', models.BigAutoField(editable=False, primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField()),
                ('history_change_reason', models.TextField(null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'historical feature',
                'verbose_name_plural': 'historical features',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='HistoricalMembership',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('history_id', models.BigAutoField(editable=False, primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField()),
                ('history_change_reason', models.TextField(null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('customer', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='plans.customer')),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('user', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'historical portal user',
                'verbose_name_plural': 'historical portal users',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='HistoricalMeter',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('key', models.CharField(max_length=100, validators=[django.core.validators.RegexValidator('^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$', 'Use 1 to 100 letters, digits, and . _ : - ; start with a letter or a digit.', code='invalid_key')])),
                ('name', models.CharField(max_length=200)),
                ('event_type', models.CharField(help_text='The CloudEvents type that feeds this meter.', max_length=200)),
                ('aggregation', models.CharField(choices=[('count', 'Count of events'), ('sum', 'Sum of a property'), ('max', 'Highest value of a property'), ('latest', 'Latest value of a property in the period'), ('unique_count', 'Number of different values of a property'), ('time_weighted', 'Sum of a level over time, in level-seconds')], max_length=20)),
                ('value_property', models.CharField(blank=True, default='', help_text='The event property that holds the value. Empty only for a count of events.', max_length=100)),
                ('dimensions', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=100), blank=True, default=list, help_text='Event properties that prices may tell apart, separated by commas.', size=None)),
                ('filters', models.JSONField(blank=True, default=dict, help_text='Only events with these property values count: {"status": ["succeeded"]}.')),
                ('rounding', models.CharField(choices=[('none', 'Not rounded'), ('up', 'Up to the next multiple'), ('nearest', 'To the nearest multiple'), ('down', 'Down to the last multiple')], default='none', max_length=10)),
                ('rounding_multiple', models.DecimalField(decimal_places=12, default=Decimal('1'), max_digits=30, validators=[django.core.validators.MinValueValidator(Decimal('1E-12'))])),
                ('unit', models.CharField(blank=True, default='', help_text='What is counted, in the plural: images.', max_length=40)),
                ('history_id', models.BigAutoField(editable=False, primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField()),
                ('history_change_reason', models.TextField(null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'historical meter',
                'verbose_name_plural': 'historical meters',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='HistoricalPlan',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('key', models.CharField(max_length=100, validators=[django.core.validators.RegexValidator('^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$', 'Use 1 to 100 letters, digits, and . _ : - ; start with a letter or a digit.', code='invalid_key')])),
                ('name', models.CharField(max_length=200)),
                ('description', models.TextField(blank=True, default='')),
                ('history_id', models.BigAutoField(editable=False, primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField()),
                ('history_change_reason', models.TextField(null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'historical plan',
                'verbose_name_plural': 'historical plans',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='HistoricalPriceOverride',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('price_key', models.CharField(max_length=100, validators=[django.core.validators.RegexValidator('^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$', 'Use 1 to 100 letters, digits, and . _ : - ; start with a letter or a digit.', code='invalid_key')])),
                ('content', models.JSONField()),
                ('starts_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField(blank=True, null=True)),
                ('reason', models.TextField(help_text='Why this customer has another price.')),
                ('history_id', models.BigAutoField(editable=False, primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField()),
                ('history_change_reason', models.TextField(null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('customer', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='plans.customer')),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('meter', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='plans.meter')),
                ('plan', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='plans.plan')),
            ],
            options={
                'verbose_name': 'historical price override',
                'verbose_name_plural': 'historical price overrides',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='HistoricalSubscription',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('starts_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField(blank=True, null=True)),
                ('anchor_date', models.DateField(blank=True, help_text='Empty: calendar months. A date: months are counted from it.', null=True)),
                ('phases_from', models.DateTimeField(blank=True, null=True)),
                ('setup_waived', models.BooleanField(default=False, verbose_name='setup fees are waived')),
                ('history_id', models.BigAutoField(editable=False, primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField()),
                ('history_change_reason', models.TextField(null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('customer', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='plans.customer')),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('plan', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='plans.plan')),
            ],
            options={
                'verbose_name': 'historical subscription',
                'verbose_name_plural': 'historical subscriptions',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='HistoricalWorkspace',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('key', models.CharField(help_text="The name that services send as an event's subject. It cannot be shared.", max_length=100, validators=[django.core.validators.RegexValidator('^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$', 'Use 1 to 100 letters, digits, and . _ : - ; start with a letter or a digit.', code='invalid_key')])),
                ('name', models.CharField(max_length=200)),
                ('history_id', models.BigAutoField(editable=False, primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField()),
                ('history_change_reason', models.TextField(null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('customer', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='plans.customer')),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'historical workspace',
                'verbose_name_plural': 'historical workspaces',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='VersionChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('what', models.CharField(choices=[('started', 'was started'), ('changed', 'was changed'), ('published', 'was published'), ('ended', 'was given an end'), ('deleted', 'was deleted')], max_length=10)),
                ('before', models.JSONField(null=True)),
                ('after', models.JSONField(null=True)),
                ('reason', models.TextField(blank=True, default='')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('plan', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='version_changes', to='plans.plan')),
                ('version', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='changes', to='plans.planversion')),
            ],
        ),
        migrations.RunSQL(SEED, migrations.RunSQL.noop),
        migrations.RunSQL(FROZEN, THAWED),
    ]
