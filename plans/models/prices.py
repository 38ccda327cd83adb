"""The priced components of a plan version, as rows.

``plans.terms`` turns these rows into the frozen values that ``plans.rating`` works on; which
columns a charge model reads is listed in ``MODEL_COLUMNS``.
"""

from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from plans.models.credit_terms import CreditUnit
from plans.models.fields import key_field, percent_field, price_field
from plans.models.meters import Meter
from plans.models.versions import Plan, PlanVersion


class ChargeModel(models.TextChoices):
    """How a quantity becomes money (DESIGN section 3)."""

    FLAT = "flat", "Flat fee"
    PER_UNIT = "per_unit", "Per unit"
    PACKAGE = "package", "Package, sold whole"
    GRADUATED = "graduated", "Graduated: each tier at its own price"
    VOLUME = "volume", "Volume: all units at the reached tier's price"
    PERCENTAGE = "percentage", "Percentage of a value"
    GRADUATED_PERCENTAGE = "graduated_percentage", "Graduated percentage"
    EVENT_AMOUNT = "event_amount", "Amount carried by the event"
    MATRIX = "matrix", "Matrix: a rate for each combination of dimensions"
    SEATS = "seats", "Seats: a fee for each, by the days it is held"


class AllowancePer(models.TextChoices):
    """Who has the included quantity."""

    CUSTOMER = "customer", "The customer: all workspaces draw on one pool"
    WORKSPACE = "workspace", "Each workspace has its own"


class OveragePolicy(models.TextChoices):
    """What happens beyond the included quantity (DESIGN section 3, plans)."""

    RATE = "rate", "It is billed at this price"
    REFUSE = "refuse", "Hard cap: no more is admitted in the period"
    UPGRADE = "upgrade", "The customer moves to another plan"
    PACKS = "packs", "Packs are sold, each whole"


class Attribution(models.TextChoices):
    """In which period a job's usage falls."""

    USAGE = "usage", "When it was used"
    COMPLETION = "completion", "When the job was completed"
    START = "start", "When the job was started"


class SeatsRemoved(models.TextChoices):
    """Until when a seat that is given up is paid."""

    PERIOD_END = "period_end", "To the end of the period"
    BY_DAY = "by_day", "By the day"


MODEL_COLUMNS: dict[str, tuple[str, ...]] = {
    ChargeModel.FLAT: ("amount", "every_months"),
    ChargeModel.PER_UNIT: ("amount", "unit_size", "class_dimension"),
    ChargeModel.PACKAGE: ("amount", "unit_size", "free_quantity"),
    ChargeModel.GRADUATED: ("unit_size", "charge_first_tier_at_zero"),
    ChargeModel.VOLUME: ("unit_size", "charge_first_tier_at_zero"),
    ChargeModel.PERCENTAGE: (
        "percent",
        "fixed_amount",
        "free_transactions",
        "free_amount",
        "minimum_per_transaction",
        "maximum_per_transaction",
    ),
    ChargeModel.GRADUATED_PERCENTAGE: (),
    ChargeModel.EVENT_AMOUNT: (),
    ChargeModel.MATRIX: ("unit_size", "default_amount"),
    ChargeModel.SEATS: ("amount", "seats_removed"),
}
OVERAGE_COLUMNS: dict[str, tuple[str, ...]] = {
    OveragePolicy.RATE: (),
    OveragePolicy.REFUSE: (),
    OveragePolicy.UPGRADE: ("upgrade_to",),
    OveragePolicy.PACKS: ("pack_size", "pack_amount", "packs_most", "pack_months"),
}
TIERED_MODELS = frozenset(
    (ChargeModel.GRADUATED, ChargeModel.VOLUME, ChargeModel.GRADUATED_PERCENTAGE)
)
RATED_MODELS = frozenset((ChargeModel.MATRIX,))


