"""A customer on a plan over a period."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import models

from plans.models.customers import Customer
from plans.models.records import Records
from plans.models.versions import Plan, PlanVersion, TsTzRange


class Subscription(models.Model):
    """A customer on a plan over ``[starts_at, ends_at)``, without an end where that is null.

    ``anchor_date`` null bills calendar months in the customer's time zone; a date bills months
    counted from that date. Phases are counted from ``phases_from``, or from the start where that
    is null: a change of plan does not begin a second trial. ``setup_waived`` leaves out what the
    plan charges once.

    ``upgraded_from`` is the subscription that this one took the place of because its plan moves a
    customer on who uses more than ``upgraded_beyond``: the period is then charged this plan's fee
    in full, and the other's is given back.
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
    phases_from = models.DateTimeField(null=True, blank=True)
    setup_waived = models.BooleanField("setup fees are waived", default=False)
    upgraded_from = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="upgraded_to"
    )
    upgraded_beyond = models.DecimalField(max_digits=30, decimal_places=12, null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    history = Records(excluded_fields=["created_at"], no_db_index=["plan"])

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ends_at=None) | models.Q(ends_at__gt=models.F("starts_at")),
                name="subscription_ends_after_start",
                violation_error_message="A subscription ends after it starts.",
            ),
            models.CheckConstraint(
                condition=models.Q(upgraded_from=None, upgraded_beyond=None)
                | models.Q(upgraded_from__isnull=False, upgraded_beyond__isnull=False),
                name="subscription_upgraded_beyond",
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


class VersionPin(models.Model):
    """A subscription that is kept on one version over ``[starts_at, ends_at)``.

    Elsewhere the version in force in the customer's currency prices it. A pin may reach beyond the
    version's own end: so customers stay on old terms when a new version takes effect.
    """

    subscription = models.ForeignKey(
        Subscription, on_delete=models.CASCADE, related_name="version_pins"
    )
    version = models.ForeignKey(PlanVersion, on_delete=models.PROTECT, related_name="pins")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ends_at=None) | models.Q(ends_at__gt=models.F("starts_at")),
                name="pin_ends_after_start",
                violation_error_message="A version is kept until after it begins.",
            ),
            ExclusionConstraint(
                name="one_pin_at_a_time",
                expressions=[
                    ("subscription", RangeOperators.EQUAL),
                    (TsTzRange("starts_at", "ends_at"), RangeOperators.OVERLAPS),
                ],
                violation_error_message="The subscription is kept on another version then.",
            ),
        ]

    def __str__(self) -> str:
        return f"version {self.version_id} of subscription {self.subscription_id}"
