"""What a service class gives back of its premium where a job starts later than was promised."""

from decimal import Decimal

from django.core.validators import MinValueValidator
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("plans", "0019_frozen_histories")]

    operations = [
        migrations.AddField(
            model_name="serviceclass",
            name="late_start_percent",
            field=models.DecimalField(
                decimal_places=6,
                default=Decimal("0"),
                help_text="Share of the premium that is given back for a job that starts later.",
                max_digits=12,
                validators=[MinValueValidator(Decimal("0"))],
            ),
        ),
        migrations.AddConstraint(
            model_name="serviceclass",
            constraint=models.CheckConstraint(
                condition=models.Q(late_start_percent__gte=0, late_start_percent__lte=100),
                name="late_start_0_to_100",
                violation_error_message="What is given back lies between 0 and 100 percent.",
            ),
        ),
    ]
