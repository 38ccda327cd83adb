"""`POST /api/v1/customers/{key}/clock`: move the clock of a customer to test with."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from plans.operations.clock import advance_clock
from usage.api import schema
from usage.api.auth import ApiKeyAuthentication, MayMoveClocks
from usage.totals import find_customer


class ClockSerializer(serializers.Serializer[Any]):
    """Where a test customer's clock stands."""

    at = serializers.DateTimeField(help_text="A later time than now: RFC 3339 with its offset.")


class CustomerClockView(APIView):
    """Move a test customer's clock."""

    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [MayMoveClocks]

    @extend_schema(
        operation_id="move_clock",
        summary="Move a test customer's clock",
        description="A customer that was made with a test clock lives at its time: jobs are "
        "admitted, outcomes verified and statements made as of then.",
        request=ClockSerializer,
        responses={
            200: OpenApiResponse(ClockSerializer, "Where it stands now."),
            **schema.BODY_REFUSALS,
            404: OpenApiResponse(schema.PROBLEM, "`unknown_customer`."),
            409: OpenApiResponse(schema.PROBLEM, "`no_test_clock`, `clock_goes_back`."),
            422: OpenApiResponse(schema.PROBLEM, "`invalid`."),
        },
    )
    def post(self, request: Request, key: str) -> Response:
        """Answer with where the clock stands now."""
        asked = ClockSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        customer = advance_clock(customer=find_customer(key=key), to=asked.validated_data["at"])
        return Response(ClockSerializer({"at": customer.clock_at}).data)
