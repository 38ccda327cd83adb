"""`GET /api/v1/customers/{key}/usage`: what a customer used, meter by meter."""

from datetime import datetime
from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from usage.api import schema
from usage.api.auth import ApiKeyAuthentication, MayRead
from usage.totals import MeterTotal, customer_usage


class SpanSerializer(serializers.Serializer[Any]):
    """The span of time that is asked for; `from` is a word of Python's."""

    to = serializers.DateTimeField(help_text="End, exclusive: RFC 3339 with its offset.")

    def get_fields(self) -> dict[str, Any]:
        """Add `from` by its name on the wire."""
        start = serializers.DateTimeField(help_text="Start, inclusive: RFC 3339 with its offset.")
        return {"from": start, **super().get_fields()}


class CustomerUsageView(APIView):
    """Read what a customer used."""

    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [MayRead]

    @extend_schema(
        operation_id="get_customer_usage",
        summary="Read a customer's usage",
        parameters=[SpanSerializer],
        responses={
            200: OpenApiResponse(schema.CUSTOMER_USAGE, "Quantities as strings, exact."),
            **schema.REFUSALS,
            404: OpenApiResponse(schema.PROBLEM, "`unknown_customer`."),
            422: OpenApiResponse(schema.PROBLEM, "`invalid`, `invalid_span`."),
        },
    )
    def get(self, request: Request, key: str) -> Response:
        """Answer with the quantity of each meter that has usage in the span."""
        asked = SpanSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        start, end = asked.validated_data["from"], asked.validated_data["to"]
        meters = customer_usage(key=key, start=start, end=end)
        return Response(
            {
                "customer": key,
                "from": _said(start),
                "to": _said(end),
                "meters": [_as_json(each) for each in meters],
            }
        )


def _said(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def _as_json(found: MeterTotal) -> dict[str, Any]:
    return {
        "meter": found.meter.key,
        "name": found.meter.name,
        "unit": found.meter.unit,
        "quantity": f"{found.quantity:f}",
        "values": [
            {"dimensions": dimensions, "quantity": f"{quantity:f}"}
            for dimensions, quantity in found.values
        ],
        "workspaces": [
            {"workspace": workspace, "quantity": f"{quantity:f}"}
            for workspace, quantity in found.workspaces
        ],
    }
