"""Dry runs: what a plan version would have billed on the real usage of past months."""

from decimal import Decimal

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from plans.models import Customer, Plan, PlanVersion


class DryRun(models.Model):
    """One trial of a version: what was asked, how far it is, and what came of it.

    A row that is not finished is the work; a task is only a nudge. The subscribers of ``plan``, all
    or those of ``customer_keys``, are rated by ``version`` instead of their plan's own, over the
    periods that end in the months ``first_month`` to ``last_month``, which are first days.

    ``old_total`` is by the terms that were in force, ``new_total`` by the version, both in
    ``currency`` and of the customers that rate by both. ``reached_customer_id`` is the last one
    that is done. ``terms_digest`` says which terms were tried; ``fingerprint`` covers them, the
    months, the customers and every result.
    """

    version = models.ForeignKey(PlanVersion, on_delete=models.CASCADE, related_name="dry_runs")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+")
    customer_keys = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    first_month = models.DateField()
    last_month = models.DateField()
    currency = models.CharField(max_length=3)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        db_index=False,
        related_name="+",
    )
    requested_at = models.DateTimeField()

    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    claimed_until = models.DateTimeField(null=True)
    reached_customer_id = models.BigIntegerField(default=0)
    customers_total = models.PositiveIntegerField(default=0)
    customers_done = models.PositiveIntegerField(default=0)
    customers_failed = models.PositiveIntegerField(default=0)
    customers_of_other_currency = models.PositiveIntegerField(default=0)

    old_total = models.DecimalField(max_digits=30, decimal_places=4, default=Decimal(0))
    new_total = models.DecimalField(max_digits=30, decimal_places=4, default=Decimal(0))
    terms_digest = models.CharField(max_length=64, default="", blank=True)
    fingerprint = models.CharField(max_length=64, default="", blank=True)
    failure_code = models.CharField(max_length=60, default="", blank=True)
    failure_reason = models.TextField(default="", blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(last_month__gte=models.F("first_month")),
                name="dry_run_months_in_order",
                violation_error_message="The last month is not before the first.",
            ),
            models.CheckConstraint(
                condition=models.Q(finished_at=None)
                | (~models.Q(fingerprint="") & models.Q(failure_code=""))
                | (models.Q(fingerprint="") & ~models.Q(failure_code="")),
                name="dry_run_finished_whole",
            ),
        ]
        indexes = [
            models.Index(
                fields=["id"],
                name="dry_run_unfinished",
                condition=models.Q(finished_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"Dry run of {self.first_month:%B %Y}"


class DryRunResult(models.Model):
    """What one customer would be billed: by the terms that were in force, and by the version.

    An amount is null where the customer's usage cannot be rated by those terms; then ``error_code``
    and ``error_reason`` say why. Minimum and maximum are those of prices that apply by the version
    and did not before; ``newly_unpriced`` are the keys of meters whose usage loses its price.

    The database removes results with their run: Django would read each of them first.
    """

    run = models.ForeignKey(
        DryRun,
        on_delete=models.DO_NOTHING,
        db_index=False,
        db_constraint=False,
        related_name="results",
    )
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, db_index=False, related_name="+"
    )
    old_amount = models.DecimalField(max_digits=30, decimal_places=4, null=True)
    new_amount = models.DecimalField(max_digits=30, decimal_places=4, null=True)
    newly_at_minimum = models.BooleanField(default=False)
    newly_at_maximum = models.BooleanField(default=False)
    newly_unpriced = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    error_code = models.CharField(max_length=60, default="", blank=True)
    error_reason = models.TextField(default="", blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "customer"], name="one_result_per_customer"),
            models.CheckConstraint(
                condition=models.Q(old_amount__isnull=False, new_amount__isnull=False)
                | ~models.Q(error_code=""),
                name="dry_run_result_or_error",
            ),
        ]

    def __str__(self) -> str:
        return f"result of customer {self.customer_id}"
