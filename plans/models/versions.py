"""What is sold: plans and their immutable published versions."""

from datetime import datetime

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models

from plans.models.fields import key_field, validate_currency
from plans.models.records import Records


class TsTzRange(models.Func):
    """PostgreSQL's ``tstzrange``: half-open, and without an end where ``until`` is null."""

    function = "TSTZRANGE"
    output_field = DateTimeRangeField()


class Plan(models.Model):
    """A product on the price list. What it costs is said by its versions."""

    key = key_field(unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, default="")

    history = Records(no_db_index=["key"])

    def __str__(self) -> str:
        return self.name


class PlanVersion(models.Model):
    """One state of a plan's terms: a draft until ``published_at``, then frozen for ever.

    A plan has one version in force for each of its currencies. An event is priced by that in the
    customer's currency whose ``[effective_from, effective_until)`` holds its time.
    """

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    currency = models.CharField(max_length=3, default="USD", validators=[validate_currency])
    note = models.TextField(blank=True, default="", help_text="Why this version exists.")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
    )
    published_at = models.DateTimeField(null=True, editable=False)
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
    )
    effective_from = models.DateTimeField(null=True, editable=False)
    effective_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        permissions = [("publish_planversion", "Can publish a plan version")]
        constraints = [
            models.UniqueConstraint(fields=["plan", "number"], name="one_version_per_number"),
            models.CheckConstraint(
                condition=models.Q(published_at=None, effective_from=None, effective_until=None)
                | models.Q(published_at__isnull=False, effective_from__isnull=False),
                name="version_effective_when_published",
                violation_error_message="A version takes effect only when it is published.",
            ),
            ExclusionConstraint(
                name="one_version_in_force",
                expressions=[
                    ("plan", RangeOperators.EQUAL),
                    ("currency", RangeOperators.EQUAL),
                    (TsTzRange("effective_from", "effective_until"), RangeOperators.OVERLAPS),
                ],
                condition=models.Q(published_at__isnull=False),
                violation_error_message=(
                    "Another version of this plan in the same currency is in force at that time."
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"version {self.number}"

    def status_at(self, now: datetime) -> str:
        """Return ``draft``, ``scheduled``, ``in force`` or ``retired``, derived from the dates."""
        if self.published_at is None or self.effective_from is None:
            return "draft"
        if now < self.effective_from:
            return "scheduled"
        if self.effective_until is not None and now >= self.effective_until:
            return "retired"
        return "in force"
