"""Which of two readings of a customer's spend is the later one."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("billing", "0042_holds_name_grants")]

    operations = [
        migrations.AddField(
            model_name="spend",
            name="seen",
            field=models.BigIntegerField(
                default=0, help_text="How many transactions the reading saw; see usage.horizon."
            ),
        ),
    ]
