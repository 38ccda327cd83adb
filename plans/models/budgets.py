"""A customer's own limit on spend in a billing period."""

from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from plans.models.customers import Customer, Workspace
from plans.models.fields import price_field
from plans.models.records import Records


def usual_alerts() -> list[int]:
    """Return the shares in percent at which a budget alerts unless it says otherwise."""
    return [50, 75, 90, 100]


class Budget(models.Model):
    """How much a customer, or one of its workspaces, wants to spend in a billing period at most.

    At each of ``alert_percents`` of spent plus held there is one alert in a period. From
    ``throttle_percent`` on at most ``throttle_to`` jobs run at once. Where it ``stops``, no job is
    admitted beyond it.
    """

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="budgets")
    workspace = models.ForeignKey(
        Workspace, on_delete=models.PROTECT, null=True, blank=True, related_name="budgets"
    )
    amount = price_field(validators=[MinValueValidator(Decimal("0.01"))])
    alert_percents = ArrayField(
        models.PositiveSmallIntegerField(validators=[MinValueValidator(1)]),
        default=usual_alerts,
        blank=True,
    )
    stops = models.BooleanField(
        "stops new jobs", default=True, help_text="No job is admitted beyond the budget."
    )
    throttle_percent = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="From this share on, fewer jobs run at once. Empty: never.",
    )
    throttle_to = models.PositiveIntegerField(
        default=1, help_text="How many jobs run at once then."
    )
    email = models.EmailField(blank=True, default="", help_text="Empty: the customer's own.")
    created_at = models.DateTimeField(auto_now_add=True)

    history = Records(excluded_fields=["created_at"])

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "workspace"],
                name="one_budget_per_scope",
                nulls_distinct=False,
                violation_error_message="There is a budget already: change it.",
            ),
            models.CheckConstraint(
                condition=models.Q(amount__gt=0),
                name="budget_positive",
                violation_error_message="A budget is more than nothing.",
            ),
        ]

    def __str__(self) -> str:
        return f"budget of {self.amount}"
