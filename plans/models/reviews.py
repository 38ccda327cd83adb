"""What became of a version before it was published."""

from django.conf import settings
from django.db import models

from plans.models.versions import PlanVersion


class ReviewStep(models.TextChoices):
    """What a person did with a version."""

    SUBMITTED = "submitted", "Submitted"
    CHANGES_REQUESTED = "changes_requested", "Changes requested"
    APPROVED = "approved", "Approved"
    WITHDRAWN = "withdrawn", "Withdrawn"
    CALLED_OFF = "called_off", "Called off"


class VersionReview(models.Model):
    """One step in the review of a version. Rows are only added; the database refuses the rest.

    ``digest`` is that of the terms that the step was about, and ``tested`` the fingerprint of the
    dry run that was shown with them, empty where there was none.
    """

    version = models.ForeignKey(PlanVersion, on_delete=models.PROTECT, related_name="reviews")
    what = models.CharField(max_length=20, choices=ReviewStep.choices)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    at = models.DateTimeField()
    comment = models.TextField(blank=True, default="")
    digest = models.CharField(max_length=64)
    tested = models.CharField(max_length=128, blank=True, default="")

    def __str__(self) -> str:
        return self.get_what_display()
