"""A price of a plan that was agreed with one customer."""

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import models

from plans.models.customers import Customer
from plans.models.fields import key_field
from plans.models.meters import Meter
from plans.models.records import Records
from plans.models.versions import Plan, TsTzRange


class PriceOverride(models.Model):
    """One price of a plan as it was agreed with one customer, over ``[starts_at, ends_at)``.

    It takes the place of the price with its key in whichever version of the plan is in force, for
    every billing period, or part of one, that begins while it holds; so it survives new versions.
    ``content`` is the price as a catalogue document states it. The database freezes all but the
    end, which is set once.
    """

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="price_overrides")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="price_overrides")
    price_key = key_field()
    content = models.JSONField()
    meter = models.ForeignKey(
        Meter, on_delete=models.PROTECT, null=True, related_name="price_overrides"
    )
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(help_text="Why this customer has another price.")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )

    history = Records(excluded_fields=["created_at", "created_by"], no_db_index=["plan", "meter"])

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ends_at=None) | models.Q(ends_at__gt=models.F("starts_at")),
                name="override_ends_after_start",
                violation_error_message="An agreed price ends after it starts.",
            ),
            ExclusionConstraint(
                name="one_override_at_a_time",
                expressions=[
                    ("customer", RangeOperators.EQUAL),
                    ("plan", RangeOperators.EQUAL),
                    ("price_key", RangeOperators.EQUAL),
                    (TsTzRange("starts_at", "ends_at"), RangeOperators.OVERLAPS),
                ],
                violation_error_message="The customer has another agreed price at that time.",
            ),
        ]

    def __str__(self) -> str:
        return self.price_key
