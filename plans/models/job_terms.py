"""Kinds of jobs, and what a plan version says of how jobs are billed and held."""

from decimal import Decimal

from django.core.validators import MinValueValidator
from django.db import models

from plans.models.fields import key_field, price_field
from plans.models.meters import Meter
from plans.models.records import Records
from plans.models.versions import PlanVersion


class JobClass(models.Model):
    """A kind of job that services ask admission for: what its input counts, and when it is silent.

    A job that neither reports nor ends for ``silence_seconds`` expires.
    """

    key = key_field(unique=True)
    name = models.CharField(max_length=200)
    input_unit = models.CharField(
        max_length=40, default="job", help_text="What the declared input size counts: record."
    )
    silence_seconds = models.PositiveIntegerField(
        default=900,
        validators=[MinValueValidator(10)],
        help_text="A job that reports nothing for so long expires.",
    )

    history = Records(no_db_index=["key"])

    class Meta:
        verbose_name_plural = "job classes"

    def __str__(self) -> str:
        return self.name


class JobClassUsage(models.Model):
    """What a job of a class uses of a meter for a unit of its input, until history says better."""

    job_class = models.ForeignKey(JobClass, on_delete=models.CASCADE, related_name="usage")
    meter = models.ForeignKey(Meter, on_delete=models.PROTECT, related_name="+")
    low = price_field()
    expected = price_field()
    high = price_field()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["job_class", "meter"],
                name="one_usage_per_class_and_meter",
                violation_error_message="The class states this meter already.",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    low__gte=0,
                    expected__gte=models.F("low"),
                    high__gte=models.F("expected"),
                ),
                name="class_usage_in_order",
                violation_error_message="Low is at most what is expected, and that at most high.",
            ),
        ]

    def __str__(self) -> str:
        return f"usage of meter {self.meter_id}"


class JobTerms(models.Model):
    """How a version bills and holds jobs; a version without a row bills as usual.

    See ``plans.rating.job_terms.JobTerms`` for what each field means.
    """

    class BillAttempts(models.TextChoices):
        SUCCESSFUL = "successful", "The successful attempt"
        ALL = "all", "All attempts of a job that succeeds"

    class HoldAt(models.TextChoices):
        LOW = "low", "The low end of the estimate"
        EXPECTED = "expected", "What is expected"
        HIGH = "high", "The high end of the estimate"

    class AboveHold(models.TextChoices):
        CHARGE = "charge", "It is charged"
        CAP = "cap", "The job costs no more than its hold"
        BLOCK = "block", "It is charged, and no further job starts meanwhile"

    version = models.OneToOneField(
        PlanVersion, on_delete=models.CASCADE, related_name="job_terms", primary_key=True
    )
    bill_attempts = models.CharField(
        max_length=10, choices=BillAttempts.choices, default=BillAttempts.SUCCESSFUL
    )
    bill_input_failures = models.BooleanField(
        default=False, help_text="Failures by the provider are never billed."
    )
    bill_cancelled = models.BooleanField(default=True)
    bill_expired = models.BooleanField(default=True)
    hold_at = models.CharField(max_length=8, choices=HoldAt.choices, default=HoldAt.HIGH)
    above_hold = models.CharField(max_length=6, choices=AboveHold.choices, default=AboveHold.CHARGE)
    grace_amount = price_field(
        default=Decimal(0), help_text="By so much a running job may go beyond a budget."
    )
    late_start_most = price_field(
        null=True,
        blank=True,
        help_text="Most that service credits for late starts come to in a period.",
    )

    def __str__(self) -> str:
        return "job terms"
