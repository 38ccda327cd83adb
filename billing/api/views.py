"""Read statements: a list by customer and status, and one with its explained lines."""

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.api.serializers import (
    HeadSerializer,
    LineSerializer,
    LinesQuery,
    StatementListSerializer,
    StatementQuery,
    StatementSerializer,
)
from billing.queries.pages import head_of, statement_page
from billing.queries.statements import by_number, find_statements
from usage.api.auth import ApiKeyAuthentication, MayRead
from usage.api.schema import PROBLEM, REFUSALS


class StatementsView(APIView):
    """Statements of every customer."""

    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [MayRead]

    @extend_schema(
        operation_id="list_statements",
        summary="List statements",
        description="Newest first, 50 a page. Only finalised statements have a number.",
        parameters=[StatementQuery],
        responses={
            200: StatementListSerializer,
            **REFUSALS,
            404: OpenApiResponse(PROBLEM, "`unknown_customer`"),
            422: OpenApiResponse(PROBLEM, "A parameter is not valid."),
        },
    )
    def get(self, request: Request) -> Response:
        """Return a page of statements."""
        query = StatementQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        page = find_statements(
            customer_key=asked.get("customer"),
            status=asked.get("status"),
            after=asked.get("after"),
        )
        heads = HeadSerializer([head_of(row) for row in page.rows], many=True)
        return Response({"results": heads.data, "next": page.after})


class StatementView(APIView):
    """One statement."""

    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [MayRead]

    @extend_schema(
        operation_id="read_statement",
        summary="Read a statement with its explanation",
        description="Each line says how its amount came about. 100 lines a page, charges first.",
        parameters=[LinesQuery],
        responses={
            200: StatementSerializer,
            **REFUSALS,
            404: OpenApiResponse(PROBLEM, "`unknown_statement`"),
            422: OpenApiResponse(PROBLEM, "A parameter is not valid."),
        },
    )
    def get(self, request: Request, number: str) -> Response:
        """Return a statement and a page of its lines."""
        query = LinesQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        page = statement_page(statement=by_number(number), after=query.validated_data["after"])
        lines = LineSerializer([*page.charges, *page.adjustments], many=True)
        return Response(
            {
                **HeadSerializer(page.head).data,
                "line_count": page.line_count,
                "lines": lines.data,
                "lines_next": page.after,
            }
        )
