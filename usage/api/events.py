"""`POST /api/v1/events`: CloudEvents 1.0 in, one answer out."""

from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import UnsupportedMediaType

from usage.api import schema
from usage.api.auth import MayIngest
from usage.api.service_view import Answer, ServiceView, empty_answer, json_answer
from usage.ingest import Received, Rejection, read_body
from usage.limits import batch_events_max, body_bytes_max
from usage.operations.ingest import IngestReport, ingest

MEDIA_TYPES = (
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "application/json",
)


class BodyTooLarge(Exception):
    """The request body has more bytes than are taken at once; nothing was stored."""

    code = "body_too_large"
    http_status = 413


class EventsRejected(Exception):
    """No event of the request was stored; `problem_extra` carries the report."""

    code = "all_rejected"
    http_status = 400

    def __init__(self, detail: str, *, code: str, report: dict[str, Any]) -> None:
        super().__init__(detail)
        self.code = code
        self.problem_extra = report


class EventsView(ServiceView):
    """Take usage events."""

    permission_classes = [MayIngest]

    @extend_schema(
        operation_id="post_events",
        summary="Post usage events",
        description=schema.EVENTS_DESCRIPTION,
        request=dict.fromkeys(MEDIA_TYPES, schema.EVENTS),
        parameters=[
            OpenApiParameter(
                "Prefer",
                str,
                OpenApiParameter.HEADER,
                description="`return=representation` answers 200 with a report instead of 204.",
            )
        ],
        responses={
            200: OpenApiResponse(schema.REPORT, "All stored or duplicates, with the report."),
            204: OpenApiResponse(None, "All stored or duplicates."),
            207: OpenApiResponse(schema.REPORT, "Some were rejected."),
            400: OpenApiResponse(
                schema.PROBLEM, "Not JSON (`malformed`); or all rejected, with the report in it."
            ),
            **schema.REFUSALS,
            413: OpenApiResponse(schema.PROBLEM, "`too_many_events`, `body_too_large`: split it."),
            415: OpenApiResponse(
                schema.PROBLEM, "Not one of the three content types, or not UTF-8."
            ),
        },
    )
    def post(self, request: HttpRequest) -> Answer:
        """Store the events of the body and tell what became of them."""
        _check_media_type(request)
        received = read_body(_body(request), events_max=batch_events_max())
        report = ingest(received.events, now=timezone.now())
        return _answer(request, received, _merge(received, report))


def _check_media_type(request: HttpRequest) -> None:
    said = request.META.get("CONTENT_TYPE", "")
    media_type, _, parameters = said.partition(";")
    charset = parameters.lower().partition("charset=")[2].strip(' "')
    if media_type.strip().lower() not in MEDIA_TYPES or charset not in ("", "utf-8", "utf8"):
        raise UnsupportedMediaType(said)


def _body(request: HttpRequest) -> bytes:
    """Read the body to our own limit: Django's limit for forms is lower."""
    limit = body_bytes_max()
    body: bytes = request.read(limit + 1)
    if len(body) > limit:
        raise BodyTooLarge(f"The body has more than {limit} bytes. Split the batch.")
    return body


def _merge(received: Received, report: IngestReport) -> IngestReport:
    """Number the rejected events by their place in the body."""
    if not report.rejected and not received.unreadable:
        return report
    places = received.places
    placed = [each._replace(index=places[each.index]) for each in report.rejected]
    return report._replace(rejected=tuple(sorted([*placed, *received.unreadable])))


def _answer(request: HttpRequest, received: Received, report: IngestReport) -> Answer:
    rejected = [_as_json(each) for each in report.rejected]
    body = {"accepted": report.accepted, "duplicates": report.duplicates, "rejected": rejected}
    if rejected and not report.accepted + report.duplicates:
        first = report.rejected[0]
        if received.is_single:
            raise EventsRejected(first.detail, code=first.code, report=body)
        said = f"None of the {len(rejected)} events was stored. The first: {first.detail}"
        raise EventsRejected(said, code=EventsRejected.code, report=body)
    if rejected:
        return json_answer(body, status=207)
    if "return=representation" in request.headers.get("Prefer", "").replace(" ", "").lower():
        return json_answer(body, headers={"Preference-Applied": "return=representation"})
    return empty_answer()


def _as_json(rejection: Rejection) -> dict[str, Any]:
    """Leave out what says nothing."""
    found = rejection._asdict()
    return {
        name: value
        for name, value in found.items()
        if name not in ("field", "quarantined") or value
    }
