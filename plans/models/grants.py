"""What a plan version grants beside its prices: features, limits, service classes, and phases."""

from decimal import Decimal

from django.core.validators import MinValueValidator
from django.db import models

from plans.models.fields import key_field, percent_field, price_field
from plans.models.records import Records
from plans.models.versions import PlanVersion


class Feature(models.Model):
    """Something that a plan lets a customer use at all; services ask for it by its key."""

    key = key_field(unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, default="")

    history = Records(no_db_index=["key"])

    def __str__(self) -> str:
        return self.name


class VersionFeature(models.Model):
    """A feature that a version grants."""

    version = models.ForeignKey(PlanVersion, on_delete=models.CASCADE, related_name="features")
    feature = models.ForeignKey(Feature, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version", "feature"],
                name="one_grant_per_feature",
                violation_error_message="The version grants this feature already.",
            ),
        ]

    def __str__(self) -> str:
        return f"feature {self.feature_id}"


class LimitKind(models.TextChoices):
    """What a limit bounds."""

    CONCURRENT_JOBS = "concurrent_jobs", "Jobs at the same time"
    JOBS_PER_HOUR = "jobs_per_hour", "Jobs in an hour"
    JOBS_PER_DAY = "jobs_per_day", "Jobs in a day"
    SPEND_PER_DAY = "spend_per_day", "Spend in a day"


class Limit(models.Model):
    """How much a customer may use at once, by the hour or by the day.

    ``value`` is a number of jobs, or money in the version's currency for spend per day.
    """

    version = models.ForeignKey(PlanVersion, on_delete=models.CASCADE, related_name="limits")
    kind = models.CharField(max_length=20, choices=LimitKind.choices)
    job_class = models.CharField(
        max_length=100, blank=True, default="", help_text="Empty: all classes together."
    )
    value = price_field(validators=[MinValueValidator(Decimal("0.000000000001"))])

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version", "kind", "job_class"],
                name="one_limit_per_kind_and_class",
                violation_error_message="The version has this limit already.",
            ),
        ]

    def __str__(self) -> str:
        return self.get_kind_display()


class ServiceClass(models.Model):
    """A queue priority that a version offers: a price multiplier and a promised start."""

    version = models.ForeignKey(
        PlanVersion, on_delete=models.CASCADE, related_name="service_classes"
    )
    position = models.PositiveSmallIntegerField(default=0)
    key = key_field(help_text="What events and jobs name it by.")
    name = models.CharField(max_length=200)
    multiplier = percent_field(
        default=Decimal(1), help_text="1 is the price itself; 1.5 half more."
    )
    start_within_minutes = models.PositiveIntegerField(
        null=True, blank=True, help_text="Promised start. Empty: nothing is promised."
    )
    late_start_percent = percent_field(
        default=Decimal(0),
        help_text="Share of the premium that is given back for a job that starts later.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version", "key"],
                name="one_service_class_per_key",
                violation_error_message="Another service class of this version has the same key.",
            ),
            models.CheckConstraint(
                condition=models.Q(late_start_percent__gte=0, late_start_percent__lte=100),
                name="late_start_0_to_100",
                violation_error_message="What is given back lies between 0 and 100 percent.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Phase(models.Model):
    """A part of a subscription's life, counted from its start; the last one stays open.

    It lasts ``days`` or ``months``; the last has neither.
    """

    version = models.ForeignKey(PlanVersion, on_delete=models.CASCADE, related_name="phases")
    position = models.PositiveSmallIntegerField(default=0)
    key = key_field()
    name = models.CharField(max_length=200)
    days = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    months = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    discount_percent = percent_field(
        default=Decimal(0), help_text="Off every price in this phase; 100 makes it free."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version", "key"],
                name="one_phase_per_key",
                violation_error_message="Another phase of this version has the same key.",
            ),
            models.CheckConstraint(
                condition=models.Q(days=None) | models.Q(months=None),
                name="phase_days_or_months",
                violation_error_message="A phase lasts days or months, not both.",
            ),
            models.CheckConstraint(
                condition=models.Q(discount_percent__gte=0, discount_percent__lte=100),
                name="phase_discount_0_to_100",
                violation_error_message="A discount lies between 0 and 100 percent.",
            ),
        ]

    def __str__(self) -> str:
        return self.name
