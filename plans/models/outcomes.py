"""Outcome contracts: on which terms results are billed."""

from datetime import datetime

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, RangeOperators
from django.db import models

from plans.models.customers import Customer
from plans.models.fields import key_field, validate_currency
from plans.models.records import Records
from plans.models.reviews import ReviewStep
from plans.models.versions import Plan, TsTzRange


def _person() -> "models.ForeignKey[models.Model | None, models.Model | None]":
    return models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
    )


class OutcomeContract(models.Model):
    """One kind of outcome that is billed: for everyone on a plan, or for one customer.

    ``key`` is what services name it by, and what its meters and prices are called after.
    """

    key = models.CharField(
        max_length=80, unique=True, validators=key_field().validators,
        help_text="What services name the contract by.",
    )  # fmt: skip
    name = models.CharField(max_length=100, help_text="What stands on the statement's line.")
    currency = models.CharField(max_length=3, default="USD", validators=[validate_currency])
    plan = models.ForeignKey(
        Plan, on_delete=models.PROTECT, null=True, blank=True, related_name="outcome_contracts"
    )
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, null=True, blank=True, related_name="outcome_contracts"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    history = Records(excluded_fields=["created_at"], no_db_index=["key", "plan"])

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(plan=None, customer__isnull=False)
                | models.Q(plan__isnull=False, customer=None),
                name="contract_of_plan_or_customer",
                violation_error_message="A contract is for a plan, or for one customer.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class OutcomeContractVersion(models.Model):
    """One state of a contract: draft, submitted, approved, published; from its submission frozen.

    ``content`` is the document that ``plans.rating.outcome_document`` reads. Its rules hold for
    outcomes that happen in ``[effective_from, effective_until)``, its fee for each billing period,
    or part of one, that begins then. ``author_ids`` are who wrote or submitted it; none of them
    approves it. What nobody wrote, because a program loaded it, needs no approval.
    """

    contract = models.ForeignKey(OutcomeContract, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    content = models.JSONField()
    note = models.TextField(blank=True, default="", help_text="Why this version exists.")
    created_at = models.DateTimeField(auto_now_add=True)
    author_ids = ArrayField(models.BigIntegerField(), default=list, editable=False)
    submitted_at = models.DateTimeField(null=True, editable=False)
    submitted_by = _person()
    approved_at = models.DateTimeField(null=True, editable=False)
    approved_by = _person()
    published_at = models.DateTimeField(null=True, editable=False)
    published_by = _person()
    effective_from = models.DateTimeField(null=True, editable=False)
    effective_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        permissions = [("publish_outcomecontractversion", "Can publish an outcome contract")]
        constraints = [
            models.UniqueConstraint(
                fields=["contract", "number"], name="one_contract_version_per_number"
            ),
            models.CheckConstraint(
                condition=models.Q(published_at=None, effective_from=None, effective_until=None)
                | models.Q(published_at__isnull=False, effective_from__isnull=False),
                name="contract_effective_when_published",
                violation_error_message="A contract takes effect only when it is published.",
            ),
            models.CheckConstraint(
                condition=models.Q(approved_at=None, approved_by=None)
                | models.Q(
                    submitted_at__isnull=False, approved_at__isnull=False, approved_by__isnull=False
                ),
                name="contract_approved_by_a_person",
                violation_error_message="A person approves what was submitted.",
            ),
            models.CheckConstraint(
                condition=models.Q(approved_by=None)
                | ~models.Q(author_ids__contains=[models.F("approved_by")]),
                name="contract_not_approved_by_author",
                violation_error_message="Nobody approves a contract that they wrote or submitted.",
            ),
            models.CheckConstraint(
                condition=models.Q(published_at=None)
                | models.Q(approved_at__isnull=False)
                | models.Q(author_ids=[], submitted_at=None, published_by=None),
                name="contract_approved_when_published",
                violation_error_message="A contract is published once it is approved.",
            ),
            ExclusionConstraint(
                name="one_contract_version_in_force",
                expressions=[
                    ("contract", RangeOperators.EQUAL),
                    (TsTzRange("effective_from", "effective_until"), RangeOperators.OVERLAPS),
                ],
                condition=models.Q(published_at__isnull=False),
                violation_error_message="Another version of this contract is in force then.",
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

        ``draft``, ``submitted``, ``approved``, ``scheduled``, ``in force`` or ``superseded``.
        """
        if self.effective_from is None:
            if self.approved_at is not None:
                return "approved"
            return "draft" if self.submitted_at is None else "submitted"
        if now < self.effective_from:
            return "scheduled"
        if self.effective_until is not None and now >= self.effective_until:
            return "superseded"
        return "in force"


class OutcomeContractReview(models.Model):
    """One step in the review of a contract's version. Rows are only added."""

    version = models.ForeignKey(
        OutcomeContractVersion, on_delete=models.PROTECT, related_name="reviews"
    )
    what = models.CharField(max_length=20, choices=ReviewStep.choices)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    at = models.DateTimeField()
    comment = models.TextField(blank=True, default="")

    def __str__(self) -> str:
        return self.get_what_display()
