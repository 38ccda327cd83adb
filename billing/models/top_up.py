"""What is done as a pool runs low: packs bought, people told; and what a workspace takes of it."""

from decimal import Decimal

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from billing.models.credits import CreditPool, amount_field
from plans.models import Workspace
from plans.models.fields import key_field
from plans.models.records import Records

SMALLEST = Decimal("0.000000000001")
WEEK_MINUTES = 7 * 24 * 60


class TopUp(models.Model):
    """Buy a pack for a pool as soon as less than ``threshold`` is available in it.

    At most ``most_per_period`` packs are bought in a billing period, and none within the cool-down
    after the last. ``failures`` counts what failed since the last success; the third one sets
    ``disabled_at``, and a person who changes the settings clears it.
    """

    pool = models.OneToOneField(CreditPool, on_delete=models.PROTECT, related_name="top_up")
    threshold = amount_field(
        validators=[MinValueValidator(SMALLEST)],
        help_text="A pack is bought while less than this is available.",
    )
    pack_key = key_field()
    most_per_period = models.PositiveSmallIntegerField(
        "packs in a period at most",
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
    )
    cooldown_minutes = models.PositiveIntegerField(
        "minutes between packs",
        default=60,
        validators=[MaxValueValidator(WEEK_MINUTES)],
    )
    enabled = models.BooleanField(default=True)
    failures = models.PositiveSmallIntegerField(default=0, editable=False)
    failure_code = models.CharField(max_length=60, blank=True, default="", editable=False)
    failure = models.TextField(blank=True, default="", editable=False)
    failed_at = models.DateTimeField(null=True, editable=False)
    next_try_at = models.DateTimeField(null=True, editable=False)
    disabled_at = models.DateTimeField(null=True, editable=False)

    history = Records(excluded_fields=["failures", "failure_code", "failed_at", "next_try_at"])

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(threshold__gt=0, most_per_period__gt=0),
                name="top_up_of_something",
                violation_error_message="A top-up has a threshold and buys at least one pack.",
            ),
        ]
        indexes = [
            models.Index(
                fields=["failed_at"], name="top_up_failing", condition=models.Q(failures__gt=0)
            ),
        ]

    def __str__(self) -> str:
        return f"“{self.pack_key}” below {self.threshold.normalize():f}"


class LowBalance(models.Model):
    """Tell somebody when less than ``threshold`` is available in a pool."""

    pool = models.OneToOneField(CreditPool, on_delete=models.PROTECT, related_name="low_balance")
    threshold = amount_field(validators=[MinValueValidator(SMALLEST)])
    email = models.EmailField(blank=True, default="", help_text="Empty: the customer's own.")

    history = Records()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(threshold__gt=0), name="low_balance_of_something"
            ),
        ]

    def __str__(self) -> str:
        return f"below {self.threshold.normalize():f}"


class LowBalanceAlert(models.Model):
    """One message that a pool is low: stored first, mailed after that, found again by Beat.

    A pool has one while ``rearmed_at`` is null: that is set when the balance is back at the
    threshold, and another may follow.
    """

    pool = models.ForeignKey(
        CreditPool, on_delete=models.PROTECT, related_name="low_balance_alerts"
    )
    threshold = amount_field()
    available = amount_field()
    email = models.EmailField(blank=True, default="")
    created_at = models.DateTimeField()
    rearmed_at = models.DateTimeField(null=True)
    claimed_until = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    failure = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["pool"],
                condition=models.Q(rearmed_at=None),
                name="one_low_balance_alert_at_a_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["id"], name="low_balance_unsent", condition=models.Q(sent_at=None)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.available.normalize():f} available"


class PoolLimit(models.Model):
    """The most that a workspace takes of a pool in a billing period, by holds."""

    pool = models.ForeignKey(
        CreditPool, on_delete=models.PROTECT, db_index=False, related_name="limits"
    )
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="pool_limits")
    amount = amount_field(validators=[MinValueValidator(SMALLEST)])

    history = Records()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["pool", "workspace"],
                name="one_limit_per_workspace",
                violation_error_message="The workspace has a limit in this pool: change it.",
            ),
            models.CheckConstraint(
                condition=models.Q(amount__gt=0),
                name="pool_limit_of_something",
                violation_error_message="A limit is more than zero.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.workspace}: {self.amount.normalize():f}"
