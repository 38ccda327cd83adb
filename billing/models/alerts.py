"""Messages about budgets that are due or were sent, and what customers had spent day by day."""

from decimal import Decimal

from django.db import models

from plans.models import Customer, Workspace
from usage.models.jobs import money_field


class BudgetAlert(models.Model):
    """One message about a budget: stored first, sent after that, found again by Beat.

    A threshold alerts once in a period while ``rearmed_at`` is null. ``standing_amount`` is the
    budget that it stands for: where the budget is raised so far that the share lies below
    ``percent`` again, the row is rearmed and another may follow. ``sent_at`` says that the mail is
    out and its webhooks are stored; what could not be sent keeps the reason and is tried again.
    """

    class Kind(models.TextChoices):
        THRESHOLD = "threshold", "Share of the budget reached"
        FORECAST = "forecast", "Budget ends before the period"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="budget_alerts")
    workspace = models.ForeignKey(
        Workspace, on_delete=models.PROTECT, null=True, related_name="budget_alerts"
    )
    kind = models.CharField(max_length=9, choices=Kind.choices)
    percent = models.PositiveSmallIntegerField(default=0)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    budget_amount = money_field()
    standing_amount = money_field()
    spent = money_field()
    held = money_field()
    ends_on = models.DateField(null=True, help_text="Forecast: the day on which it is used up.")
    stops = models.BooleanField()
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
                fields=["customer", "workspace", "period_start", "kind", "percent"],
                condition=models.Q(rearmed_at=None),
                name="one_budget_alert_at_a_time",
                nulls_distinct=False,
            ),
        ]
        indexes = [
            models.Index(
                fields=["customer", "id"],
                name="budget_alert_unsent",
                condition=models.Q(sent_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.percent}%"


class SpendDay(models.Model):
    """What a period had come to by usage on a day of the customer's zone, when last looked at.

    The growth from day to day is the pace of a forecast. Fees are left out: they do not grow.
    """

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, db_index=False, related_name="spend_days"
    )
    period_start = models.DateTimeField()
    day = models.DateField()
    usage_spent = money_field(default=Decimal(0))
    by_workspace = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "day", "period_start"], name="one_spend_per_day"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day}"
