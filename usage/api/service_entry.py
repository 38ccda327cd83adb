"""The way in for what services ask all the time: before Django's, which costs more than they do.

Only what is plain and goes well is answered here, with the headers that Django's middleware gives
every answer of the API. Whatever is not plain, is not for a `ServiceView`, comes by another host or
without TLS, or has to be refused goes on to Django, and is answered there as anything is.
"""

from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from http import HTTPStatus
from io import BytesIO
from typing import Any, NamedTuple
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from django.core.exceptions import DisallowedHost
from django.core.handlers.wsgi import WSGIRequest
from django.db import DEFAULT_DB_ALIAS, connections
from django.http import Http404, HttpResponse
from django.middleware.common import CommonMiddleware
from django.middleware.security import SecurityMiddleware
from django.urls import resolve

from usage.api.service_view import REFUSAL, ServiceView

_PREFIX = "/api/v1/"


class ServiceEntry:
    """A WSGI application that answers services at once, and leaves all else to Django's."""

    def __init__(self, django: WSGIApplication) -> None:
        """Stand before an application. Settings are those of now."""
        self._django = django
        self._headers = lru_cache(maxsize=256)(_headers)

    def __call__(self, asked: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        content = self._answer(asked, start_response)
        return self._django(asked, start_response) if content is None else [content]

    def _answer(self, asked: WSGIEnvironment, start_response: StartResponse) -> bytes | None:
        """Answer at once, and return the content; or answer nothing, and return None."""
        service = _service(asked.get("PATH_INFO", ""))
        if service is None:
            return None
        request = WSGIRequest(asked)
        always = self._headers(asked.get("HTTP_HOST", ""), request.scheme)
        if always is None:
            return None
        try:
            answer = service.view().at_once(request, **service.named)
        except Exception as error:  # noqa: BLE001 (the view answers it, once it is asked by Django)
            asked[REFUSAL] = error
            return None
        if answer is None:
            asked[REFUSAL] = None
            return None
        connections[DEFAULT_DB_ALIAS].close_if_unusable_or_obsolete()
        length = str(len(answer.content))
        said = [*answer.headers.items(), ("Content-Length", length), *always]
        start_response(_status(answer.status), said)
        return answer.content


class _Service(NamedTuple):
    """The view at a path, and what the path names."""

    view: type[ServiceView]
    named: Mapping[str, Any]


@lru_cache(maxsize=4096)
def _service(path: str) -> _Service | None:
    """Return the service at a path, or None where there is none."""
    try:
        found = resolve(path) if path.startswith(_PREFIX) else None
    except Http404:
        return None
    view = getattr(found and found.func, "cls", None)
    if found is None or not (isinstance(view, type) and issubclass(view, ServiceView)):
        return None
    return _Service(view, found.kwargs)


def _headers(host: str, scheme: str) -> list[tuple[str, str]] | None:
    """Return what Django's middleware adds to an answer of the API, or None where it has its own.

    As for a host that is not ours, or where everything is led to TLS.
    """
    asked = {
        "REQUEST_METHOD": "GET", "PATH_INFO": _PREFIX, "HTTP_HOST": host,
        "wsgi.url_scheme": scheme, "wsgi.input": BytesIO(),
    }  # fmt: skip
    bare = HttpResponse()
    before = set(bare.headers)
    try:
        answer = SecurityMiddleware(CommonMiddleware(lambda _: bare))(WSGIRequest(asked))
    except DisallowedHost:
        return None
    if answer is not bare:
        return None
    return [each for each in bare.items() if each[0] not in {*before, "Content-Length"}]


@cache
def _status(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"
