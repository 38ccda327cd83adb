"""Answer errors as RFC 9457 problem details: {type, title, status, detail, code, errors?}.

A domain error becomes a problem by itself where its class has `code` (a stable name) and
`http_status`. `problem_extra` (a mapping) adds members, and `retry_after_s` a Retry-After header.
"""

import math
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import Http404, HttpRequest, HttpResponseBase, JsonResponse
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

CONTENT_TYPE = "application/problem+json"
_API_PREFIX = "/api/"


def problem(
    *,
    status: int,
    code: str,
    detail: str,
    errors: list[dict[str, str]] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Build the body of a problem; `errors` lists {field, code, detail}."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    return body | ({"errors": errors} if errors else {}) | dict(extra or {})


def problem_handler(error: Exception, _context: Mapping[str, Any]) -> Response | None:
    """Turn an exception of an API view into a problem; None lets an unexpected one through."""
    known = _as_api_exception(error)
    if known is not None:
        body, headers = _from_api_exception(known)
    elif _is_domain_error(error):
        body, headers = _from_domain_error(error)
    else:
        return None
    set_rollback()
    return Response(body, status=body["status"], headers=headers, content_type=CONTENT_TYPE)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer 400 outside API views."""
    if not _wants_problem(request):
        return defaults.bad_request(request, exception)
    return _response(400, "bad_request", "The request could not be understood.")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer 403 outside API views."""
    if not _wants_problem(request):
        return defaults.permission_denied(request, exception)
    return _response(403, "permission_denied", "You may not do this.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer 404 outside API views."""
    if not _wants_problem(request):
        return defaults.page_not_found(request, exception)
    return _response(404, "not_found", f"There is nothing at {request.path}.")


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Answer 500 everywhere."""
    if not _wants_problem(request):
        return defaults.server_error(request)
    return _response(500, "server_error", "Something failed on our side; it has been logged.")


def _wants_problem(request: HttpRequest) -> bool:
    return request.path.startswith(_API_PREFIX)


def _response(status: int, code: str, detail: str) -> JsonResponse:
    body = problem(status=status, code=code, detail=detail)
    return JsonResponse(body, status=status, content_type=CONTENT_TYPE)


def _as_api_exception(error: Exception) -> exceptions.APIException | None:
    if isinstance(error, exceptions.APIException):
        return error
    if isinstance(error, Http404):
        return exceptions.NotFound(*error.args)
    if isinstance(error, DjangoPermissionDenied):
        return exceptions.PermissionDenied(*error.args)
    if isinstance(error, DjangoValidationError):
        return exceptions.ValidationError(_plain_messages(error))
    return None


def _plain_messages(error: DjangoValidationError) -> Any:
    return error.message_dict if hasattr(error, "error_dict") else error.messages


def _from_api_exception(error: exceptions.APIException) -> tuple[dict[str, Any], dict[str, str]]:
    headers = _headers(
        authenticate=getattr(error, "auth_header", None), retry_after_s=getattr(error, "wait", None)
    )
    if isinstance(error, exceptions.ValidationError):
        return _from_validation_error(error), headers
    detail = error.detail if isinstance(error.detail, str) else str(error)
    code = error.get_codes()
    body = problem(
        status=error.status_code,
        code=code if isinstance(code, str) else error.default_code,
        detail=str(detail),
    )
    return body, headers


def _from_validation_error(error: exceptions.ValidationError) -> dict[str, Any]:
    """A payload that was read but does not hold together is 422; one that cannot be read is 400."""
    found = list(_flat(error.detail, path=""))
    detail = "; ".join(
        f"{each['field']}: {each['detail']}" if each["field"] else each["detail"] for each in found
    )
    return problem(status=422, code="invalid", detail=detail, errors=found)


def _flat(detail: Any, *, path: str) -> Iterator[dict[str, str]]:
    """Walk the nested details: {"a": {"b": ["x"]}} is the field a.b with the message x."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            inner_path = path if name == "non_field_errors" else f"{path}.{name}".strip(".")
            yield from _flat(inner, path=inner_path)
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            nested = isinstance(inner, Mapping)
            yield from _flat(inner, path=f"{path}.{index}".strip(".") if nested else path)
    else:
        code = getattr(detail, "code", None) or "invalid"
        yield {"field": path, "code": str(code), "detail": str(detail)}


def _is_domain_error(error: Exception) -> bool:
    kind = type(error)
    return isinstance(getattr(kind, "code", None), str) and isinstance(
        getattr(kind, "http_status", None), int
    )


def _from_domain_error(error: Any) -> tuple[dict[str, Any], dict[str, str]]:
    body = problem(
        status=error.http_status,
        code=error.code,
        detail=str(error),
        extra=getattr(error, "problem_extra", None),
    )
    return body, _headers(retry_after_s=getattr(error, "retry_after_s", None))


def _headers(
    *, authenticate: str | None = None, retry_after_s: float | None = None
) -> dict[str, str]:
    headers = {}
    if authenticate:
        headers["WWW-Authenticate"] = authenticate
    if retry_after_s:
        headers["Retry-After"] = str(math.ceil(retry_after_s))
    return headers
