"""Which renderer answers a request of the API."""

from collections.abc import Iterable
from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class OnlyOrNegotiated(DefaultContentNegotiation):
    """Answer with the only renderer that there is, whatever a client says it accepts.

    RFC 9110, 12.4.1, lets a server do so in place of 406; every answer names its content type.
    """

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> Any:
        """Return a renderer and its media type."""
        choice = list(renderers)
        if len(choice) == 1 and not format_suffix:
            return choice[0], choice[0].media_type
        return super().select_renderer(request, choice, format_suffix)
