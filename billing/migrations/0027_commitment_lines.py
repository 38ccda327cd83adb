"""Lines of commitments."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0020_spend'),
    ]

    operations = [
        migrations.AlterField(
            model_name='statementline',
            name='kind',
            field=models.CharField(choices=[('charge', 'Charge'), ('adjustment', 'Adjustment of an earlier period'), ('commitment', 'Commitment')], max_length=12),
        ),
    ]
