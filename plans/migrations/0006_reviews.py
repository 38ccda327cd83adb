"""Submission, approval and reviews of versions, and what the database holds of them."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

PARTS = """
CREATE OR REPLACE FUNCTION plans_price_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM REFUSE FROM plans_planversion v WHERE v.id = OLD.version_id FOR SHARE;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM REFUSE FROM plans_planversion v WHERE v.id = NEW.version_id FOR SHARE;
        RETURN NEW;
    END IF;
    RETURN OLD;
END $$;

CREATE OR REPLACE FUNCTION plans_price_part_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM REFUSE FROM plans_price p JOIN plans_planversion v ON v.id = p.version_id
        WHERE p.id = OLD.price_id FOR SHARE OF v;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM REFUSE FROM plans_price p JOIN plans_planversion v ON v.id = p.version_id
        WHERE p.id = NEW.price_id FOR SHARE OF v;
        RETURN NEW;
    END IF;
    RETURN OLD;
END $$;
"""

# Versions that persons published before there were approvals count as approved by who published
# them, and who only created them as their author.
TAKE_OVER = """
DROP TRIGGER plans_version_frozen ON plans_planversion;
UPDATE plans_planversion SET author_ids = ARRAY[created_by_id]
    WHERE created_by_id IS NOT NULL AND published_at IS NULL;
UPDATE plans_planversion
    SET author_ids = array_remove(array_remove(ARRAY[created_by_id], published_by_id), NULL),
        submitted_at = published_at, approved_at = published_at, approved_by_id = published_by_id
    WHERE published_by_id IS NOT NULL;
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
"""
GIVE_BACK = """
CREATE TRIGGER plans_version_frozen BEFORE UPDATE OR DELETE ON plans_planversion
    FOR EACH ROW WHEN (OLD.published_at IS NOT NULL)
    EXECUTE FUNCTION plans_version_frozen();
"""

# From its submission on a version is frozen: it can be taken back whole, or go on to its approval
# and its publication. Once published, only its end is set, once; an end may be opened again where
# the version that was to follow was called off, so that it is never in force.
FORWARD = """
CREATE OR REPLACE FUNCTION plans_version_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    steps text[] := ARRAY['submitted_at', 'submitted_by_id', 'approved_at', 'approved_by_id',
                          'published_at', 'published_by_id', 'effective_from', 'effective_until'];
BEGIN
    IF OLD.published_at IS NOT NULL THEN
        IF TG_OP = 'UPDATE'
            AND to_jsonb(NEW) - 'effective_until' = to_jsonb(OLD) - 'effective_until'
            AND (OLD.effective_until IS NULL OR (NEW.effective_until IS NULL AND EXISTS (
                SELECT FROM plans_planversion v
                WHERE v.plan_id = OLD.plan_id AND v.currency = OLD.currency AND v.id <> OLD.id
                    AND v.effective_from = OLD.effective_until
                    AND v.effective_until = v.effective_from
            ))) THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'Version % is published and frozen: make a new version from it.',
            OLD.number USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - steps = to_jsonb(OLD) - steps
        AND (NEW.submitted_at IS NULL
            OR (NEW.submitted_at, NEW.submitted_by_id) IS NOT DISTINCT FROM
               (OLD.submitted_at, OLD.submitted_by_id))
        AND (OLD.approved_at IS NULL OR NEW.approved_at IS NULL
            OR (NEW.approved_at, NEW.approved_by_id) = (OLD.approved_at, OLD.approved_by_id))
        AND (NEW.published_at IS NULL OR OLD.approved_at IS NOT NULL) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'Version % is submitted and frozen: withdraw it to change it.', OLD.number
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER plans_version_frozen BEFORE UPDATE OR DELETE ON plans_planversion
    FOR EACH ROW WHEN (OLD.published_at IS NOT NULL OR OLD.submitted_at IS NOT NULL)
    EXECUTE FUNCTION plans_version_frozen();

-- Who had a part in a version stays its author.
CREATE FUNCTION plans_version_authors() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NOT OLD.author_ids <@ NEW.author_ids THEN
        RAISE EXCEPTION 'Who had a part in version % stays its author.', OLD.number
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.created_by_id IS NOT DISTINCT FROM OLD.created_by_id THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT'
        AND (NEW.created_by_id IS NULL OR NEW.created_by_id = ANY (NEW.author_ids)) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'Who created version % is its author.', NEW.number
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER plans_version_authors BEFORE INSERT OR UPDATE ON plans_planversion
    FOR EACH ROW EXECUTE FUNCTION plans_version_authors();

