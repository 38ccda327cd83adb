"""A customer on a plan over a period."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import models

from plans.models.customers import Customer
from plans.models.versions import Plan, TsTzRange


class Subscription(models.Model):
    """A customer on a plan over ``[starts_at, ends_at)``, without an end where that is null.

    ``anchor_date`` null bills calendar months in the customer's time zone; a date bills months
    counted from that date.
    """

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="subscriptions")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="subscriptions")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    anchor_date = models.DateField(
        null=True,
        blank=True,
        help_text="Empty: calendar months. A date: months are counted from it.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ends_at=None) | models.Q(ends_at__gt=models.F("starts_at")),
                name="subscription_ends_after_start",
                violation_error_message="A subscription ends after it starts.",
            ),
            ExclusionConstraint(
                name="one_subscription_at_a_time",
                expressions=[
                    ("customer", RangeOperators.EQUAL),
                    (TsTzRange("starts_at", "ends_at"), RangeOperators.OVERLAPS),
                ],
                violation_error_message="The customer has another subscription at that time.",
            ),
        ]

    def __str__(self) -> str:
        return f"subscription of customer {self.customer_id}"
