"""Files of jobs that were imported, and how far each import has come."""

from django.db import models


class ImportRun(models.Model):
    """One import of one file under one column map: where it stands, and what it left out.

    The counts are stored with each batch of events, in its transaction. An import that was cut off
    goes on under the same row; a file that is imported once more gets another.
    """

    digest = models.CharField(
        max_length=64, db_index=True, help_text="SHA-256 of the file and the column map."
    )
    name = models.CharField(max_length=200)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    rows_read = models.BigIntegerField(default=0)
    accepted = models.BigIntegerField(default=0)
    duplicates = models.BigIntegerField(default=0)
    skipped = models.JSONField(
        default=dict, help_text="Rows left out, by reason: their number, the first lines."
    )
    rejected = models.JSONField(
        default=list, help_text="The first rejected rows with their reason."
    )
    rejected_count = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["digest"],
                name="one_unfinished_import_of_a_file",
                condition=models.Q(finished_at=None),
                violation_error_message="The file is being imported already.",
            ),
        ]

    def __str__(self) -> str:
        return self.name
