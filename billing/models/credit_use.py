"""What credit was bought, and what usage has drawn of it: the bridge from pools to statements."""

from decimal import Decimal

from django.conf import settings
from django.db import models

from billing.models.credits import CreditGrant, Hold, amount_field
from billing.models.statements import Statement
from plans.models import Customer, PlanVersion


class CreditPurchase(models.Model):
    """Packs that were bought, for the statement of the time of ``bought_at``.

    ``price_key`` names the price whose usage beyond the allowance needed them, "" where a person
    bought them. ``billed_on`` is the finalised statement that has their line.
    """

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="credit_purchases"
    )
    grant = models.OneToOneField(CreditGrant, on_delete=models.PROTECT, related_name="purchase")
    version = models.ForeignKey(PlanVersion, on_delete=models.PROTECT, related_name="+")
    pack_key = models.CharField(max_length=100)
    price_key = models.CharField(max_length=100, blank=True, default="")
    name = models.CharField(max_length=200)
    quantity = models.PositiveIntegerField()
    amount = models.DecimalField(max_digits=30, decimal_places=4)
    bought_at = models.DateTimeField()
    bought_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    billed_on = models.ForeignKey(
        Statement, on_delete=models.PROTECT, null=True, related_name="credit_purchases"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(quantity__gt=0, amount__gte=0),
                name="purchase_of_something",
                violation_error_message="Buy at least one pack, at no less than nothing.",
            ),
        ]
        indexes = [
            models.Index(
                fields=["customer"],
                name="purchase_to_bill",
                condition=models.Q(billed_on__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class CreditDraw(models.Model):
    """What was drawn for the usage of a period, under the price and the line that it paid.

    ``returned`` is what of it was given back, from the last slices of the hold backwards.
    ``statement`` is the one whose finalisation drew it; null where a sweep did.
    """

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, db_index=False, related_name="credit_draws"
    )
    period_start = models.DateTimeField()
    price_key = models.CharField(max_length=100)
    line_key = models.CharField(max_length=430, blank=True, default="")
    hold = models.OneToOneField(Hold, on_delete=models.PROTECT, related_name="draw")
    amount = amount_field()
    returned = amount_field(default=Decimal(0))
    statement = models.ForeignKey(
        Statement, on_delete=models.PROTECT, null=True, related_name="credit_draws"
    )
    drawn_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(amount__gt=0, returned__gte=0, returned__lte=models.F("amount")),
                name="draw_adds_up",
                violation_error_message="No more is given back than was drawn.",
            ),
        ]
        indexes = [
            models.Index(fields=["customer", "period_start"], name="draw_of_period"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} for {self.price_key}"


class CreditSweep(models.Model):
    """Up to which horizon a customer's running period was looked at for what it draws."""

    customer = models.OneToOneField(
        Customer, on_delete=models.PROTECT, primary_key=True, related_name="credit_sweep"
    )
    period_start = models.DateTimeField()
    horizon = models.BigIntegerField()
    swept_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"sweep of customer {self.customer_id}"
