"""What a customer promised to spend in a term, and what it gets for that."""

from decimal import Decimal

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateRangeField, RangeOperators
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from plans.models.customers import Customer
from plans.models.fields import key_field, percent_field, price_field, validate_currency
from plans.models.records import Records


class DateRange(models.Func):
    """The days of two date columns as a half-open range."""

    function = "DATERANGE"
    output_field = DateRangeField()


class Commitment(models.Model):
    """A promise over the local days ``[start_date, until_date)``; see ``rating.Commitment``.

    It is a draft until another person than its authors approves it; from then on the database
    freezes it, but for an early end, which is set once. It covers every billing period, or part of
    one, that begins while it is in force. ``until_date`` follows from the instalments, or from the
    early end.
    """

    class Kind(models.TextChoices):
        POSTPAID = "postpaid", "Postpaid: usage is billed, and the shortfall at the end"
        PREPAID = "prepaid", "Prepaid: paid ahead as credit, which usage draws on"

    class Counts(models.TextChoices):
        NET = "net", "Net: what usage costs after its discounts"
        GROSS = "gross", "Gross: the list value of usage"

    class MeasuredBy(models.TextChoices):
        TERM = "term", "The whole term"
        INSTALMENT = "instalment", "Each instalment alone"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="commitments")
    key = key_field(help_text="Unique for the customer.")
    name = models.CharField(max_length=200, help_text="As it stands on the statement.")
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.POSTPAID)
    start_date = models.DateField("starts on", help_text="A day in the customer's time zone.")
    until_date = models.DateField(editable=False)
    currency = models.CharField(max_length=3, validators=[validate_currency], editable=False)
    discount_percent = percent_field(
        "committed discount",
        default=Decimal(0),
        help_text="Percent off while usage is within the commitment.",
    )
    beyond_percent = percent_field(
        "discount beyond",
        null=True,
        blank=True,
        help_text="Percent off what lies beyond. Empty: the committed discount; 0: list prices.",
    )
    counts = models.CharField(max_length=5, choices=Counts.choices, default=Counts.NET)
    meters = ArrayField(
        models.CharField(max_length=100),
        default=list,
        blank=True,
        help_text="Keys of the meters whose usage counts. Empty: all.",
    )
    measured_by = models.CharField(
        "measured against",
        max_length=10,
        choices=MeasuredBy.choices,
        default=MeasuredBy.TERM,
        help_text="At its end the shortfall is billed, or unused credit lapses.",
    )
    rollover_percent = percent_field(
        default=Decimal(0),
        help_text="Share of a prepaid amount that is carried on at most when it lapses.",
    )
    rollover_months = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(120)],
        help_text="For how long. Empty: for ever.",
    )
    author_ids = ArrayField(models.BigIntegerField(), default=list, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    approved_at = models.DateTimeField(null=True, editable=False)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
    )
    ended_on = models.DateField(null=True, editable=False)
    shortfall_due = models.BooleanField(default=False, editable=False)
    end_reason = models.TextField(blank=True, default="", editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
    )

    history = Records(excluded_fields=["created_at"])

    class Meta:
        permissions = [("approve_commitment", "Can approve and end a commitment")]
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "key"],
                name="one_commitment_per_key",
                violation_error_message="The customer has another commitment with this key.",
            ),
            models.CheckConstraint(
                condition=models.Q(until_date__gt=models.F("start_date")),
                name="commitment_ends_after_start",
                violation_error_message="A commitment ends after it starts.",
            ),
            models.CheckConstraint(
                condition=models.Q(approved_by=None)
                | models.Q(approved_at__isnull=False)
                & ~models.Q(author_ids__contains=[models.F("approved_by")]),
                name="commitment_not_approved_by_author",
                violation_error_message="Nobody approves a commitment that they wrote.",
            ),
            models.CheckConstraint(
                condition=models.Q(approved_at=None)
                | models.Q(approved_by__isnull=False)
                | models.Q(author_ids=[]),
                name="commitment_approved_by_a_person",
                violation_error_message="A person approves what a person wrote.",
            ),
            models.CheckConstraint(
                condition=models.Q(ended_on=None, shortfall_due=False)
                | models.Q(ended_on=models.F("until_date"), approved_at__isnull=False)
                & ~models.Q(end_reason=""),
                name="commitment_end_is_whole",
                violation_error_message="An early end has a date and a reason.",
            ),
            ExclusionConstraint(
                name="one_commitment_at_a_time",
                expressions=[
                    ("customer", RangeOperators.EQUAL),
                    (DateRange("start_date", "until_date"), RangeOperators.OVERLAPS),
                ],
                condition=models.Q(approved_at__isnull=False),
                violation_error_message="The customer has another commitment at that time.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class CommitmentInstalment(models.Model):
    """An amount that is promised for so many months of a commitment's term."""

    commitment = models.ForeignKey(Commitment, on_delete=models.CASCADE, related_name="instalments")
    position = models.PositiveSmallIntegerField()
    months = models.PositiveSmallIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(120)]
    )
    amount = price_field(validators=[MinValueValidator(Decimal("0.0001"))])

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["commitment", "position"], name="one_instalment_per_position"
            ),
            models.CheckConstraint(
                condition=models.Q(months__gt=0, amount__gt=0),
                name="instalment_promises_something",
                violation_error_message="An instalment is more than nothing, for a month or more.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} for {self.months} months"
