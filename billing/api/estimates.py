"""`POST /api/v1/estimates`: what a job will cost, before it runs. Nothing changes by it."""

from decimal import Decimal
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.api.spend import BudgetSpendSerializer, amount_text
from billing.estimates.asking import Asked, AskedEstimate, ask_for_estimate
from billing.estimates.values import Range
from plans.rating.money import EXACT
from usage.api.auth import ApiKeyAuthentication, MayAskForJobs
from usage.api.schema import BODY_REFUSALS, PROBLEM


class EstimateRequest(serializers.Serializer[Any]):
    """The job that is asked about."""

    subject = serializers.CharField(help_text="Key of a customer or a workspace.")
    job_class = serializers.CharField(help_text="The class's key.")
    input_size = serializers.DecimalField(
        max_digits=38, decimal_places=12, min_value=Decimal(0), default=Decimal(1),
        help_text="In the class's unit of input.",
    )  # fmt: skip
    dimensions = serializers.DictField(
        child=serializers.CharField(max_length=200, allow_blank=True),
        default=dict,
        help_text="Property values that are known beforehand: priced at them, and jobs that had"
        " the same are preferred.",
    )
    service_class = serializers.CharField(required=False, default="", allow_blank=True)


class RangeSerializer(serializers.Serializer[Any]):
    """The 10th, 50th and 90th percentile."""

    low = serializers.CharField()
    expected = serializers.CharField()
    high = serializers.CharField()


class CreditRangeSerializer(RangeSerializer):
    """Of credits of a unit."""

    unit = serializers.CharField()


class QuantityRangeSerializer(RangeSerializer):
    """Of a meter."""

    meter = serializers.CharField()


class EstimateSerializer(RangeSerializer):
    """What a job will cost."""

    subject = serializers.CharField()
    job_class = serializers.CharField()
    input_size = serializers.CharField()
    currency = serializers.CharField()
    basis = serializers.ChoiceField(
        ["customer", "class", "declared", "unknown"],
        help_text="The customer's own jobs; the class's over all customers; what the class"
        " declares; or nothing.",
    )
    comparable = serializers.IntegerField(help_text="How many jobs it rests on.")
    credits = CreditRangeSerializer(many=True)
    quantities = QuantityRangeSerializer(many=True, help_text="Each meter's own percentiles.")
    over_budgets = BudgetSpendSerializer(
        many=True, help_text="Budgets that the high end would exceed, as they stand now."
    )
    stands_until = serializers.DateTimeField()


class EstimatesView(APIView):
    """Estimate jobs."""

    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [MayAskForJobs]

    @extend_schema(
        operation_id="create_estimate",
        summary="Estimate a job before it runs",
        description="A range from what comparable jobs used, scaled to the input and priced on the"
        " customer's own plan on top of its usage so far. Nothing changes by it.",
        request=EstimateRequest,
        responses={
            200: EstimateSerializer,
            **BODY_REFUSALS,
            404: OpenApiResponse(PROBLEM, "`unknown_subject`, `unknown_job_class`"),
            409: OpenApiResponse(PROBLEM, "`no_subscription`, `not_priceable`"),
            422: OpenApiResponse(PROBLEM, "`invalid`"),
        },
    )
    def post(self, request: Request) -> Response:
        """Answer with the range."""
        body = EstimateRequest(data=request.data)
        body.is_valid(raise_exception=True)
        asked = Asked(**body.validated_data)
        found = ask_for_estimate(asked=asked, now=timezone.now())
        return Response(_as_json(found))


def _as_json(found: AskedEstimate) -> dict[str, Any]:
    estimate, currency = found.estimate, found.estimate.currency
    over = BudgetSpendSerializer(found.over_budgets, many=True, context={"currency": currency})
    return {
        "subject": found.asked.subject,
        "job_class": found.asked.job_class,
        "input_size": f"{EXACT.normalize(found.asked.input_size):f}",
        "currency": currency,
        "low": amount_text(estimate.low, currency=currency),
        "expected": amount_text(estimate.expected, currency=currency),
        "high": amount_text(estimate.high, currency=currency),
        "basis": estimate.basis,
        "comparable": estimate.comparable,
        "credits": [{"unit": unit, **_plain(each)} for unit, each in estimate.credits],
        "quantities": [{"meter": meter, **_plain(each)} for meter, each in estimate.quantities],
        "over_budgets": over.data,
        "stands_until": estimate.stands_until.isoformat().replace("+00:00", "Z"),
    }


def _plain(found: Range) -> dict[str, str]:
    return {name: f"{EXACT.normalize(value):f}" for name, value in found._asdict().items()}
