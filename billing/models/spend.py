"""What customers have spent so far and hold now: what admission, budgets and alerts look at.

One row a customer. ``spent`` is rated by the road of a statement and lags by seconds; the holds of
jobs stand for what it does not know yet, so that *spent + held* is never less than what is owed.
"""

from decimal import Decimal

from django.db import models

from plans.models import Customer
from usage.models.jobs import money_field


class Spend(models.Model):
    """A customer's running period as it was last rated, and its jobs now.

    ``usage`` holds the period's quantities by price and dimension values as canonical JSON, to
    price a job at the margin; ``horizon`` is the transaction horizon at which they were read: of
    what was stored since some may be in. ``seen`` tells of two readings which is later. ``spent``
    is money, all lines of the period; ``usage_spent`` leaves fees out; ``by_workspace`` splits the
    latter.
    ``held`` is what ``pending`` comes to on top of ``usage``: all of it together, since the price
    of one job may depend on the others. Day and hour are the customer's local ones.
    """

    customer = models.OneToOneField(
        Customer, on_delete=models.PROTECT, primary_key=True, related_name="spend"
    )
    period_start = models.DateTimeField(null=True)
    period_end = models.DateTimeField(null=True)
    spent = money_field(default=Decimal(0))
    usage_spent = money_field(default=Decimal(0))
    by_workspace = models.JSONField(default=dict)
    usage = models.TextField(default="", blank=True)
    horizon = models.BigIntegerField(default=0)
    seen = models.BigIntegerField(
        default=0, help_text="How many transactions the reading saw; see usage.horizon."
    )
    rated_at = models.DateTimeField(null=True)
    ahead_at = models.DateTimeField(
        null=True, help_text="When the first usage is that was stored and lay ahead of the rating."
    )
    problem_code = models.CharField(max_length=60, blank=True, default="")
    problem = models.TextField(blank=True, default="")

    held = money_field(default=Decimal(0))
    pending = models.JSONField(
        default=list,
        help_text="What all jobs together hold or have used that is not rated yet: [meter,"
        " dimension values, quantity] each.",
    )
    held_by_workspace = models.JSONField(default=dict)
    running = models.PositiveIntegerField(default=0)
    running_by_class = models.JSONField(default=dict)
    hour_start = models.DateTimeField(null=True)
    hour_jobs = models.JSONField(default=dict, help_text="Jobs admitted in the hour, by class.")
    day_start = models.DateTimeField(null=True)
    day_jobs = models.JSONField(default=dict, help_text="Jobs admitted in the day, by class.")
    day_spent_before = money_field(
        default=Decimal(0), help_text="What the period had come to when the day began."
    )

    unpaid = money_field(
        default=Decimal(0), help_text="What jobs cost above their hold, where that stops new ones."
    )
    unpaid_at = models.DateTimeField(null=True, help_text="When the last of these jobs ended.")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(held__gte=0), name="spend_held_not_negative"),
        ]
        indexes = [
            models.Index(fields=["rated_at"], name="spend_to_rate_again"),
            models.Index(fields=["period_end"], name="spend_period_over"),
            models.Index(
                fields=["ahead_at"],
                name="spend_with_usage_ahead",
                condition=models.Q(ahead_at__isnull=False),
            ),
            models.Index(
                fields=["rated_at"],
                name="spend_with_problem",
                condition=~models.Q(problem_code=""),
            ),
        ]

    def __str__(self) -> str:
        return f"spend of customer {self.customer_id}"


class SpendSweep(models.Model):
    """How far spend is rated: one row.

    All usage that was stored below ``horizon`` is in the customers' rows, or the row says what
    keeps it out. ``claimed_until`` is how long a worker owns the sweep.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    horizon = models.BigIntegerField(default=0)
    swept_at = models.DateTimeField(null=True)
    claimed_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="one_spend_sweep"),
        ]

    def __str__(self) -> str:
        return f"spend is rated up to {self.horizon}"
