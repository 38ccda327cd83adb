"""Answer requests of the API before what only pages need."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.urls import resolve

_Answer = Callable[[HttpRequest], HttpResponseBase]
_PREFIX = "/api/v1/"


def answer_api(get_response: _Answer) -> _Answer:
    """Return the middleware after which only pages go on: to sessions, messages, forms, histories.

    Views of the API know nobody but their key, and their errors are answered as any view's are.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(_PREFIX):
            return get_response(request)
        request.resolver_match = found = resolve(request.path_info)
        response: HttpResponseBase = found.func(request, *found.args, **found.kwargs)
        render = getattr(response, "render", None)
        return response if render is None else render()

    return answer
