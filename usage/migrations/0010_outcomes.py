"""Outcomes and their steps, and what the database holds of them."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from usage.schedule import ENTRIES, ensure_schedule, remove_schedule

OURS = [entry for entry in ENTRIES if entry.name == "Settle outcomes"]


FORWARD = """
-- What was claimed stays; a state moves as the contract of usage.outcome_states says.
CREATE FUNCTION usage_outcome_moves() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moving text[] := ARRAY['state', 'steps', 'decided_at', 'dispute_by', 'release_at',
                           'released_at'];
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'The outcome “%” stays on record: reverse it instead.', OLD.key
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF to_jsonb(NEW) - moving <> to_jsonb(OLD) - moving
        OR NEW.steps <> OLD.steps + 1
        OR (OLD.released_at IS NOT NULL AND NEW.released_at IS DISTINCT FROM OLD.released_at) THEN
        RAISE EXCEPTION 'What was claimed of “%” stays: take a step instead.', OLD.key
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
        ('pending', 'verified'), ('pending', 'rejected'), ('verified', 'disputed'),
        ('disputed', 'upheld'), ('disputed', 'dismissed'), ('verified', 'reversed'),
        ('dismissed', 'reversed')) THEN
        RAISE EXCEPTION 'An outcome that is % cannot become %.', OLD.state, NEW.state
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER usage_outcome_moves BEFORE UPDATE OR DELETE ON usage_outcome
    FOR EACH ROW EXECUTE FUNCTION usage_outcome_moves();

CREATE FUNCTION usage_outcome_step_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'What was done with an outcome stays: take another step instead.'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER usage_outcome_step_stays BEFORE UPDATE OR DELETE ON usage_outcomestep
    FOR EACH ROW EXECUTE FUNCTION usage_outcome_step_stays();
"""
REVERSE = """
DROP TRIGGER usage_outcome_step_stays ON usage_outcomestep;
DROP FUNCTION usage_outcome_step_stays;
DROP TRIGGER usage_outcome_moves ON usage_outcome;
DROP FUNCTION usage_outcome_moves;
"""


def schedule(apps, schema_editor):
    ensure_schedule(OURS, apps=apps)


def unschedule(apps, schema_editor):
    remove_schedule(OURS, apps=apps)


class Migration(migrations.Migration):

    dependencies = [
        ('django_celery_beat', '0019_alter_periodictasks_options'),
        ('plans', '0011_outcome_contract_rules'),
        ("usage", "0009_job_holds"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name='apikey',
            name='scopes',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('ingest', 'Post usage events'), ('jobs', 'Ask for admission of jobs'), ('outcomes', 'Claim and verify outcomes'), ('read', 'Read customers, usage and statements')], max_length=10), size=None),
        ),
        migrations.AlterField(
            model_name='historicalapikey',
            name='scopes',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('ingest', 'Post usage events'), ('jobs', 'Ask for admission of jobs'), ('outcomes', 'Claim and verify outcomes'), ('read', 'Read customers, usage and statements')], max_length=10), size=None),
        ),
        migrations.CreateModel(
            name='Outcome',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=200)),
                ('happened_at', models.DateTimeField()),
                ('claimed_at', models.DateTimeField()),
                ('recorded_at', models.DateTimeField()),
                ('evidence', models.JSONField()),
                ('value', models.DecimalField(decimal_places=12, max_digits=40)),
                ('has_bonus', models.BooleanField(default=False)),
                ('is_sampled', models.BooleanField(default=False)),
                ('job', models.CharField(blank=True, default='', max_length=200)),
                ('attempt', models.PositiveIntegerField(null=True)),
                ('digest', models.CharField(max_length=64)),
                ('state', models.CharField(choices=[('pending', 'Pending'), ('verified', 'Verified'), ('rejected', 'Rejected'), ('disputed', 'Disputed'), ('upheld', 'Dispute upheld'), ('dismissed', 'Dispute dismissed'), ('reversed', 'Reversed')], max_length=10)),
                ('steps', models.PositiveSmallIntegerField()),
                ('decided_at', models.DateTimeField(null=True)),
                ('verify_by', models.DateTimeField(null=True)),
                ('dispute_by', models.DateTimeField(null=True)),
                ('release_at', models.DateTimeField(null=True)),
                ('released_at', models.DateTimeField(null=True)),
                ('contract', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='outcomes', to='plans.outcomecontract')),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='outcomes', to='plans.customer')),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='outcomes', to='plans.outcomecontractversion')),
                ('workspace', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='outcomes', to='plans.workspace')),
            ],
            options={
                'permissions': [('review_outcome', 'Can verify and reject outcomes'), ('decide_outcome', 'Can decide disputes and reverse outcomes')],
            },
        ),
        migrations.CreateModel(
            name='OutcomeStep',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveSmallIntegerField()),
                ('what', models.CharField(choices=[('claim', 'Claimed'), ('verify', 'Verified'), ('reject', 'Rejected'), ('dispute', 'Disputed'), ('uphold', 'Dispute upheld'), ('dismiss', 'Dispute dismissed'), ('reverse', 'Reversed'), ('release', 'Holdback released')], max_length=10)),
                ('at', models.DateTimeField()),
                ('recorded_at', models.DateTimeField()),
                ('via', models.CharField(choices=[('rule', "The contract's rule"), ('api', 'API'), ('link', 'Link in an e-mail'), ('portal', 'Portal'), ('staff', 'Staff'), ('silence', 'Silence'), ('sample', 'Rate of the sample'), ('time', 'Time')], max_length=10)),
                ('who', models.CharField(blank=True, default='', max_length=200)),
                ('reason', models.TextField(blank=True, default='')),
                ('by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('outcome', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='log', to='usage.outcome')),
            ],
        ),
        migrations.AddIndex(
            model_name='outcome',
            index=models.Index(condition=models.Q(('state', 'pending')), fields=['verify_by'], name='outcomes_pending'),
        ),
        migrations.AddIndex(
            model_name='outcome',
            index=models.Index(condition=models.Q(('release_at__isnull', False), ('released_at', None)), fields=['release_at'], name='outcomes_held_back'),
        ),
        migrations.AddIndex(
            model_name='outcome',
            index=models.Index(condition=models.Q(('state', 'disputed')), fields=['id'], name='outcomes_disputed'),
        ),
        migrations.AddIndex(
            model_name='outcome',
            index=models.Index(fields=['customer', 'happened_at'], name='outcomes_of_customer'),
        ),
        migrations.AddConstraint(
            model_name='outcome',
            constraint=models.UniqueConstraint(fields=('contract', 'customer', 'key'), name='one_outcome_per_key'),
        ),
        migrations.AddConstraint(
            model_name='outcome',
            constraint=models.CheckConstraint(condition=models.Q(('claimed_at__gte', models.F('happened_at'))), name='outcome_claimed_after_it_happened'),
        ),
        migrations.AddConstraint(
            model_name='outcomestep',
            constraint=models.UniqueConstraint(fields=('outcome', 'number'), name='one_step_per_number'),
        ),
        migrations.RunSQL(FORWARD, REVERSE),
        migrations.RunPython(schedule, unschedule),
    ]
