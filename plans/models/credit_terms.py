"""What a plan version says of credit: packs on sale, and what each period grants."""

from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from plans.models.fields import key_field, percent_field, price_field
from plans.models.records import Records
from plans.models.versions import PlanVersion

CREDIT_CODE = RegexValidator(
    r"^[A-Z][A-Z0-9_]{3,19}$",
    "A credit's code has 4 to 20 capitals, digits or underscores, so that it is no currency's.",
)


class CreditUnit(models.Model):
    """A named credit in which plans may price usage: ``TOKN``, with its finest part."""

    code = models.CharField(max_length=20, primary_key=True, validators=[CREDIT_CODE])
    name = models.CharField(max_length=100)
    decimals = models.PositiveSmallIntegerField(
        default=0, validators=[MaxValueValidator(12)], help_text="0 uses whole credits only."
    )

    history = Records()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(decimals__lte=12),
                name="credit_unit_decimals_at_most_12",
                violation_error_message="A credit has at most 12 decimals.",
            ),
        ]

    def __str__(self) -> str:
        return self.code


class CreditPack(models.Model):
    """Credit that a version has on sale: so many for so much, larger packs for less each."""

    version = models.ForeignKey(PlanVersion, on_delete=models.CASCADE, related_name="packs")
    position = models.PositiveSmallIntegerField(default=0)
    key = key_field()
    name = models.CharField(max_length=200, help_text="As it stands on the statement.")
    unit = models.ForeignKey(CreditUnit, on_delete=models.PROTECT, related_name="+")
    credits = price_field(validators=[MinValueValidator(Decimal("0.000000000001"))])
    amount = price_field(help_text="What it costs, in the version's currency.")
    expires_months = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Months from the purchase. Empty: it never lapses.",
    )
    needs_payment = models.BooleanField(
        "usable once paid", default=False, help_text="Nothing of it is used before it is paid."
    )
    priority = models.PositiveSmallIntegerField(
        default=100, help_text="A lower number is used first."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version", "key"],
                name="one_pack_per_key",
                violation_error_message="Another pack of this version has the same key.",
            ),
            models.CheckConstraint(
                condition=models.Q(credits__gt=0, amount__gte=0),
                name="pack_has_credits",
                violation_error_message="A pack has more than no credits, at no less than nothing.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class CreditAllotment(models.Model):
    """Credit that a version grants at the beginning of each billing period.

    ``unit`` is a named credit, or null for money in the version's currency.
    """

    version = models.ForeignKey(PlanVersion, on_delete=models.CASCADE, related_name="allotments")
    position = models.PositiveSmallIntegerField(default=0)
    key = key_field()
    name = models.CharField(max_length=200)
    unit = models.ForeignKey(
        CreditUnit, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    amount = price_field(validators=[MinValueValidator(Decimal("0.000000000001"))])
    expires_months = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Months from the period's beginning. Empty: it lapses at the period's end.",
    )
    priority = models.PositiveSmallIntegerField(
        default=50, help_text="A lower number is used first."
    )
    rollover_percent = percent_field(
        default=Decimal(0),
        help_text="Share of the grant that is carried on at most when it lapses.",
    )
    rollover_months = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="For how long. Empty: for ever."
    )
    rollovers = models.PositiveSmallIntegerField(default=1, help_text="How often at most.")
    meters = ArrayField(
        models.CharField(max_length=100),
        default=list,
        blank=True,
        help_text="Keys of the meters that it pays for. Empty: all.",
    )
    job_classes = ArrayField(
        models.CharField(max_length=100),
        default=list,
        blank=True,
        help_text="Keys of the job classes that it pays for. Empty: all.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version", "key"],
                name="one_allotment_per_key",
                violation_error_message="Another allotment of this version has the same key.",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    amount__gt=0, rollover_percent__gte=0, rollover_percent__lte=100
                ),
                name="allotment_grants_something",
                violation_error_message="An allotment grants more than nothing, and carries on "
                "between 0 and 100 percent of it.",
            ),
        ]

    def __str__(self) -> str:
        return self.name
