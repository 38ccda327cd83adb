"""A service asks for credit, too; above the set amount a person approves it."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("billing", "0045_spend_seen"),
        ("usage", "0020_scopes"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='creditrequest',
            name='requested_key',
            field=models.ForeignKey(help_text='The service that asked for it, where no person did.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='usage.apikey'),
        ),
        migrations.AlterField(
            model_name='creditrequest',
            name='requested_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddConstraint(
            model_name='creditrequest',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('requested_by', None), ('requested_key__isnull', False)), models.Q(('requested_by__isnull', False), ('requested_key', None)), _connector='OR'), name='credit_request_of_one'),
        ),
    ]
