"""The owners of a batch of events are read from the index of their keys alone."""

from django.db import migrations

FORWARD = """
ALTER TABLE plans_subject
    DROP CONSTRAINT plans_subject_pkey,
    ADD CONSTRAINT plans_subject_pkey PRIMARY KEY (key) INCLUDE (customer_id, workspace_id);
"""

REVERSE = """
ALTER TABLE plans_subject
    DROP CONSTRAINT plans_subject_pkey,
    ADD CONSTRAINT plans_subject_pkey PRIMARY KEY (key);
"""


class Migration(migrations.Migration):
    dependencies = [("plans", "0004_frozen_grants")]

    operations = [migrations.RunSQL(FORWARD, REVERSE)]
