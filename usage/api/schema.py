"""What the OpenAPI document says of the usage API."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse, inline_serializer
from rest_framework import serializers

EVENTS_DESCRIPTION = """
One CloudEvent 1.0 or a list of them. `subject` is the customer's or workspace's key, `data` a JSON
object with what the meters read. Events are unique by (`source`, `id`) for ever: the same event
again is a duplicate and counts nothing; other content under the same key is a `conflict`.

Codes of rejected events: `malformed`, `missing_field`, `invalid_time`, `time_out_of_range`,
`id_too_long`, `invalid_data`, `missing_value`, `invalid_value`, `conflict`; and `unknown_subject`
and `unknown_type`, which are kept in quarantine (`quarantined: true`) and replayed when the cause
is mended, so they need not be sent again.
"""

_EVENT: dict[str, Any] = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "subject"],
    "properties": {
        "specversion": {"type": "string", "enum": ["1.0"]},
        "id": {"type": "string", "minLength": 1, "maxLength": 200},
        "source": {"type": "string", "minLength": 1, "maxLength": 200},
        "type": {"type": "string", "minLength": 1, "maxLength": 200},
        "subject": {"type": "string", "description": "Key of a customer or a workspace."},
        "time": {"type": "string", "format": "date-time", "description": "Default: on arrival."},
        "datacontenttype": {"type": "string"},
        "dataschema": {"type": "string"},
        "data": {"type": "object", "additionalProperties": True},
    },
    "additionalProperties": True,
}
EVENTS: dict[str, Any] = {"oneOf": [_EVENT, {"type": "array", "items": _EVENT}]}


_REJECTIONS = inline_serializer(
    "RejectedEvent",
    {
        "index": serializers.IntegerField(help_text="Its place in the body, from 0."),
        "id": serializers.CharField(),
        "code": serializers.CharField(),
        "detail": serializers.CharField(),
        "field": serializers.CharField(required=False),
        "quarantined": serializers.BooleanField(required=False),
    },
    many=True,
)


def problem_fields() -> dict[str, serializers.Field[Any, Any, Any, Any]]:
    return {
        "type": serializers.CharField(),
        "title": serializers.CharField(),
        "status": serializers.IntegerField(),
        "detail": serializers.CharField(),
        "code": serializers.CharField(),
    }


def _report_fields() -> dict[str, Any]:
    return {
        "accepted": serializers.IntegerField(),
        "duplicates": serializers.IntegerField(),
        "rejected": _REJECTIONS,
    }


def _customer_usage() -> dict[str, Any]:
    quantity: dict[str, Any] = {
        "quantity": serializers.CharField(help_text="Exact, in the meter's unit.")
    }
    values: dict[str, Any] = {
        "dimensions": serializers.DictField(child=serializers.CharField()),
        **quantity,
    }
    workspaces: dict[str, Any] = {"workspace": serializers.CharField(allow_null=True), **quantity}
    meter: dict[str, Any] = {
        "meter": serializers.CharField(help_text="The meter's key."),
        "name": serializers.CharField(),
        "unit": serializers.CharField(),
        **quantity,
        "values": inline_serializer("UsageByDimensions", values, many=True),
        "workspaces": inline_serializer("UsageByWorkspace", workspaces, many=True),
    }
    return {
        "customer": serializers.CharField(),
        "from": serializers.DateTimeField(),
        "to": serializers.DateTimeField(),
        "meters": inline_serializer("MeterUsage", meter, many=True),
    }


CUSTOMER_USAGE = inline_serializer("CustomerUsage", _customer_usage())
PROBLEM = inline_serializer("Problem", problem_fields())
REPORT = inline_serializer("IngestReport", _report_fields())
REFUSALS = {
    401: OpenApiResponse(PROBLEM, "No API key, or one that is not valid."),
    403: OpenApiResponse(PROBLEM, "The API key lacks the scope."),
}
BODY_REFUSALS = {
    400: OpenApiResponse(PROBLEM, "`parse_error`: the body cannot be read as its content type."),
    **REFUSALS,
    415: OpenApiResponse(PROBLEM, "`unsupported_media_type`: send JSON."),
}
