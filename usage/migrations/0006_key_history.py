"""History of API keys: who issued and revoked them; never their secrets, nor a digest of them."""

import django.contrib.postgres.fields
import django.db.models.deletion
import simple_history.models
from django.conf import settings
from django.db import migrations, models

COLUMNS = "id, name, prefix, scopes, revoked_at"
SEED = f"""
INSERT INTO usage_historicalapikey ({COLUMNS}, history_date, history_type)
SELECT {COLUMNS}, statement_timestamp(), '~' FROM usage_apikey ORDER BY id;
"""
FROZEN = """
CREATE TRIGGER history_frozen BEFORE UPDATE OR DELETE ON usage_historicalapikey
    FOR EACH ROW EXECUTE FUNCTION plans_history_frozen();
"""
THAWED = "DROP TRIGGER history_frozen ON usage_historicalapikey;"


class Migration(migrations.Migration):

    dependencies = [
        ('plans', '0007_history'),
        ('usage', '0005_import_history'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='HistoricalApiKey',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('name', models.CharField(help_text='The service that uses the key.', max_length=200)),
                ('prefix', models.CharField(editable=False, max_length=16)),
                ('scopes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('ingest', 'Post usage events'), ('jobs', 'Ask for admission of jobs'), ('read', 'Read customers, usage and statements')], max_length=10), size=None)),
                ('revoked_at', models.DateTimeField(editable=False, null=True)),
                ('history_id', models.BigAutoField(editable=False, primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField()),
                ('history_change_reason', models.TextField(null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'historical API key',
                'verbose_name_plural': 'historical API keys',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.RunSQL(SEED, migrations.RunSQL.noop),
        migrations.RunSQL(FROZEN, THAWED),
    ]
