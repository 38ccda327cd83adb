"""What the OpenAPI document says of jobs."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, inline_serializer
from rest_framework import serializers

from usage.api.schema import PROBLEM, REFUSALS
from usage.models import Job

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    required=True,
    description="One for each job. The same request again is answered as the first time.",
)
STEP_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="The same request again under its key is answered as the first time.",
)
DRY_RUN = OpenApiParameter(
    "dry_run", bool, description="`true`: decide the same, and change nothing; `id` is null."
)

_REPORT: dict[str, Any] = {
    "type": "object",
    "required": ["key", "type"],
    "additionalProperties": False,
    "properties": {
        "key": {"type": "string", "minLength": 1, "maxLength": 120},
        "type": {"type": "string", "minLength": 1, "maxLength": 200},
        "data": {"type": "object", "additionalProperties": True},
        "time": {"type": "string", "format": "date-time", "nullable": True},
        "until": {"type": "string", "format": "date-time", "nullable": True},
    },
}
_USAGE: dict[str, Any] = {"type": "array", "items": _REPORT, "maxItems": 1000}
_TIME: dict[str, Any] = {"type": "string", "format": "date-time", "nullable": True}
_CAUSE: dict[str, Any] = {"type": "string", "enum": ["provider", "input"]}
_REASON: dict[str, Any] = {"type": "string", "maxLength": 1000}


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, dict[str, Any]]:
    body: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }
    return {"application/json": body | ({"required": list(required)} if required else {})}


REQUEST = _object(
    ("subject", "job_class"),
    subject={"type": "string", "minLength": 1, "maxLength": 200,
             "description": "Key of a customer or a workspace."},
    job_class={"type": "string", "minLength": 1, "maxLength": 200},
    service_class={"type": "string", "maxLength": 100},
    input_size={"oneOf": [{"type": "number"}, {"type": "string"}],
                "description": "What the class counts: from 0 to below 10^18."},
    dimensions={"type": "object", "maxProperties": 20,
                "additionalProperties": {"type": "string", "maxLength": 200}},
    features={"type": "array", "items": {"type": "string"}},
    parent={"type": "string", "format": "uuid", "nullable": True},
)  # fmt: skip
BEGIN = _object(
    number={"type": "integer", "minimum": 1, "maximum": 1000, "nullable": True}, time=_TIME
)
END = _object(("cause",), cause=_CAUSE, usage=_USAGE, time=_TIME)
HEARTBEAT = _object(usage=_USAGE)
COMPLETE = _object(usage=_USAGE, time=_TIME)
FAIL = _object(("cause",), cause=_CAUSE, reason=_REASON, usage=_USAGE, time=_TIME)
CANCEL = _object(reason=_REASON, usage=_USAGE, time=_TIME)


# One class for all bodies: drf-spectacular takes two of one name for two components.
_ESTIMATE = type(
    inline_serializer(
        "JobEstimate",
        {
            "low": serializers.CharField(),
            "expected": serializers.CharField(),
            "high": serializers.CharField(),
            "basis": serializers.CharField(),
            "comparable": serializers.IntegerField(),
        },
    )
)


def _job_fields() -> dict[str, Any]:
    return {
        "id": serializers.UUIDField(allow_null=True),
        "state": serializers.ChoiceField(Job.State.choices),
        "cause": serializers.CharField(allow_blank=True),
        "reason": serializers.CharField(allow_blank=True),
        "customer": serializers.CharField(),
        "workspace": serializers.CharField(allow_null=True),
        "parent": serializers.UUIDField(allow_null=True),
        "job_class": serializers.CharField(),
        "service_class": serializers.CharField(allow_blank=True),
        "input_size": serializers.CharField(),
        "dimensions": serializers.DictField(child=serializers.CharField()),
        "currency": serializers.CharField(),
        "estimate": _ESTIMATE(),
        "held": serializers.CharField(help_text="Reserved until the usage is rated."),
        "amount": serializers.CharField(allow_null=True, help_text="What it came to."),
        "service_credit": serializers.CharField(),
        "admitted_at": serializers.DateTimeField(),
        "promised_start_at": serializers.DateTimeField(allow_null=True),
        "started_at": serializers.DateTimeField(allow_null=True),
        "silent_at": serializers.DateTimeField(help_text="It expires unless it reports before."),
        "ended_at": serializers.DateTimeField(allow_null=True),
        "settled_at": serializers.DateTimeField(allow_null=True),
        "rated_at": serializers.DateTimeField(allow_null=True),
    }


JOB = inline_serializer("Job", _job_fields())
ATTEMPT = inline_serializer(
    "JobWithAttempt", _job_fields() | {"attempt": serializers.IntegerField()}
)
DETAILS = inline_serializer(
    "JobDetails",
    _job_fields()
    | {
        "attempts": inline_serializer(
            "JobAttempt",
            {
                "number": serializers.IntegerField(),
                "state": serializers.CharField(),
                "cause": serializers.CharField(allow_blank=True),
                "started_at": serializers.DateTimeField(),
                "ended_at": serializers.DateTimeField(allow_null=True),
            },
            many=True,
        ),
        "steps": serializers.IntegerField(help_text="Jobs below it, at any depth."),
        "total_amount": serializers.CharField(help_text="Of it and all jobs below it."),
        "total_held": serializers.CharField(help_text="Of it and all jobs below it."),
    },
)
VERDICT = inline_serializer(
    "HeartbeatAnswer",
    {
        "answer": serializers.ChoiceField(["continue", "finish", "stop"]),
        "reason": serializers.CharField(allow_blank=True),
        "numbers": serializers.DictField(child=serializers.CharField()),
        "job": JOB,
    },
)
TURNED = inline_serializer(
    "TurnedDown",
    {
        "type": serializers.CharField(),
        "title": serializers.CharField(),
        "status": serializers.IntegerField(),
        "detail": serializers.CharField(),
        "code": serializers.CharField(),
        "rule": serializers.CharField(required=False),
        "numbers": serializers.DictField(child=serializers.CharField(), required=False),
        "retry_at": serializers.DateTimeField(required=False),
    },
)
WRONG_STATE = inline_serializer(
    "WrongState",
    {
        "type": serializers.CharField(),
        "title": serializers.CharField(),
        "status": serializers.IntegerField(),
        "detail": serializers.CharField(),
        "code": serializers.CharField(),
        "state": serializers.CharField(required=False),
    },
)
STEP_REFUSALS: dict[Any, Any] = {
    400: OpenApiResponse(PROBLEM, "`malformed`"),
    **REFUSALS,
    404: OpenApiResponse(PROBLEM, "`unknown_job`"),
    409: OpenApiResponse(WRONG_STATE, "`wrong_state` with the state, `idempotency_key_reused`"),
    422: OpenApiResponse(PROBLEM, "`invalid`, `invalid_report`"),
}
ADMISSION_REFUSALS: dict[Any, Any] = {
    400: OpenApiResponse(PROBLEM, "`malformed`"),
    401: REFUSALS[401],
    402: OpenApiResponse(
        TURNED,
        "`allowance_used_up`, `budget_exceeded`, `not_enough_credit`, `unpaid_above_hold`: with"
        " the rule and its numbers.",
    ),
    403: OpenApiResponse(
        TURNED,
        "The API key lacks the scope; `feature_not_granted`, `service_class_not_offered`,"
        " `no_subscription`.",
    ),
    404: OpenApiResponse(PROBLEM, "`unknown_subject`, `unknown_job` (the parent)"),
    409: OpenApiResponse(WRONG_STATE, "`idempotency_key_reused`, `wrong_state` of the parent"),
    422: OpenApiResponse(PROBLEM, "`invalid`, `unknown_job_class`, `cannot_be_priced`"),
    429: OpenApiResponse(
        TURNED,
        "`too_many_concurrent_jobs`, `hourly_limit_reached`, `daily_limit_reached`,"
        " `daily_spend_reached`: with Retry-After.",
    ),
}
