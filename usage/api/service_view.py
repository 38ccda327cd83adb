"""A view for what services ask all the time: answered without what they do not need of DRF.

The key, its scope and every answer are as on any other view. What DRF does around a view costs more
than a small request itself, so it is asked only where there is something to negotiate or to refuse.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
from django.http import HttpRequest
from django.http.response import HttpResponse, HttpResponseBase
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.views import APIView

from usage.api.auth import ApiKeyAuthentication

# Where `at_once` was tried before Django is asked, META has its error, or None, under this name.
REFUSAL = "tollgate.refusal"
_METHODS = ("GET", "POST")
_ACCEPTED = ("*/*", "application/json")
_encode = msgspec.json.Encoder().encode


class Answer(NamedTuple):
    """What a service is answered where all is well."""

    status: int
    content: bytes
    headers: Mapping[str, str]

    def as_response(self) -> HttpResponse:
        """Return the answer as Django gives one."""
        response = HttpResponse(self.content, status=self.status, headers=self.headers)
        if "Content-Type" not in self.headers:
            del response.headers["Content-Type"]
        return response


def json_answer(
    body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Answer:
    """Return a body as JSON."""
    return Answer(status, _encode(body), {"Content-Type": "application/json", **(headers or {})})


def empty_answer() -> Answer:
    """Return that all is well, and nothing else: there is no content, so it is of no type."""
    return Answer(204, b"", {})


class ServiceView(APIView):
    """A view of one scope, ``permission_classes``, whose methods take Django's own request.

    They read it by `META`, `GET` and `read`, which DRF's hands on, and return an `Answer`.
    """

    authentication_classes = [ApiKeyAuthentication]
    looks_up_key = False
    """Whether the methods look up the `presented_key` with the first that they read."""

    def at_once(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Answer | None:
        """Answer what may be asked and negotiates nothing, or return None: DRF has to say.

        Raises whatever the method does.
        """
        method = self._method(request)
        if method is None or not (self.looks_up_key or self._may(request)):
            return None
        return method(request, *args, **kwargs)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer at once if that was not tried yet; leave the rest to DRF."""
        is_tried = REFUSAL in request.META
        error: Exception | None = request.META.pop(REFUSAL, None)
        answer = None
        if not is_tried:
            try:
                answer = self.at_once(request, *args, **kwargs)
            except Exception as raised:  # noqa: BLE001 (DRF answers what it knows, raises the rest)
                error = raised
        if answer is not None:
            return answer.as_response()
        # Whoever may not ask learns nothing but that.
        if error is None or (self.looks_up_key and not self._may(request)):
            return super().dispatch(request, *args, **kwargs)
        return self._refuse(request, error, *args, **kwargs)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Take the answer of a method that DRF called, too."""
        if isinstance(response, Answer):
            response = response.as_response()
        return super().finalize_response(request, response, *args, **kwargs)

    def _method(self, request: HttpRequest) -> Callable[..., Answer] | None:
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
        refusal = self.handle_exception(error)
        answer: HttpResponseBase = self.finalize_response(asked, refusal, *args, **kwargs)
        return answer
