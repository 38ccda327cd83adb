"""`GET /api/v1/customers/{key}/spend`: what a customer has spent so far in its running period."""

from decimal import Decimal
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.spend.queries import current_spend
from plans.rating import minor_units
from plans.rating.money import EXACT
from usage.api.auth import ApiKeyAuthentication, MayRead
from usage.api.schema import PROBLEM, REFUSALS


def amount_text(amount: Decimal, *, currency: str) -> str:
    """Write an amount exactly, with at least the currency's decimals."""
    decimals = max(minor_units(currency), -int(EXACT.normalize(amount).as_tuple().exponent))
    return f"{amount:.{decimals}f}"


class AmountSerializer(serializers.Serializer[Any]):
    """Writes the fields named in ``amounts`` as money of the context's currency."""

    amounts: tuple[str, ...] = ()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Write each amount exactly."""
        currency = self.context["currency"]
        said = {name: amount_text(getattr(instance, name), currency=currency)
                for name in self.amounts}  # fmt: skip
        return super().to_representation(instance) | said


class WorkspaceSpendSerializer(AmountSerializer):
    """A workspace's usage and holds."""

    amounts = ("spent", "held")

    workspace = serializers.CharField(help_text="Its key; empty: of no workspace.")
    spent = serializers.CharField(help_text="On usage; fees belong to no workspace.")
    held = serializers.CharField()


class BudgetSpendSerializer(AmountSerializer):
    """A budget beside what of it is gone."""

    amounts = ("amount", "spent", "held", "left")

    workspace = serializers.CharField(help_text="Its key; empty: of the customer as a whole.")
    amount = serializers.CharField()
    stops = serializers.BooleanField(help_text="No job is admitted beyond it.")
    spent = serializers.CharField()
    held = serializers.CharField()
    left = serializers.CharField(help_text="Below zero where more is spent.")


class SpendSerializer(AmountSerializer):
    """A customer's spend so far."""

    amounts = ("spent", "usage_spent", "held")

    customer = serializers.CharField()
    currency = serializers.CharField()
    time_zone = serializers.CharField(source="zone")
    period_start = serializers.DateTimeField(allow_null=True)
    period_end = serializers.DateTimeField(allow_null=True, help_text="Exclusive.")
    as_of = serializers.DateTimeField(help_text="When it was rated: later usage is not in.")
    spent = serializers.CharField(help_text="What the statement would say if it ended now.")
    usage_spent = serializers.CharField(help_text="Of it: usage, without fees and corrections.")
    held = serializers.CharField(help_text="For jobs whose usage is not in `spent` yet.")
    running_jobs = serializers.IntegerField()
    workspaces = WorkspaceSpendSerializer(many=True)
    budgets = BudgetSpendSerializer(many=True)
    problem_code = serializers.CharField(help_text="Empty, or why it is older or leaves out.")
    problem = serializers.CharField()


class CustomerSpendView(APIView):
    """Read what a customer has spent."""

    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [MayRead]

    @extend_schema(
        operation_id="get_customer_spend",
        summary="Read a customer's spend so far",
        description="Rated as a statement would be, a few seconds behind; holds of jobs beside it.",
        responses={
            200: SpendSerializer,
            **REFUSALS,
            404: OpenApiResponse(PROBLEM, "`unknown_customer`"),
        },
    )
    def get(self, request: Request, key: str) -> Response:  # noqa: ARG002
        """Answer with the running period, its holds and its budgets."""
        spend = current_spend(key=key, now=timezone.now())
        return Response(SpendSerializer(spend, context={"currency": spend.currency}).data)
