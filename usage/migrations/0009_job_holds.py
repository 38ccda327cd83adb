"""What jobs hold by quantity, what they reported, and their indexes."""

import django.db.models.deletion
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('plans', '0009_frozen_credit_and_job_terms'),
        ("usage", "0007_jobs"),
    ]

    operations = [
        migrations.AddField(
            model_name='job',
            name='held_quantities',
            field=models.JSONField(default=list, help_text='What is held for it: [meter, dimension values, quantity] each.'),
        ),
        migrations.AddField(
            model_name='job',
            name='promised_start_at',
            field=models.DateTimeField(help_text='By when its service class promised to start it.', null=True),
        ),
        migrations.AddField(
            model_name='job',
            name='reported',
            field=models.JSONField(default=dict, help_text='What each attempt reported, by number, in the same form.'),
        ),
        migrations.AddField(
            model_name='job',
            name='service_credit',
            field=models.DecimalField(decimal_places=12, default=Decimal('0'), max_digits=30),
        ),
        migrations.AddField(
            model_name='job',
            name='version',
            field=models.ForeignKey(help_text='On whose terms it was admitted.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='plans.planversion'),
        ),
        migrations.AddField(
            model_name='jobusage',
            name='until',
            field=models.DateTimeField(help_text='The end of usage that lasted.', null=True),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('rated_at', None)), fields=['customer'], name='job_pending'),
        ),
    ]
