"""What the OpenAPI document says of outcomes."""

from typing import Any

from drf_spectacular.utils import inline_serializer
from rest_framework import serializers

CLAIMS_DESCRIPTION = """
One claimed result or a list of at most 1,000. `id` is the sender's: under one id a customer's
contract has one outcome for ever; the same claim again is a duplicate, other content a `conflict`.
`happened_at` decides the billing period and the terms. What the contract's rule verifies is
`verified` at once, what its conditions do not hold of is `rejected`, all else is `pending`.

Codes of rejected claims: `malformed`, `missing_field`, `id_too_long`, `invalid_data`,
`invalid_time`, `time_out_of_range`, `unknown_subject`, `unknown_contract`, `contract_not_in_force`,
`not_on_plan`, `unknown_evidence`, `missing_evidence`, `invalid_evidence`, `missing_value`,
`invalid_value`, `value_not_taken`, `conflict`; `field` says where.
"""

_CLAIM: dict[str, Any] = {
    "type": "object",
    "required": ["id", "contract", "subject", "happened_at"],
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 200},
        "contract": {"type": "string", "description": "The contract's key."},
        "subject": {"type": "string", "description": "Key of a customer or a workspace."},
        "happened_at": {"type": "string", "format": "date-time"},
        "claimed_at": {
            "type": "string",
            "format": "date-time",
            "description": "When it was claimed, where that comes later. Windows count from it.",
        },
        "evidence": {"type": "object", "additionalProperties": True},
        "value": {"description": "An amount, as text or as a number, where the fee needs one."},
        "job": {"type": "string", "maxLength": 200},
        "attempt": {"type": "integer", "minimum": 1},
    },
    "additionalProperties": False,
}
CLAIMS: dict[str, Any] = {"oneOf": [_CLAIM, {"type": "array", "items": _CLAIM}]}


def _parts_of_report() -> dict[str, Any]:
    stored: dict[str, Any] = {
        "index": serializers.IntegerField(help_text="Its place in the body, from 0."),
        "id": serializers.CharField(),
        "outcome": serializers.IntegerField(help_text="What its addresses name it by."),
        "state": serializers.CharField(),
    }
    rejected: dict[str, Any] = {
        "index": serializers.IntegerField(),
        "id": serializers.CharField(),
        "code": serializers.CharField(),
        "detail": serializers.CharField(),
        "field": serializers.CharField(),
    }
    return {
        "accepted": serializers.IntegerField(),
        "duplicates": serializers.IntegerField(),
        "outcomes": inline_serializer("ClaimedOutcome", stored, many=True),
        "rejected": inline_serializer("RejectedClaim", rejected, many=True),
    }


def _outcome() -> dict[str, Any]:
    amount: dict[str, Any] = {
        "amount": serializers.CharField(), "currency": serializers.CharField()
    }  # fmt: skip
    step: dict[str, Any] = {
        "what": serializers.CharField(),
        "at": serializers.DateTimeField(),
        "recorded_at": serializers.DateTimeField(),
        "via": serializers.CharField(),
        "who": serializers.CharField(),
        "reason": serializers.CharField(),
    }
    times = {
        name: serializers.DateTimeField(allow_null=True)
        for name in ("decided_at", "verify_by", "dispute_by", "release_at", "released_at")
    }
    return {
        "outcome": serializers.IntegerField(),
        "id": serializers.CharField(),
        "contract": serializers.CharField(),
        "contract_version": serializers.IntegerField(),
        "customer": serializers.CharField(),
        "workspace": serializers.CharField(allow_null=True),
        "state": serializers.CharField(),
        "value": serializers.CharField(),
        "evidence": serializers.DictField(),
        "job": serializers.CharField(),
        "attempt": serializers.IntegerField(allow_null=True),
        "amount": inline_serializer("OutcomeAmount", amount),
        "is_billable": serializers.BooleanField(help_text="False: the amount is not billed."),
        "happened_at": serializers.DateTimeField(),
        "claimed_at": serializers.DateTimeField(),
        "recorded_at": serializers.DateTimeField(),
        **times,
        "steps": inline_serializer("OutcomeStep", step, many=True),
    }


REPORT = inline_serializer("ClaimReport", _parts_of_report())
OUTCOME = inline_serializer("Outcome", _outcome())
