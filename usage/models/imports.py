"""Files of jobs that were imported, and how far each import has come."""

from django.db import models


class ImportRun(models.Model):
    """One import of one file under one column map: where it stands, and what it left out."""

    digest = models.CharField(
        max_length=64, unique=True, help_text="SHA-256 of the file and the column map."
    )
    name = models.CharField(max_length=200)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    rows_read = models.BigIntegerField(default=0)
    accepted = models.BigIntegerField(default=0)
    duplicates = models.BigIntegerField(default=0)
    skipped = models.JSONField(default=dict, help_text="Rows left out, counted by reason.")
    rejected = models.JSONField(
        default=list, help_text="The first rejected rows with their reason."
    )
    rejected_count = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return self.name
