"""Commitments, their instalments and their history."""

import django.contrib.postgres.constraints
import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import plans.models.commitments
import plans.models.fields
import simple_history.models
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("plans", "0012_credit_units_frozen"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Commitment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(help_text='Unique for the customer.', max_length=100, validators=[django.core.validators.RegexValidator('^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$', 'Use 1 to 100 letters, digits, and . _ : - ; start with a letter or a digit.', code='invalid_key')])),
                ('name', models.CharField(help_text='As it stands on the statement.', max_length=200)),
                ('kind', models.CharField(choices=[('postpaid', 'Postpaid: usage is billed, and the shortfall at the end'), ('prepaid', 'Prepaid: paid ahead as credit, which usage draws on')], default='postpaid', max_length=8)),
                ('start_date', models.DateField(help_text="A day in the customer's time zone.", verbose_name='starts on')),
                ('until_date', models.DateField(editable=False)),
                ('currency', models.CharField(editable=False, max_length=3, validators=[plans.models.fields.validate_currency])),
                ('discount_percent', models.DecimalField(decimal_places=6, default=Decimal('0'), help_text='Percent off while usage is within the commitment.', max_digits=12, validators=[django.core.validators.MinValueValidator(Decimal('0'))], verbose_name='committed discount')),
                ('beyond_percent', models.DecimalField(blank=True, decimal_places=6, help_text='Percent off what lies beyond. Empty: the committed discount; 0: list prices.', max_digits=12, null=True, validators=[django.core.validators.MinValueValidator(Decimal('0'))], verbose_name='discount beyond')),
                ('counts', models.CharField(choices=[('net', 'Net: what usage costs after its discounts'), ('gross', 'Gross: the list value of usage')], default='net', max_length=5)),
                ('meters', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=100), blank=True, default=list, help_text='Keys of the meters whose usage counts. Empty: all.', size=None)),
                ('measured_by', models.CharField(choices=[('term', 'The whole term'), ('instalment', 'Each instalment alone')], default='term', help_text='At its end the shortfall is billed, or unused credit lapses.', max_length=10, verbose_name='measured against')),
                ('rollover_percent', models.DecimalField(decimal_places=6, default=Decimal('0'), help_text='Share of a prepaid amount that is carried on at most when it lapses.', max_digits=12, validators=[django.core.validators.MinValueValidator(Decimal('0'))])),
                ('rollover_months', models.PositiveSmallIntegerField(blank=True, help_text='For how long. Empty: for ever.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(120)])),
                ('author_ids', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, editable=False, size=None)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('approved_at', models.DateTimeField(editable=False, null=True)),
                ('ended_on', models.DateField(editable=False, null=True)),
                ('shortfall_due', models.BooleanField(default=False, editable=False)),
                ('end_reason', models.TextField(blank=True, default='', editable=False)),
                ('ended_at', models.DateTimeField(editable=False, null=True)),
                ('approved_by', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='commitments', to='plans.customer')),
                ('ended_by', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'permissions': [('approve_commitment', 'Can approve and end a commitment')],
            },
        ),
        migrations.CreateModel(
            name='CommitmentInstalment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField()),
                ('months', models.PositiveSmallIntegerField(validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(120)])),
                ('amount', models.DecimalField(decimal_places=12, max_digits=30, validators=[django.core.validators.MinValueValidator(Decimal('0.0001'))])),
                ('commitment', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='instalments', to='plans.commitment')),
            ],
        ),
        migrations.CreateModel(
            name='HistoricalCommitment',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('key', models.CharField(help_text='Unique for the customer.', max_length=100, validators=[django.core.validators.RegexValidator('^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$', 'Use 1 to 100 letters, digits, and . _ : - ; start with a letter or a digit.', code='invalid_key')])),
                ('name', models.CharField(help_text='As it stands on the statement.', max_length=200)),
                ('kind', models.CharField(choices=[('postpaid', 'Postpaid: usage is billed, and the shortfall at the end'), ('prepaid', 'Prepaid: paid ahead as credit, which usage draws on')], default='postpaid', max_length=8)),
                ('start_date', models.DateField(help_text="A day in the customer's time zone.", verbose_name='starts on')),
                ('until_date', models.DateField(editable=False)),
                ('currency', models.CharField(editable=False, max_length=3, validators=[plans.models.fields.validate_currency])),
                ('discount_percent', models.DecimalField(decimal_places=6, default=Decimal('0'), help_text='Percent off while usage is within the commitment.', max_digits=12, validators=[django.core.validators.MinValueValidator(Decimal('0'))], verbose_name='committed discount')),
                ('beyond_percent', models.DecimalField(blank=True, decimal_places=6, help_text='Percent off what lies beyond. Empty: the committed discount; 0: list prices.', max_digits=12, null=True, validators=[django.core.validators.MinValueValidator(Decimal('0'))], verbose_name='discount beyond')),
                ('counts', models.CharField(choices=[('net', 'Net: what usage costs after its discounts'), ('gross', 'Gross: the list value of usage')], default='net', max_length=5)),
                ('meters', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=100), blank=True, default=list, help_text='Keys of the meters whose usage counts. Empty: all.', size=None)),
                ('measured_by', models.CharField(choices=[('term', 'The whole term'), ('instalment', 'Each instalment alone')], default='term', help_text='At its end the shortfall is billed, or unused credit lapses.', max_length=10, verbose_name='measured against')),
                ('rollover_percent', models.DecimalField(decimal_places=6, default=Decimal('0'), help_text='Share of a prepaid amount that is carried on at most when it lapses.', max_digits=12, validators=[django.core.validators.MinValueValidator(Decimal('0'))])),
                ('rollover_months', models.PositiveSmallIntegerField(blank=True, help_text='For how long. Empty: for ever.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(120)])),
                ('author_ids', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, editable=False, size=None)),
                ('approved_at', models.DateTimeField(editable=False, null=True)),
                ('ended_on', models.DateField(editable=False, null=True)),
                ('shortfall_due', models.BooleanField(default=False, editable=False)),
                ('end_reason', models.TextField(blank=True, default='', editable=False)),
                ('ended_at', models.DateTimeField(editable=False, null=True)),
                ('history_id', models.BigAutoField(editable=False, primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField()),
                ('history_change_reason', models.TextField(null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('approved_by', models.ForeignKey(blank=True, db_constraint=False, editable=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('customer', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='plans.customer')),
                ('ended_by', models.ForeignKey(blank=True, db_constraint=False, editable=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'historical commitment',
                'verbose_name_plural': 'historical commitments',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.AddConstraint(
            model_name='commitment',
            constraint=models.UniqueConstraint(fields=('customer', 'key'), name='one_commitment_per_key', violation_error_message='The customer has another commitment with this key.'),
        ),
        migrations.AddConstraint(
            model_name='commitment',
            constraint=models.CheckConstraint(condition=models.Q(('until_date__gt', models.F('start_date'))), name='commitment_ends_after_start', violation_error_message='A commitment ends after it starts.'),
        ),
        migrations.AddConstraint(
            model_name='commitment',
            constraint=models.CheckConstraint(condition=models.Q(('approved_by', None), models.Q(('approved_at__isnull', False), models.Q(('author_ids__contains', [models.F('approved_by')]), _negated=True)), _connector='OR'), name='commitment_not_approved_by_author', violation_error_message='Nobody approves a commitment that they wrote.'),
        ),
        migrations.AddConstraint(
            model_name='commitment',
            constraint=models.CheckConstraint(condition=models.Q(('approved_at', None), ('approved_by__isnull', False), ('author_ids', []), _connector='OR'), name='commitment_approved_by_a_person', violation_error_message='A person approves what a person wrote.'),
        ),
        migrations.AddConstraint(
            model_name='commitment',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_on', None), ('shortfall_due', False)), models.Q(('approved_at__isnull', False), ('ended_on', models.F('until_date')), models.Q(('end_reason', ''), _negated=True)), _connector='OR'), name='commitment_end_is_whole', violation_error_message='An early end has a date and a reason.'),
        ),
        migrations.AddConstraint(
            model_name='commitment',
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(condition=models.Q(('approved_at__isnull', False)), expressions=[('customer', '='), (plans.models.commitments.DateRange('start_date', 'until_date'), '&&')], name='one_commitment_at_a_time', violation_error_message='The customer has another commitment at that time.'),
        ),
        migrations.AddConstraint(
            model_name='commitmentinstalment',
            constraint=models.UniqueConstraint(fields=('commitment', 'position'), name='one_instalment_per_position'),
        ),
        migrations.AddConstraint(
            model_name='commitmentinstalment',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0), ('months__gt', 0)), name='instalment_promises_something', violation_error_message='An instalment is more than nothing, for a month or more.'),
        ),
    ]