class Price(models.Model):
    """One priced component of a plan version."""

    version = models.ForeignKey(PlanVersion, on_delete=models.CASCADE, related_name="prices")
    position = models.PositiveSmallIntegerField(default=0)
    key = key_field(help_text="Unique in the version; statements refer to the price by it.")
    name = models.CharField(max_length=200, help_text="As it stands on the statement.")
    model = models.CharField(max_length=24, choices=ChargeModel.choices)
    meter = models.ForeignKey(
        Meter, on_delete=models.PROTECT, null=True, blank=True, related_name="prices"
    )

    amount = price_field(
        null=True, blank=True, help_text="The flat fee, the price of a unit, or of a package."
    )
    unit_size = price_field(
        default=Decimal(1),
        help_text="Units that one price buys: 1000 for a price per 1,000 tokens; a package's size.",
    )
    free_quantity = price_field(default=Decimal(0), help_text="Units before the first package.")
    percent = percent_field(null=True, blank=True)
    fixed_amount = price_field(default=Decimal(0), help_text="Fee for each transaction.")
    free_transactions = models.PositiveIntegerField(default=0)
    free_amount = price_field(default=Decimal(0))
    minimum_per_transaction = price_field(null=True, blank=True)
    maximum_per_transaction = price_field(null=True, blank=True)
    charge_first_tier_at_zero = models.BooleanField(
        default=False, help_text="The first tier's flat fee is due without any usage."
    )
    default_amount = price_field(
        null=True,
        blank=True,
        help_text="Rate of combinations that are not listed. Empty: such usage stops the "
        "customer's statement until a rate is agreed.",
    )

    class_dimension = models.CharField(
        max_length=100,
        blank=True,
        default="",
        help_text="The dimension that names the service class, whose multiplier applies.",
    )
    seats_removed = models.CharField(
        "a seat that is given up is paid",
        max_length=10,
        choices=SeatsRemoved.choices,
        default=SeatsRemoved.PERIOD_END,
    )

    allowance = price_field(default=Decimal(0), help_text="Included quantity of each period.")
    allowance_per = models.CharField(
        max_length=10, choices=AllowancePer.choices, default=AllowancePer.CUSTOMER
    )
    overage = models.CharField(
        "beyond the allowance",
        max_length=10,
        choices=OveragePolicy.choices,
        default=OveragePolicy.RATE,
    )
    upgrade_to = models.ForeignKey(
        Plan, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    pack_size = price_field(null=True, blank=True, help_text="Units in a pack.")
    pack_amount = price_field(null=True, blank=True, help_text="What a pack costs.")
    packs_most = models.PositiveIntegerField(
        null=True, blank=True, help_text="Packs that a period sells at most. Empty: no bound."
    )
    pack_months = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Months that a pack is good for. Empty: for ever."
    )
    credit_unit = models.ForeignKey(
        CreditUnit,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The price is in credits of this unit, drawn from the customer's pools. "
        "Empty: money.",
    )
    beyond_credit_amount = price_field(
        null=True,
        blank=True,
        help_text="What each credit costs that the pools lack. Empty: more credit must be "
        "granted or bought before the statement is billed.",
    )
    attribution = models.CharField(
        "usage of jobs counts",
        max_length=10,
        choices=Attribution.choices,
        default=Attribution.USAGE,
    )
    discount_percent = percent_field(default=Decimal(0))
    maximum = price_field(null=True, blank=True, help_text="Most that a period can cost.")
    minimum = price_field(null=True, blank=True, help_text="Least that a period costs.")
    prorated = models.BooleanField(
        default=True,
        help_text="Fee, allowance, minimum, maximum shrink with the part of the period in force.",
    )
    once = models.BooleanField(
        "charged once", default=False, help_text="A setup fee, due when the subscription starts."
    )
    every_months = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(120)],
        help_text="1: each period. 12: a yearly fee, due in advance, counted from the "
        "subscription's start.",
    )
    phases = ArrayField(
        models.CharField(max_length=100),
        default=list,
        blank=True,
        help_text="Phases of the subscription in which the price holds. Empty: all.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version", "key"],
                name="one_price_per_key",
                violation_error_message="Another price of this version has the same key.",
            ),
            models.CheckConstraint(
                condition=models.Q(model="flat", meter=None)
                | (~models.Q(model="flat") & models.Q(meter__isnull=False)),
                name="price_meter_unless_flat",
                violation_error_message="A flat fee takes no meter; every other price needs one.",
            ),
            models.CheckConstraint(
                condition=models.Q(unit_size__gt=0),
                name="price_unit_size_positive",
                violation_error_message="The unit size must be more than zero.",
            ),
            models.CheckConstraint(
                condition=models.Q(discount_percent__gte=0, discount_percent__lte=100),
                name="price_discount_0_to_100",
                violation_error_message="A discount lies between 0 and 100 percent.",
            ),
            models.CheckConstraint(
                condition=models.Q(overage="upgrade", upgrade_to__isnull=False)
                | (~models.Q(overage="upgrade") & models.Q(upgrade_to=None)),
                name="price_upgrade_names_plan",
                violation_error_message="An upgrade names the plan; no other policy has one.",
            ),
            models.CheckConstraint(
                condition=models.Q(overage="packs", pack_size__gt=0, pack_amount__isnull=False)
                | (~models.Q(overage="packs") & models.Q(pack_size=None, pack_amount=None)),
                name="price_packs_have_size_and_amount",
                violation_error_message="Packs have a size above zero and an amount.",
            ),
            models.CheckConstraint(
                condition=models.Q(credit_unit__isnull=False) | models.Q(beyond_credit_amount=None),
                name="price_beyond_credit_needs_unit",
                violation_error_message="What lies beyond credit has a price only where the "
                "price is in credits.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Tier(models.Model):
    """A band of a graduated, volume or graduated percentage price: up to a bound, inclusive.

    Where a tier begins is where the one before it ends, so a gap or an overlap cannot be written.
    """

    price = models.ForeignKey(Price, on_delete=models.CASCADE, related_name="tiers")
    up_to = price_field(null=True, blank=True, help_text="Empty: and above.")
    unit_amount = price_field(default=Decimal(0))
    flat_amount = price_field(default=Decimal(0))
    percent = percent_field(default=Decimal(0))

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["price", "up_to"],
                name="one_tier_per_bound",
                nulls_distinct=False,
                violation_error_message="Two tiers of one price end at the same bound.",
            ),
            models.CheckConstraint(
                condition=models.Q(up_to=None) | models.Q(up_to__gt=0),
                name="tier_bound_positive",
                violation_error_message="A tier ends above zero.",
            ),
        ]

    def __str__(self) -> str:
        return "and above" if self.up_to is None else f"up to {self.up_to.normalize():f}"


class MatrixRate(models.Model):
    """The rate of one combination of dimension values; an empty place matches any value."""

    price = models.ForeignKey(Price, on_delete=models.CASCADE, related_name="rates")
    position = models.PositiveSmallIntegerField(default=0)
    match = ArrayField(
        models.CharField(max_length=200, null=True, blank=True),
        help_text="One value for each dimension of the meter, in its order; * matches any.",
    )
    unit_amount = price_field()
    label = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["price", "match"],
                name="one_rate_per_match",
                violation_error_message="Two rates of one price match the same values.",
            ),
        ]

    def __str__(self) -> str:
        return self.label or " / ".join(value or "*" for value in self.match)
