"""Keys may grant credit."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('usage', '0014_scope_test'),
    ]

    operations = [
        migrations.AlterField(
            model_name='apikey',
            name='scopes',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('ingest', 'Post usage events'), ('jobs', 'Ask for admission of jobs'), ('read', 'Read customers, usage, statements and credit'), ('credit', 'Grant credit'), ('test', 'Move the clocks of test customers')], max_length=10), size=None),
        ),
        migrations.AlterField(
            model_name='historicalapikey',
            name='scopes',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('ingest', 'Post usage events'), ('jobs', 'Ask for admission of jobs'), ('read', 'Read customers, usage, statements and credit'), ('credit', 'Grant credit'), ('test', 'Move the clocks of test customers')], max_length=10), size=None),
        ),
    ]
