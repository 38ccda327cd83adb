"""Keys may grant credit."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("usage", "0007_jobs"),
    ]

    operations = [
        migrations.AlterField(
            model_name='apikey',
            name='scopes',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('ingest', 'Post usage events'), ('jobs', 'Ask for admission of jobs'), ('outcomes', 'Claim and verify outcomes'), ('read', 'Read customers, usage, statements and credit'), ('credit', 'Grant credit'), ('test', 'Move the clocks of test customers'), ('budgets', 'Set budgets of customers')], max_length=10), size=None),
        ),
        migrations.AlterField(
            model_name='historicalapikey',
            name='scopes',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('ingest', 'Post usage events'), ('jobs', 'Ask for admission of jobs'), ('outcomes', 'Claim and verify outcomes'), ('read', 'Read customers, usage, statements and credit'), ('credit', 'Grant credit'), ('test', 'Move the clocks of test customers'), ('budgets', 'Set budgets of customers')], max_length=10), size=None),
        ),
    ]
