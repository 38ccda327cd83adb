"""How statements look in the API: amounts and quantities as strings, times in UTC."""

from decimal import Decimal
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.models import Statement
from billing.wording import Money, Quantity
from plans.rating import minor_units


@extend_schema_field({"type": "string", "format": "decimal", "example": "517.50"})
class MoneyField(serializers.Field):  # type: ignore[type-arg]
    """An amount in the statement's currency, with at least the currency's decimals."""

    def to_representation(self, value: Money) -> str:
        """Write the amount exactly."""
        decimals = max(minor_units(value.currency), _decimals(value.amount))
        return f"{value.amount:.{decimals}f}"


@extend_schema_field({"type": "string", "format": "decimal", "example": "3500000"})
class QuantityField(serializers.Field):  # type: ignore[type-arg]
    """A quantity in the line's unit."""

    def to_representation(self, value: Quantity) -> str:
        """Write the number exactly."""
        return f"{value.value:f}"


class StatementQuery(serializers.Serializer[Any]):
    """What a list of statements can be asked for."""

    customer = serializers.CharField(required=False, help_text="The customer's key.")
    status = serializers.ChoiceField(Statement.Status.choices, required=False)
    after = serializers.IntegerField(
        required=False, min_value=1, help_text="`next` of the page before."
    )


class LinesQuery(serializers.Serializer[Any]):
    """From where the lines of a statement go on."""

    after = serializers.IntegerField(
        default=0, min_value=0, help_text="`lines_next` of the page before."
    )


class HeadSerializer(serializers.Serializer[Any]):
    """A statement without its lines."""

    number = serializers.CharField(help_text="Empty until it is finalised.")
    customer = serializers.CharField(source="customer_key")
    status = serializers.ChoiceField(Statement.Status.choices)
    period_start = serializers.DateTimeField(source="span.start")
    period_end = serializers.DateTimeField(source="span.end", help_text="Exclusive.")
    time_zone = serializers.CharField(source="zone", help_text="In which the period is a month.")
    currency = serializers.CharField(source="total.currency")
    total = MoneyField()
    adjustments_total = MoneyField(help_text="Of it: corrections of earlier periods.")
    finalised_at = serializers.DateTimeField(allow_null=True)


class StatementListSerializer(serializers.Serializer[Any]):
    """A page of statements."""

    results = HeadSerializer(many=True)
    next = serializers.IntegerField(
        allow_null=True, help_text="Ask on with `after`; null: the end."
    )


class PartSerializer(serializers.Serializer[Any]):
    """A tier or another step of the charge."""

    label = serializers.CharField()  # type: ignore[assignment] # the name in the API
    quantity = QuantityField(allow_null=True)
    rate = serializers.CharField(help_text="In words: $0.15 per 1,000 tokens.")
    flat = MoneyField(allow_null=True)
    amount = MoneyField()


class ChangeSerializer(serializers.Serializer[Any]):
    """What proration, the allowance, the discount or a bound changed, signed."""

    kind = serializers.ChoiceField(
        [
            "proration",
            "allowance",
            "discount",
            "maximum",
            "minimum",
            "late_start_most",
            "commitment",
            "beyond",
        ]
    )
    quantity = QuantityField(allow_null=True)
    amount = MoneyField(allow_null=True)


class ShareSerializer(serializers.Serializer[Any]):
    """A workspace's part of the meter's usage."""

    workspace = serializers.CharField(source="key", help_text="Empty: none.")
    quantity = QuantityField()


class LateStartSerializer(serializers.Serializer[Any]):
    """A job that started later than its service class promised."""

    job = serializers.CharField()
    promised_start_at = serializers.DateTimeField(source="promised_at")
    started_at = serializers.DateTimeField()


class LineSerializer(serializers.Serializer[Any]):
    """A line with its explanation."""

    position = serializers.IntegerField()
    kind = serializers.ChoiceField(Statement.LineKind.choices)
    description = serializers.CharField()
    amount = MoneyField()
    usage_quantity = QuantityField(source="metered", help_text="Metered.")
    quantity = QuantityField(help_text="Billed.")
    unit = serializers.CharField()
    in_words = serializers.CharField(source="words")
    period_start = serializers.DateTimeField(source="span.start")
    period_end = serializers.DateTimeField(source="span.end")
    meter = serializers.SerializerMethodField()
    plan = serializers.CharField(source="plan.key")
    plan_version = serializers.IntegerField(source="plan.number")
    price = serializers.CharField(source="price_key")
    line_key = serializers.CharField(help_text="Tells the lines of one price apart.")
    phase = serializers.CharField(help_text="Of the subscription; empty: the plan has none.")
    agreed = serializers.BooleanField(
        source="is_agreed", help_text="The price was agreed with the customer."
    )
    parts = PartSerializer(many=True)
    adjustments = ChangeSerializer(many=True, source="changes")
    exact_amount = MoneyField(source="exact", help_text="Parts and adjustments, not yet rounded.")
    workspaces = ShareSerializer(many=True, source="shares")
    late_starts = LateStartSerializer(
        many=True, help_text="Of what late starts give back: the first 20 jobs."
    )
    corrects = serializers.CharField(
        source="origin_number", help_text="The statement that an adjustment corrects."
    )
    billed_before = MoneyField(source="billed", allow_null=True)
    comes_to_now = MoneyField(source="rated", allow_null=True)

    @extend_schema_field(OpenApiTypes.STR)
    def get_meter(self, line: Any) -> str | None:
        """Return the meter's key; null for a flat fee."""
        return line.meter.key if line.meter else None


class StatementSerializer(HeadSerializer):
    """A statement with a page of its lines, charges first."""

    line_count = serializers.IntegerField()
    lines = LineSerializer(many=True)
    lines_next = serializers.IntegerField(
        allow_null=True, help_text="Ask on with `after`; null: these are the last."
    )


def _decimals(value: Decimal) -> int:
    return max(0, -int(value.normalize().as_tuple().exponent))
