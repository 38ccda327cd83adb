"""A view for what services ask all the time: answered without what they do not need of DRF.

The key, its scope and every answer are as on any other view. What DRF does around a view costs more
than a small request itself, so it is asked only where there is something to negotiate or to refuse.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from django.http import HttpRequest
from django.http.response import HttpResponse, HttpResponseBase
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.views import APIView

from usage.api.auth import ApiKeyAuthentication

_METHODS = ("GET", "POST")
_ACCEPTED = ("*/*", "application/json")


def json_answer(
    body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """Return a body as JSON."""
    content = msgspec.json.encode(body)
    return HttpResponse(content, status=status, headers=headers, content_type="application/json")


def empty_answer() -> HttpResponse:
    """Return that all is well, and nothing else: there is no content, so it is of no type."""
    answer = HttpResponse(status=204)
    del answer.headers["Content-Type"]
    return answer


class ServiceView(APIView):
    """A view of one scope, ``permission_classes``, whose methods take Django's own request.

    They read it by `META`, `GET` and `read`, which DRF's hands on, and return `json_answer`.
    """

    authentication_classes = [ApiKeyAuthentication]
    looks_up_key = False
    """Whether the methods look up the `presented_key` with the first that they read."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer at once what may be asked and negotiates nothing; leave the rest to DRF."""
        answer = self._method(request)
        if answer is None or not (self.looks_up_key or self._may(request)):
            return super().dispatch(request, *args, **kwargs)
        try:
            return answer(request, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 (DRF answers those it knows, and raises others)
            if self.looks_up_key and not self._may(request):
                # Whoever may not ask learns nothing but that.
                return super().dispatch(request, *args, **kwargs)
            return self._refuse(request, error, *args, **kwargs)

    def _method(self, request: HttpRequest) -> Callable[..., HttpResponse] | None:
        """Return what answers the request, or None where DRF has to say."""
        asks_otherwise = request.META.get("QUERY_STRING")
        accepted = request.META.get("HTTP_ACCEPT", "*/*")
        if asks_otherwise or accepted not in _ACCEPTED or request.method not in _METHODS:
            return None
        return getattr(self, request.method.lower(), None)

    def _may(self, request: Any) -> bool:
        try:
            found = ApiKeyAuthentication().authenticate(request)
        except AuthenticationFailed:
            return False
        if found is None:
            return False
        request.user, request.auth = found
        return all(each().has_permission(request, self) for each in self.permission_classes)

    def _refuse(
        self, request: HttpRequest, error: Exception, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """Let DRF say what the error says, as it does on any other view."""
        self.request = asked = self.initialize_request(request, *args, **kwargs)
        found = self.perform_content_negotiation(asked, force=True)
        asked.accepted_renderer, asked.accepted_media_type = found
        self.headers = self.default_response_headers
        return self.finalize_response(asked, self.handle_exception(error), *args, **kwargs)
