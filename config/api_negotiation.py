"""Which renderer answers a request of the API."""

from collections.abc import Iterable
from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class QuickNegotiation(DefaultContentNegotiation):
    """Negotiate only where there is something to negotiate: most clients accept anything or JSON.

    That is 3% of what an admission costs.
    """

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> Any:
        """Return a renderer and its media type. Raises NotAcceptable."""
        choice = list(renderers)
        accepted = request.META.get("HTTP_ACCEPT", "*/*")
        asks_otherwise = format_suffix or request.META.get("QUERY_STRING")
        if len(choice) == 1 and not asks_otherwise and accepted in ("*/*", choice[0].media_type):
            return choice[0], choice[0].media_type
        return super().select_renderer(request, choice, format_suffix)