CREATE FUNCTION plans_refuse_if_frozen(version plans_planversion)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM plans_refuse_if_published(version.number, version.published_at);
    IF version.submitted_at IS NOT NULL THEN
        RAISE EXCEPTION 'Version % is submitted and frozen: withdraw it to change it.',
            version.number USING ERRCODE = 'integrity_constraint_violation';
    END IF;
END $$;
""" + PARTS.replace("REFUSE", "plans_refuse_if_frozen(v)") + """
-- Reviews are only added.
CREATE FUNCTION plans_review_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'What was done in a review stays: take another step instead.'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER plans_review_stays BEFORE UPDATE OR DELETE ON plans_versionreview
    FOR EACH ROW EXECUTE FUNCTION plans_review_stays();
"""

REVERSE = """
DROP TRIGGER plans_review_stays ON plans_versionreview;
DROP FUNCTION plans_review_stays;
""" + PARTS.replace("REFUSE", "plans_refuse_if_published(v.number, v.published_at)") + """
DROP FUNCTION plans_refuse_if_frozen;
DROP TRIGGER plans_version_authors ON plans_planversion;
DROP FUNCTION plans_version_authors;
DROP TRIGGER plans_version_frozen ON plans_planversion;
CREATE OR REPLACE FUNCTION plans_version_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.effective_until IS NULL
        AND to_jsonb(NEW) - 'effective_until' = to_jsonb(OLD) - 'effective_until' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'Version % is published and frozen: make a new version from it.', OLD.number
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('plans', '0005_subject_covering'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='VersionReview',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('what', models.CharField(choices=[('submitted', 'Submitted'), ('changes_requested', 'Changes requested'), ('approved', 'Approved'), ('withdrawn', 'Withdrawn'), ('called_off', 'Called off')], max_length=20)),
                ('at', models.DateTimeField()),
                ('comment', models.TextField(blank=True, default='')),
                ('digest', models.CharField(max_length=64)),
                ('tested', models.CharField(blank=True, default='', max_length=128)),
            ],
        ),
        migrations.AddField(
            model_name='planversion',
            name='approved_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='planversion',
            name='approved_by',
            field=models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='planversion',
            name='author_ids',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, editable=False, size=None),
        ),
        migrations.AddField(
            model_name='planversion',
            name='submitted_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='planversion',
            name='submitted_by',
            field=models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.RunSQL(TAKE_OVER, GIVE_BACK),
        migrations.AddConstraint(
            model_name='planversion',
            constraint=models.CheckConstraint(condition=models.Q(('submitted_by', None), models.Q(('author_ids__contains', [models.F('submitted_by')]), ('submitted_at__isnull', False)), _connector='OR'), name='version_submitter_is_author', violation_error_message='Who submits a version is one of its authors.'),
        ),
        migrations.AddConstraint(
            model_name='planversion',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('approved_at', None), ('approved_by', None)), models.Q(('approved_at__isnull', False), ('approved_by__isnull', False), ('submitted_at__isnull', False)), _connector='OR'), name='version_approved_by_a_person', violation_error_message='A person approves what was submitted.'),
        ),
        migrations.AddConstraint(
            model_name='planversion',
            constraint=models.CheckConstraint(condition=models.Q(('approved_by', None), models.Q(('author_ids__contains', [models.F('approved_by')]), _negated=True), _connector='OR'), name='version_not_approved_by_author', violation_error_message='Nobody approves a version that they wrote or submitted.'),
        ),
        migrations.AddConstraint(
            model_name='planversion',
            constraint=models.CheckConstraint(condition=models.Q(('published_at', None), ('approved_at__isnull', False), models.Q(('author_ids', []), ('published_by', None), ('submitted_at', None)), _connector='OR'), name='version_approved_when_published', violation_error_message='A version is published once it is approved.'),
        ),
        migrations.AddField(
            model_name='versionreview',
            name='by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='versionreview',
            name='version',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reviews', to='plans.planversion'),
        ),
        migrations.RunSQL(FORWARD, REVERSE),
    ]
