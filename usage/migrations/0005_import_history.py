"""A file may be imported more than once, each time under a row of its own, but not twice at once."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("usage", "0004_dismissed_by")]

    operations = [
        migrations.AlterField(
            "importrun",
            "digest",
            models.CharField(
                db_index=True, help_text="SHA-256 of the file and the column map.", max_length=64
            ),
        ),
        migrations.AlterField(
            "importrun",
            "skipped",
            models.JSONField(
                default=dict,
                help_text="Rows left out, by reason: their number, the first lines.",
            ),
        ),
        migrations.AddConstraint(
            "importrun",
            models.UniqueConstraint(
                condition=models.Q(("finished_at", None)),
                fields=("digest",),
                name="one_unfinished_import_of_a_file",
                violation_error_message="The file is being imported already.",
            ),
        ),
    ]
