"""`/api/v1/outcomes`: claim results, read them, verify, reject and dispute them."""

from datetime import datetime
from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from usage.api import outcome_schema, schema
from usage.api.auth import ApiKeyAuthentication, MayClaim, MayRead
from usage.api.events import BodyTooLarge, EventsRejected
from usage.limits import body_bytes_max
from usage.models import ApiKey, OutcomeStep, StepVia
from usage.operations.outcome_claims import CLAIMS_MAX, ClaimReport, claim_outcomes
from usage.operations.outcome_steps import Actor, take_step
from usage.outcome_claims import Received, read_claims
from usage.outcome_queries import (
    OutcomePage,
    outcome_by_id,
    outcome_page,
    plain_value,
    states_of,
    who_took,
)
from usage.outcome_states import Action


class OutcomesView(APIView):
    """Take claims of outcomes."""

    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [MayClaim]

    @extend_schema(
        operation_id="claim_outcomes",
        summary="Claim outcomes",
        description=outcome_schema.CLAIMS_DESCRIPTION,
        request={"application/json": outcome_schema.CLAIMS},
        responses={
            200: OpenApiResponse(outcome_schema.REPORT, "All stored or duplicates."),
            207: OpenApiResponse(outcome_schema.REPORT, "Some were rejected."),
            400: OpenApiResponse(
                schema.PROBLEM, "Not JSON; or all rejected, with the report in it."
            ),
            **schema.REFUSALS,
            413: OpenApiResponse(schema.PROBLEM, "`too_many_outcomes`, `body_too_large`: split."),
        },
    )
    def post(self, request: Request) -> Response:
        """Store the claims of the body and tell what became of them."""
        limit = body_bytes_max()
        body: bytes = request._request.read(limit + 1)
        if len(body) > limit:
            raise BodyTooLarge(f"The body has more than {limit} bytes. Split the batch.")
        received = read_claims(body, claims_max=CLAIMS_MAX)
        report = claim_outcomes(received.claims, who=_who(request), now=timezone.now())
        return _answer(received, report)


class OutcomeView(APIView):
    """Read an outcome."""

    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [MayClaim | MayRead]

    @extend_schema(
        operation_id="get_outcome",
        summary="Read an outcome with its steps",
        responses={
            200: outcome_schema.OUTCOME,
            **schema.REFUSALS,
            404: OpenApiResponse(schema.PROBLEM, "`unknown_outcome`"),
        },
    )
    def get(self, request: Request, outcome_id: int) -> Response:  # noqa: ARG002
        """Answer with what was claimed, where it stands, and who did what."""
        return Response(_as_json(outcome_page(outcome_id)))


class StepSerializer(serializers.Serializer[Any]):
    """A step as it is asked for."""

    reason = serializers.CharField(
        required=False, default="", max_length=2000, allow_blank=True,
        help_text="Why; needed to reject and to dispute.",
    )  # fmt: skip
    at = serializers.DateTimeField(
        required=False, default=None, allow_null=True,
        help_text="When it was decided, where that is passed on later. Windows are held to it.",
    )  # fmt: skip


class OutcomeStepView(APIView):
    """Take a step with an outcome."""

    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [MayClaim]
    action: ClassVar[Action] = "verify"

    @extend_schema(
        summary="Verify, reject or dispute an outcome",
        description="Taken again, nothing happens, and the answer is the same.",
        request=StepSerializer,
        responses={
            200: outcome_schema.OUTCOME,
            **schema.BODY_REFUSALS,
            404: OpenApiResponse(schema.PROBLEM, "`unknown_outcome`"),
            409: OpenApiResponse(schema.PROBLEM, "`wrong_state`, `window_over`"),
            422: OpenApiResponse(schema.PROBLEM, "`invalid`, `reason_missing`, `invalid_time`"),
        },
    )
    def post(self, request: Request, outcome_id: int) -> Response:
        """Take the step of the address."""
        asked = StepSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        outcome = outcome_by_id(outcome_id)
        take_step(
            outcome=outcome,
            action=self.action,
            actor=Actor(StepVia.API, who=_who(request)),
            reason=asked.validated_data["reason"],
            at=asked.validated_data["at"],
            now=outcome.customer.clock_at or timezone.now(),
        )
        return Response(_as_json(outcome_page(outcome_id)))


def _who(request: Request) -> str:
    key = request.auth
    assert isinstance(key, ApiKey), "the permission asks for one"
    return key.name


def _answer(received: Received, report: ClaimReport) -> Response:
    places = received.places
    rejected = [each._replace(index=places[each.index]) for each in report.rejected]
    rejected = sorted([*rejected, *received.unreadable])
    states = states_of(report.stored.values())
    body = {
        "accepted": len(report.stored) - len(report.duplicates),
        "duplicates": len(report.duplicates),
        "outcomes": [
            {
                "index": places[place],
                "id": received.claims[place].id,
                "outcome": outcome,
                "state": states[outcome],
            }
            for place, outcome in sorted(report.stored.items())
        ],
        "rejected": [
            {name: value for name, value in each._asdict().items() if name != "quarantined"}
            for each in rejected
        ],
    }
    if rejected and not report.stored:
        first = rejected[0]
        code = first.code if received.is_single else EventsRejected.code
        said = f"None of the {len(rejected)} outcomes was stored. The first: {first.detail}"
        raise EventsRejected(first.detail if received.is_single else said, code=code, report=body)
    return Response(body, status=207 if rejected else 200)


def _as_json(page: OutcomePage) -> dict[str, Any]:
    outcome, (amount, currency) = page.outcome, page.amount
    workspace = outcome.workspace
    return {
        "outcome": outcome.pk,
        "id": outcome.key,
        "contract": outcome.contract.key,
        "contract_version": outcome.version.number,
        "customer": outcome.customer.key,
        "workspace": workspace.key if workspace else None,
        "state": outcome.state,
        "value": plain_value(outcome.value),
        "evidence": outcome.evidence,
        "job": outcome.job,
        "attempt": outcome.attempt,
        "amount": {"amount": f"{amount:f}", "currency": currency},
        "is_billable": outcome.state in ("verified", "disputed", "dismissed"),
        **{
            name: _said(getattr(outcome, name))
            for name in (
                "happened_at", "claimed_at", "recorded_at", "decided_at", "verify_by", "dispute_by",
                "release_at", "released_at",
            )
        },
        "steps": [_step(step) for step in page.steps],
    }  # fmt: skip


def _step(step: OutcomeStep) -> dict[str, Any]:
    return {
        "what": step.what,
        "at": _said(step.at),
        "recorded_at": _said(step.recorded_at),
        "via": step.via,
        "who": who_took(step),
        "reason": step.reason,
    }


def _said(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")
