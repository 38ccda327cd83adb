"""Read a customer's credit, and grant more."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.api.credit_serializers import (
    BalanceQuery,
    BalanceSerializer,
    GrantListSerializer,
    GrantRequestSerializer,
    GrantSerializer,
    GrantsQuery,
    IdempotencyHeader,
    JournalQuery,
    JournalSerializer,
    NewGrantSerializer,
)
from billing.credits.requests import grant_or_ask
from billing.models import CreditRequest
from billing.queries.credit import (
    balances_of,
    customer_of,
    grants_of,
    journal_of,
    pool_of,
)
from usage.api.auth import ApiKeyAuthentication, MayGrantCredit, MayRead
from usage.api.schema import BODY_REFUSALS, PROBLEM, REFUSALS

_UNKNOWN = {404: OpenApiResponse(PROBLEM, "`unknown_customer`, `unknown_pool`")}
_INVALID = {422: OpenApiResponse(PROBLEM, "A parameter is not valid.")}
_CLOCKS_DIFFER = timedelta(minutes=5)


class BalanceView(APIView):
    """What a customer's pools hold."""

    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [MayRead]

    @extend_schema(
        operation_id="read_balance",
        summary="Read a customer's credit balance",
        description="One balance for each pool, at an instant from now on.",
        parameters=[BalanceQuery],
        responses={200: BalanceSerializer, **REFUSALS, **_UNKNOWN, **_INVALID},
    )
    def get(self, request: Request, key: str) -> Response:
        """Return the balances."""
        now = timezone.now()
        query = BalanceQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        at = query.validated_data.get("at", now)
        if at < now - _CLOCKS_DIFFER:
            raise ValidationError(
                {"at": ["A balance is known from now on; the journal says what was before."]}
            )
        customer = customer_of(key)
        pools = balances_of(customer=customer, at=at)
        return Response(BalanceSerializer({"customer": key, "at": at, "pools": pools}).data)


class GrantsView(APIView):
    """What was added to a customer's pools."""

    authentication_classes = [ApiKeyAuthentication]

    def get_permissions(self) -> list[BasePermission]:
        """Let other keys read than those that grant."""
        return [MayGrantCredit() if self.request.method == "POST" else MayRead()]

    @extend_schema(
        operation_id="list_grants",
        summary="List a customer's grants",
        description="Newest first, 50 a page.",
        parameters=[GrantsQuery],
        responses={200: GrantListSerializer, **REFUSALS, **_UNKNOWN, **_INVALID},
    )
    def get(self, request: Request, key: str) -> Response:
        """Return a page of grants."""
        query = GrantsQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        page = grants_of(customer=customer_of(key), **query.validated_data)
        results = GrantSerializer(page.rows, many=True).data
        return Response({"results": results, "next": page.after})

    @extend_schema(
        operation_id="grant_credit",
        summary="Grant credit",
        description="Once for its Idempotency-Key, which becomes the grant's key: sent again it "
        "answers with the grant that there is. Above the amount that finance has set for the unit "
        "it answers 202 with a request, which a person approves or declines; sent again after that "
        "it answers with the grant, or 409. Needs the scope `credit`.",
        parameters=[
            OpenApiParameter(
                "Idempotency-Key", str, OpenApiParameter.HEADER, required=True,
                description="1 to 100 letters, digits, and . _ : -",
            )
        ],
        request=NewGrantSerializer,
        responses={
            201: GrantSerializer,
            202: GrantRequestSerializer,
            **BODY_REFUSALS,
            **_UNKNOWN,
            409: OpenApiResponse(
                PROBLEM,
                "`grant_key_taken`, `request_key_taken`: something else has the key. "
                "`request_declined`: a person declined it.",
            ),
            422: OpenApiResponse(PROBLEM, "`invalid`, `credit_invalid`"),
        },
    )  # fmt: skip
    def post(self, request: Request, key: str) -> Response:
        """Add credit to a pool, and return the grant, or the request that waits."""
        now = timezone.now()
        header = IdempotencyHeader(data={"key": request.headers.get("Idempotency-Key", "")})
        if not header.is_valid():
            raise ValidationError({"Idempotency-Key": header.errors["key"]})
        body = NewGrantSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        terms: dict[str, Any] = {"effective_at": None, **body.validated_data}
        api_key = request.auth
        assert api_key is not None, "the permission asked for its scope"
        found = grant_or_ask(
            pool=pool_of(customer=customer_of(key), key=terms.pop("pool")),
            key=header.validated_data["key"],
            amount=terms.pop("amount"),
            reason=terms.pop("note"),
            terms=terms,
            now=now,
            api_key_id=api_key.pk,
        )
        if isinstance(found, CreditRequest):
            return Response(GrantRequestSerializer(found).data, status=202)
        return Response(GrantSerializer(found).data, status=201)


class JournalView(APIView):
    """What was posted for a customer."""

    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [MayRead]

    @extend_schema(
        operation_id="read_journal",
        summary="Read a customer's journal",
        description="Every business event with its entries, newest first, 50 a page.",
        parameters=[JournalQuery],
        responses={200: JournalSerializer, **REFUSALS, **_UNKNOWN, **_INVALID},
    )
    def get(self, request: Request, key: str) -> Response:
        """Return a page of the journal."""
        query = JournalQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        page = journal_of(customer=customer_of(key), **query.validated_data)
        return Response(JournalSerializer({"results": page.rows, "next": page.after}).data)
