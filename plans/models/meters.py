"""What is measured."""

from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models

from plans.models.fields import key_field
from plans.models.records import Records


class Aggregation(models.TextChoices):
    """How the events of a period become one quantity."""

    COUNT = "count", "Count of events"
    SUM = "sum", "Sum of a property"
    MAX = "max", "Highest value of a property"
    LATEST = "latest", "Latest value of a property in the period"
    UNIQUE_COUNT = "unique_count", "Number of different values of a property"
    TIME_WEIGHTED = "time_weighted", "Sum of a level over time, in level-seconds"


class Rounding(models.TextChoices):
    """What happens to each event's value before it is aggregated."""

    NONE = "none", "Not rounded"
    UP = "up", "Up to the next multiple"
    NEAREST = "nearest", "To the nearest multiple"
    DOWN = "down", "Down to the last multiple"


class Meter(models.Model):
    """One thing that is measured: which events feed it, and how they become a quantity.

    The aggregation is applied to each combination of the dimensions' values; ``latest`` and
    ``time_weighted`` besides to each workspace, since every workspace reports its own level.
    Once a published plan version prices the meter, the database freezes all but its name.
    """

    key = key_field(unique=True)
    name = models.CharField(max_length=200)
    event_type = models.CharField(
        max_length=200, db_index=True, help_text="The CloudEvents type that feeds this meter."
    )
    aggregation = models.CharField(max_length=20, choices=Aggregation.choices)
    value_property = models.CharField(
        max_length=100,
        blank=True,
        default="",
        help_text="The event property that holds the value. Empty only for a count of events.",
    )
    dimensions = ArrayField(
        models.CharField(max_length=100),
        default=list,
        blank=True,
        help_text="Event properties that prices may tell apart, separated by commas.",
    )
    filters = models.JSONField(
        default=dict,
        blank=True,
        help_text='Only events with these property values count: {"status": ["succeeded"]}.',
    )
    rounding = models.CharField(max_length=10, choices=Rounding.choices, default=Rounding.NONE)
    rounding_multiple = models.DecimalField(
        max_digits=30,
        decimal_places=12,
        default=Decimal(1),
        validators=[MinValueValidator(Decimal("0.000000000001"))],
    )
    unit = models.CharField(
        max_length=40, blank=True, default="", help_text="What is counted, in the plural: images."
    )

    history = Records(no_db_index=["key", "event_type"])

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(aggregation="count", value_property="")
                | (~models.Q(aggregation="count") & ~models.Q(value_property="")),
                name="meter_value_property_unless_count",
                violation_error_message=(
                    "A count of events takes no value property; every other aggregation needs one."
                ),
            ),
            models.CheckConstraint(
                condition=models.Q(rounding_multiple__gt=0),
                name="meter_rounding_multiple_positive",
                violation_error_message="The multiple to round to must be more than zero.",
            ),
        ]

    def __str__(self) -> str:
        return self.name
