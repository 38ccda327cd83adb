"""Lines of commitments."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("billing", "0026_alerts_and_webhooks"),
    ]

    operations = [
        migrations.AlterField(
            model_name='statementline',
            name='kind',
            field=models.CharField(choices=[('charge', 'Charge'), ('adjustment', 'Adjustment of an earlier period'), ('commitment', 'Commitment'), ('credit_pack', 'Credit or units bought'), ('credit', 'Paid by credit')], max_length=12),
        ),
    ]
