"""A price of a plan that was agreed with one customer, or the fee of an outcome contract."""

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import models

from plans.models.customers import Customer
from plans.models.fields import key_field
from plans.models.meters import Meter
from plans.models.outcomes import OutcomeContractVersion
from plans.models.records import Records
from plans.models.versions import Plan, TsTzRange


class PriceOverride(models.Model):
    """One price of a plan as it was agreed with one customer, over ``[starts_at, ends_at)``.

    It takes the place of the price with its key in whichever version of the plan is in force, for
    every billing period, or part of one, that begins while it holds; so it survives new versions.
    ``content`` is the price as a catalogue document states it. The database freezes all but the
    end, which is set once.

    A price of an outcome contract's version stands beside a plan's prices instead: for everyone on
    the plan, where there is no customer, or for the customer on whichever plan. ``currency`` is the
    contract's, and ``content`` the version's.
    """

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, null=True, related_name="price_overrides"
    )
    plan = models.ForeignKey(
        Plan, on_delete=models.PROTECT, null=True, related_name="price_overrides"
    )
    contract_version = models.ForeignKey(
        OutcomeContractVersion,
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="prices",
    )
    currency = models.CharField(max_length=3, blank=True, default="", editable=False)
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

    history = Records(
        excluded_fields=["created_at", "created_by"],
        no_db_index=["plan", "meter", "contract_version"],
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    contract_version=None, currency="", customer__isnull=False, plan__isnull=False
                )
                | models.Q(contract_version__isnull=False, plan__isnull=False, customer=None)
                | models.Q(contract_version__isnull=False, plan=None, customer__isnull=False),
                name="override_agreed_or_of_contract",
                violation_error_message=(
                    "A price is agreed with a customer on a plan, or belongs to a contract."
                ),
            ),
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
