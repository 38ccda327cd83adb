"""What is sold: plans and their immutable published versions."""

from datetime import datetime

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, RangeOperators
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


class PlanVersionQuerySet(models.QuerySet["PlanVersion"]):
    """Plan versions."""

    def standing(self) -> "PlanVersionQuerySet":
        """Leave out what was published and called off before it began."""
        return self.exclude(effective_until=models.F("effective_from"))

    def sold(self) -> "PlanVersionQuerySet":
        """Keep what is published, and was not called off before it began."""
        return self.standing().filter(published_at__isnull=False)


class PlanVersion(models.Model):
    """One state of a plan's terms: a draft, submitted, approved, published; then frozen for ever.

    A plan has one version in force for each of its currencies. An event is priced by that in the
    customer's currency whose ``[effective_from, effective_until)`` holds its time; a version that
    was called off before it began ends where it begins, and is never in force.

    ``author_ids`` are the users who created, edited or submitted it, in the order of their first
    part in it. None of them approves it. What nobody wrote, because a program loaded it, needs no
    approval.
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
    author_ids = ArrayField(models.BigIntegerField(), default=list, editable=False)
    submitted_at = models.DateTimeField(null=True, editable=False)
    submitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
    )
    approved_at = models.DateTimeField(null=True, editable=False)
    approved_by = models.ForeignKey(
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

    objects = PlanVersionQuerySet.as_manager()

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
            models.CheckConstraint(
                condition=models.Q(submitted_by=None)
                | models.Q(
                    submitted_at__isnull=False, author_ids__contains=[models.F("submitted_by")]
                ),
                name="version_submitter_is_author",
                violation_error_message="Who submits a version is one of its authors.",
            ),
            models.CheckConstraint(
                condition=models.Q(approved_at=None, approved_by=None)
                | models.Q(
                    submitted_at__isnull=False,
                    approved_at__isnull=False,
                    approved_by__isnull=False,
                ),
                name="version_approved_by_a_person",
                violation_error_message="A person approves what was submitted.",
            ),
            models.CheckConstraint(
                condition=models.Q(approved_by=None)
                | ~models.Q(author_ids__contains=[models.F("approved_by")]),
                name="version_not_approved_by_author",
                violation_error_message="Nobody approves a version that they wrote or submitted.",
            ),
            models.CheckConstraint(
                condition=models.Q(published_at=None)
                | models.Q(approved_at__isnull=False)
                | models.Q(author_ids=[], submitted_at=None, published_by=None),
                name="version_approved_when_published",
                violation_error_message="A version is published once it is approved.",
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

    @property
    def is_draft(self) -> bool:
        """Say whether it can be changed: it is neither submitted nor published."""
        return self.submitted_at is None and self.published_at is None

    def status_at(self, now: datetime) -> str:
        """Return the status, derived from the dates.

        ``draft``, ``submitted``, ``approved``, ``scheduled``, ``in force``, ``retired``, or
        ``called off``.
        """
        if self.effective_from is None:
            return self._unpublished_status()
        if self.effective_until == self.effective_from:
            return "called off"
        if now < self.effective_from:
            return "scheduled"
        if self.effective_until is not None and now >= self.effective_until:
            return "retired"
        return "in force"

    def _unpublished_status(self) -> str:
        if self.approved_at is not None:
            return "approved"
        return "draft" if self.submitted_at is None else "submitted"
