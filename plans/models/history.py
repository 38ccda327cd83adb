"""What was done to plan versions, as documents before and after."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from plans.models.versions import Plan, PlanVersion


class VersionEvent(models.TextChoices):
    """What was done to a version."""

    STARTED = "started", "was started"
    CHANGED = "changed", "was changed"
    PUBLISHED = "published", "was published"
    ENDED = "ended", "was given an end"
    DELETED = "deleted", "was deleted"


class VersionChange(models.Model):
    """One operation on a version: its catalogue document before and after.

    ``before`` is null for a new version and ``after`` for a deleted one, whose entries stay.
    """

    version = models.ForeignKey(
        PlanVersion, on_delete=models.DO_NOTHING, db_constraint=False, related_name="changes"
    )
    plan = models.ForeignKey(
        Plan, on_delete=models.DO_NOTHING, db_constraint=False, related_name="version_changes"
    )
    number = models.PositiveIntegerField()
    what = models.CharField(max_length=10, choices=VersionEvent.choices)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    reason = models.TextField(blank=True, default="")
    at = models.DateTimeField(db_default=Now())
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )

    def __str__(self) -> str:
        return f"version {self.number} {self.get_what_display()}"
