"""What is owed: one statement for each customer and period, and its lines."""

from decimal import Decimal

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import models

from plans.models import Customer, Meter, PlanVersion
from plans.models.versions import TsTzRange


class Statement(models.Model):
    """The document of one period. A row that is due is the work; a task is only a nudge.

    ``facts`` are the frozen inputs of the build as canonical JSON and ``lines_hash`` is the SHA-256
    of the lines'; ``content_hash`` covers both, the number and ``previous_hash``, so that a
    customer's statements form a chain.
    ``horizon`` is the transaction horizon at which the facts were read: usage that was stored
    later becomes an adjustment on the next statement. A finalised row is frozen by the database.
    """

    class Status(models.TextChoices):
        DUE = "due", "Due"
        DRAFT = "draft", "Draft"
        REVIEW = "review", "In review"
        FINALISED = "finalised", "Finalised"

    class LineKind(models.TextChoices):
        CHARGE = "charge", "Charge"
        ADJUSTMENT = "adjustment", "Adjustment of an earlier period"
        CREDIT_PACK = "credit_pack", "Credit or units bought"
        CREDIT = "credit", "Paid by credit"

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, db_index=False, related_name="statements"
    )
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.DUE)
    draft_due_at = models.DateTimeField()
    finalise_due_at = models.DateTimeField()

    total = models.DecimalField(max_digits=30, decimal_places=4, default=Decimal(0))
    adjustments_total = models.DecimalField(max_digits=30, decimal_places=4, default=Decimal(0))
    line_count = models.PositiveIntegerField(default=0)
    facts = models.TextField(default="")
    lines_hash = models.CharField(max_length=64, default="", blank=True)
    horizon = models.BigIntegerField(default=0)
    drafted_at = models.DateTimeField(null=True)

    approved_at = models.DateTimeField(null=True)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        db_index=False,
        related_name="+",
    )
    finalised_at = models.DateTimeField(null=True)
    sequence = models.PositiveIntegerField(null=True)
    number = models.CharField(max_length=120, null=True)  # noqa: DJ001 - unique once it is set
    previous_hash = models.CharField(max_length=64, default="", blank=True)
    content_hash = models.CharField(max_length=64, default="", blank=True)

    claimed_until = models.DateTimeField(null=True)
    parked_at = models.DateTimeField(null=True)
    parked_code = models.CharField(max_length=60, default="", blank=True)
    parked_reason = models.TextField(default="", blank=True)

    class Meta:
        permissions = [("finalise_statement", "Can approve and finalise a statement")]
        constraints = [
            ExclusionConstraint(
                name="one_statement_per_time",
                expressions=[
                    ("customer", RangeOperators.EQUAL),
                    (TsTzRange("period_start", "period_end"), RangeOperators.OVERLAPS),
                ],
                violation_error_message="The customer has another statement for that time.",
            ),
            models.UniqueConstraint(
                fields=["customer", "sequence"], name="one_statement_per_sequence"
            ),
            models.UniqueConstraint(fields=["number"], name="one_statement_per_number"),
            models.CheckConstraint(
                condition=models.Q(period_end__gt=models.F("period_start")),
                name="statement_period_not_empty",
            ),
            models.CheckConstraint(
                condition=~models.Q(status="finalised")
                | (
                    models.Q(
                        finalised_at__isnull=False, sequence__isnull=False, number__isnull=False
                    )
                    & ~models.Q(content_hash="")
                ),
                name="statement_finalised_whole",
            ),
        ]
        indexes = [
            models.Index(
                fields=["draft_due_at", "id"],
                name="statement_to_draft",
                condition=models.Q(status="due"),
            ),
            models.Index(
                fields=["finalise_due_at", "id"],
                name="statement_to_finalise",
                condition=models.Q(status__in=["draft", "review"]),
            ),
            models.Index(
                fields=["parked_at"],
                name="statement_parked",
                condition=models.Q(parked_at__isnull=False),
            ),
            # For the list of what is used and not sold; see billing.queries.work.unpriced_usage.
            models.Index(
                fields=["period_end"],
                name="statement_unpriced",
                condition=models.Q(facts__contains='"unpriced":[['),
            ),
        ]

    def __str__(self) -> str:
        return self.number or "Statement in preparation"


class StatementLine(models.Model):
    """One line, which explains itself.

    ``price_key`` and ``line_key`` are the stable reference under which rating again replaces the
    line. ``usage_quantity`` was metered, ``quantity`` is billed (after the allowance), both in
    ``unit``; ``explanation`` has the tiers, the adjustments and each workspace's share.
    An adjustment names the statement it corrects in ``origin``.

    A trigger checks version and meter once for all lines of an insert, instead of a foreign key
    once for each: published versions, and the meters that they price, are never deleted.
    """

    statement = models.ForeignKey(
        Statement, on_delete=models.CASCADE, db_index=False, related_name="lines"
    )
    position = models.PositiveIntegerField()
    kind = models.CharField(max_length=12, choices=Statement.LineKind.choices)
    origin = models.ForeignKey(
        Statement, on_delete=models.PROTECT, null=True, db_index=False, related_name="corrections"
    )
    version = models.ForeignKey(
        PlanVersion,
        on_delete=models.PROTECT,
        db_index=False,
        db_constraint=False,
        related_name="+",
    )
    meter = models.ForeignKey(
        Meter,
        on_delete=models.PROTECT,
        null=True,
        db_index=False,
        db_constraint=False,
        related_name="+",
    )
    price_key = models.CharField(max_length=100)
    line_key = models.CharField(max_length=400, default="")
    description = models.CharField(max_length=600)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    unit = models.CharField(max_length=40, default="")
    usage_quantity = models.DecimalField(max_digits=60, decimal_places=12)
    quantity = models.DecimalField(max_digits=60, decimal_places=12)
    amount = models.DecimalField(max_digits=30, decimal_places=4)
    explanation = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["statement", "position"], name="one_line_per_position"),
        ]
        indexes = [
            models.Index(
                fields=["origin"], name="line_corrects", condition=models.Q(origin__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.description
