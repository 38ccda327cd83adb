"""`/api/v1/customers/{key}/budget`: a budget of a customer or workspace, and what counts on it."""

from decimal import Decimal
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.alerts.changing import change_budget, standing_of
from plans.acting import acting
from plans.errors import OperationError
from plans.models.budgets import usual_alerts
from plans.operations.budgets import (
    ALERT_PERCENT_MAX,
    BudgetInvalid,
    BudgetTerms,
    NoBudget,
    Scope,
    remove_budget,
    scope_of,
)
from plans.rating import minor_units
from usage.api.auth import ApiKeyAuthentication, MayRead, MaySetBudgets
from usage.api.schema import BODY_REFUSALS, PROBLEM, REFUSALS


class BudgetBody(serializers.Serializer[Any]):
    """What a budget says; what is left out is as usual, not as it was."""

    amount = serializers.DecimalField(
        max_digits=26, decimal_places=12, min_value=Decimal(0), coerce_to_string=False,
        help_text="For each billing period, in the customer's currency.",
    )  # fmt: skip
    alert_percents = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=ALERT_PERCENT_MAX),
        default=usual_alerts, max_length=10,
        help_text="Shares of spent plus held at which there is an alert, each once a period.",
    )  # fmt: skip
    stops = serializers.BooleanField(default=True, help_text="No job is admitted beyond it.")
    throttle_percent = serializers.IntegerField(
        min_value=1, max_value=100, allow_null=True, default=None,
        help_text="From this share on at most `throttle_to` jobs run at once.",
    )  # fmt: skip
    throttle_to = serializers.IntegerField(min_value=1, max_value=1_000_000, default=1)
    email = serializers.EmailField(
        allow_blank=True, default="", help_text="Empty: the customer's own address."
    )
    reason = serializers.CharField(
        max_length=500, default="", allow_blank=True, help_text="Kept in the history."
    )


class BudgetSerializer(serializers.Serializer[Any]):
    """A budget, what counts against it, and what it does now."""

    customer = serializers.CharField()
    workspace = serializers.CharField(
        allow_null=True, help_text="Null: of the customer as a whole."
    )
    currency = serializers.CharField()
    amount = serializers.CharField()
    used = serializers.CharField(help_text="Spent in the running period, and held by jobs.")
    alert_percents = serializers.ListField(child=serializers.IntegerField())
    alerted_percents = serializers.ListField(
        child=serializers.IntegerField(), help_text="Those that were reached in this period."
    )
    stops = serializers.BooleanField()
    throttle_percent = serializers.IntegerField(allow_null=True)
    throttle_to = serializers.IntegerField()
    email = serializers.CharField(allow_blank=True)
    effects = serializers.ListField(
        child=serializers.CharField(), help_text="What it does now, in words."
    )


class MayReadOrSetBudgets(BasePermission):
    """Ask for the scope `read` to look, and for `budgets` to change."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Tell whether the key has the scope for the method."""
        asked = MayRead() if request.method in SAFE_METHODS else MaySetBudgets()
        allowed = asked.has_permission(request, view)
        self.message = getattr(asked, "message", "")
        return allowed


class CustomerBudgetView(APIView):
    """The budget of a customer or workspace."""

    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [MayReadOrSetBudgets]

    @extend_schema(
        operation_id="get_customer_budget",
        summary="Read a budget",
        description="Of the customer or the workspace that the key names.",
        responses={
            200: BudgetSerializer,
            **REFUSALS,
            404: OpenApiResponse(PROBLEM, "`unknown_customer`, `no_budget`"),
        },
    )
    def get(self, request: Request, key: str) -> Response:  # noqa: ARG002
        """Answer with the budget and what counts against it."""
        return Response(_as_json(scope_of(key=key)))

    @extend_schema(
        operation_id="put_customer_budget",
        summary="Set a budget",
        description="Sets or replaces the budget of the customer or the workspace that the key"
        " names. It holds at once, for jobs and for alerts.",
        request=BudgetBody,
        responses={
            200: BudgetSerializer,
            **BODY_REFUSALS,
            404: OpenApiResponse(PROBLEM, "`unknown_customer`"),
            409: OpenApiResponse(PROBLEM, "`budget_taken`: someone set it at the same moment."),
            422: OpenApiResponse(PROBLEM, "`invalid`, `budget_invalid`"),
        },
    )
    def put(self, request: Request, key: str) -> Response:
        """Set the budget."""
        body = BudgetBody(data=request.data)
        body.is_valid(raise_exception=True)
        said = dict(body.validated_data)
        reason = said.pop("reason")
        terms = BudgetTerms(**{**said, "alert_percents": tuple(said["alert_percents"])})
        scope = scope_of(key=key)
        try:
            with acting(reason=_why(request, reason)):
                change_budget(scope=scope, terms=terms, now=timezone.now())
        except BudgetInvalid as refusal:
            raise BudgetRefused(refusal) from refusal
        return Response(_as_json(scope))

    @extend_schema(
        operation_id="delete_customer_budget",
        summary="Remove a budget",
        description="Nothing limits this spend any more, and no alert is sent.",
        responses={
            204: OpenApiResponse(None, "Removed."),
            **REFUSALS,
            404: OpenApiResponse(PROBLEM, "`unknown_customer`, `no_budget`"),
        },
    )
    def delete(self, request: Request, key: str) -> Response:
        """Remove the budget."""
        with acting(reason=_why(request, "")):
            remove_budget(scope=scope_of(key=key))
        return Response(status=204)


class BudgetRefused(Exception):
    """A budget's terms were refused, each by its field; the budget stays as it was."""

    code = BudgetInvalid.code
    http_status = BudgetInvalid.http_status

    def __init__(self, refusal: OperationError) -> None:
        super().__init__(refusal.message)
        self.problem_extra = {
            "errors": [
                {"field": each.field, "code": each.code, "detail": each.message}
                for each in refusal.problems
            ]
        }


def _why(request: Request, reason: str) -> str:
    """Return the reason with the name of the service, which no person stands for."""
    service = getattr(request.auth, "name", "a service")
    return f"{reason} (set by {service})" if reason.strip() else f"Set by {service}"


def _as_json(scope: Scope) -> dict[str, Any]:
    standing = standing_of(scope)
    terms = standing.terms
    if terms is None:
        raise NoBudget(f"{scope.name} has no budget.")
    currency = scope.customer.currency
    return {
        "customer": scope.customer.key,
        "workspace": scope.workspace.key if scope.workspace else None,
        "currency": currency,
        "amount": _amount(terms.amount, currency),
        "used": _amount(standing.used, currency),
        "alert_percents": list(terms.alert_percents),
        "alerted_percents": sorted(standing.sent),
        "stops": terms.stops,
        "throttle_percent": terms.throttle_percent,
        "throttle_to": terms.throttle_to,
        "email": terms.email,
        "effects": list(standing.effects_of(terms)),
    }


def _amount(amount: Decimal, currency: str) -> str:
    plain = amount.normalize() + 0
    return f"{plain:.{max(minor_units(currency), -int(plain.as_tuple().exponent))}f}"
