"""Credit: pools, what was granted into them, and what is held of it.

The columns ``remaining``, ``held`` and ``recognised`` of a grant follow from its holds and from
the ledger; ``check_ledger`` proves it.
"""

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models

from billing.models.ledger import UnitOfAccount, set_index
from plans.models import Customer, Workspace
from plans.models.fields import key_field, validate_currency


def amount_field(**options: Any) -> "models.DecimalField[Any, Any]":
    """Return a column for an amount in a unit of account, to 12 decimals."""
    return models.DecimalField(max_digits=38, decimal_places=12, **options)


class CreditPool(models.Model):
    """Where a customer's credit of one unit lies; all its workspaces draw on it."""

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="credit_pools")
    key = key_field()
    name = models.CharField(max_length=200)
    unit = models.ForeignKey(UnitOfAccount, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "key"],
                name="one_pool_per_key",
                violation_error_message="The customer has another pool with this key.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class CreditGrant(models.Model):
    """One addition to a pool.

    It may be used in ``[effective_at, expires_at)``, once it is paid where ``needs_payment`` says
    so, for the meters and job classes that it names, or for all where it names none. ``cost`` is
    the money it was sold for, of which ``recognised`` is revenue or breakage already.
    """

    class Source(models.TextChoices):
        BOUGHT = "bought", "Bought"
        PLAN = "plan", "Granted by the plan"
        PROMOTION = "promotion", "Promotion"
        SERVICE = "service", "Service credit"
        ROLLOVER = "rollover", "Carried over"
        TRANSFER = "transfer", "Transferred"

    pool = models.ForeignKey(
        CreditPool, on_delete=models.PROTECT, db_index=False, related_name="grants"
    )
    key = models.CharField(max_length=200)
    source = models.CharField(max_length=10, choices=Source.choices)
    note = models.TextField(blank=True, default="")
    amount = amount_field(validators=[MinValueValidator(Decimal("0.000000000001"))])
    remaining = amount_field()
    held = amount_field(default=Decimal(0))
    priority = models.PositiveSmallIntegerField(
        default=100, help_text="A lower number is used first."
    )
    effective_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    meters = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    job_classes = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    cost = amount_field(default=Decimal(0))
    currency = models.CharField(
        max_length=3, blank=True, default="", validators=[validate_currency]
    )
    recognised = amount_field(default=Decimal(0))
    needs_payment = models.BooleanField(default=False)
    paid_at = models.DateTimeField(null=True, blank=True)
    rollover_most = amount_field(
        null=True, blank=True, help_text="At most so much is carried on at expiry. Empty: nothing."
    )
    rollover_months = models.PositiveSmallIntegerField(null=True, blank=True)
    rollovers_left = models.PositiveSmallIntegerField(default=0)
    rolled_from = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, db_index=False, related_name="rolled_into"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        db_index=False,
        related_name="+",
    )
    has_credit = models.GeneratedField(
        expression=models.Q(remaining__gt=0),  # type: ignore[arg-type]  # a Q resolves as an expression does
        output_field=models.BooleanField(),
        db_persist=True,
        editable=False,
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pool", "key"], name="one_grant_per_key"),
            models.CheckConstraint(
                condition=models.Q(
                    amount__gt=0,
                    held__gte=0,
                    remaining__gte=models.F("held"),
                    remaining__lte=models.F("amount"),
                ),
                name="grant_adds_up",
                violation_error_message="No more can be held or used than was granted.",
            ),
            models.CheckConstraint(
                condition=models.Q(cost=0, currency="")
                | (models.Q(cost__gt=0) & ~models.Q(currency="")),
                name="grant_cost_in_currency",
                violation_error_message="What a grant costs has a currency.",
            ),
            models.CheckConstraint(
                condition=models.Q(recognised__gte=0, recognised__lte=models.F("cost")),
                name="grant_recognised_at_most_cost",
            ),
            models.CheckConstraint(
                condition=models.Q(expires_at=None)
                | models.Q(expires_at__gt=models.F("effective_at")),
                name="grant_expires_after_effect",
                violation_error_message="A grant expires after it takes effect.",
            ),
        ]
        indexes = [
            models.Index(
                fields=["pool", "priority", "expires_at"],
                name="grant_with_credit",
                condition=models.Q(has_credit=True),
            ),
            models.Index(
                fields=["expires_at"],
                name="grant_to_expire",
                condition=models.Q(has_credit=True, expires_at__isnull=False),
            ),
            set_index("created_by", name="grant_created_by"),
            set_index("rolled_from", name="grant_rolled_from"),
        ]

    def __str__(self) -> str:
        return self.key


class Hold(models.Model):
    """A reservation in a pool: pending until it is posted at the true amount, voided, or expires.

    It pins ``pinned`` of each grant in ``grant_ids``, in the order of use, of those that may be
    used for its meter and job class: its slices. ``used`` is what was used of them in the end,
    and ``asked`` what it was to be settled at.
    """

    class Status(models.TextChoices):
        PENDING = "pending", "Pending"
        POSTED = "posted", "Posted"
        VOIDED = "voided", "Voided"
        EXPIRED = "expired", "Expired"

    pool = models.ForeignKey(
        CreditPool, on_delete=models.PROTECT, db_index=False, related_name="holds"
    )
    key = models.CharField(max_length=200)
    amount = amount_field()
    grant_ids = ArrayField(models.BigIntegerField(), default=list)
    pinned = ArrayField(amount_field(), default=list)
    used = amount_field(default=Decimal(0))
    asked = amount_field(null=True)
    meter = models.CharField(max_length=100, blank=True, default="")
    job_class = models.CharField(max_length=100, blank=True, default="")
    workspace = models.ForeignKey(
        Workspace,
        on_delete=models.PROTECT,
        null=True,
        db_index=False,
        related_name="+",
        help_text="Whose limit in the pool it counts against.",
    )
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.PENDING)
    held_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pool", "key"], name="one_hold_per_key"),
            models.CheckConstraint(condition=models.Q(amount__gt=0), name="hold_positive"),
            models.CheckConstraint(
                condition=models.Q(status="pending", ended_at=None)
                | (~models.Q(status="pending") & models.Q(ended_at__isnull=False)),
                name="hold_ends_once",
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"], name="hold_to_expire", condition=models.Q(status="pending")
            ),
            models.Index(
                fields=["workspace", "pool", "held_at"],
                name="hold_of_workspace",
                condition=models.Q(workspace__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.key
