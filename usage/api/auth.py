"""Authenticate services by `Authorization: Bearer KEY`, and hold them to their scopes."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from usage.models import ApiKey, Scope
from usage.operations.api_keys import KeyNotAccepted, PresentedKey, digest_of, use_key


def presented_key(request: HttpRequest | Request, *, scope: Scope) -> PresentedKey:
    """Return the key of a request, to be looked up with what else is read for it.

    Raises KeyNotAccepted where it presents none.
    """
    secret = _secret(request)
    if not secret:
        raise KeyNotAccepted("Send an API key.")
    return PresentedKey(digest_of(secret), scope.value)


def _secret(request: HttpRequest | Request) -> str | None:
    """Return the secret of a bearer key, "" where it cannot be one, or None without a key."""
    words = request.META.get("HTTP_AUTHORIZATION", "").split()
    if not words or words[0].lower() != "bearer":
        return None
    return words[1] if len(words) == 2 and words[1].isascii() else ""


class ApiKeyAuthentication(BaseAuthentication):
    """Find the API key; `request.auth` is the `ApiKey`."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, ApiKey] | None:
        """Return None without a bearer key; raise AuthenticationFailed for an invalid one."""
        secret = _secret(request)
        if secret is None:
            return None
        key = use_key(secret=secret, now=timezone.now()) if secret else None
        if key is None:
            raise AuthenticationFailed("The API key is not valid, or it was revoked.")
        return AnonymousUser(), key

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002
        """Name the scheme, so that a refusal is 401 and not 403."""
        return 'Bearer realm="tollgate"'


class _HasScope(BasePermission):
    scope: Scope

    def has_permission(self, request: Request, view: APIView) -> bool:  # noqa: ARG002
        """Tell whether the request's API key has the scope."""
        key = request.auth
        self.message = f"This API key lacks the scope “{self.scope.value}”."
        return isinstance(key, ApiKey) and self.scope.value in key.scopes


class MayIngest(_HasScope):
    """Let keys with the scope `ingest` pass."""

    scope = Scope.INGEST


class MayAskForJobs(_HasScope):
    """Let keys with the scope `jobs` pass."""

    scope = Scope.JOBS


class MayClaim(_HasScope):
    """Let keys with the scope `outcomes` pass."""

    scope = Scope.OUTCOMES


class MayRead(_HasScope):
    """Let keys with the scope `read` pass."""

    scope = Scope.READ


class MayGrantCredit(_HasScope):
    """Let keys with the scope `credit` pass."""

    scope = Scope.CREDIT


class MayMoveClocks(_HasScope):
    """Let keys with the scope `test` pass."""

    scope = Scope.TEST


class MaySetBudgets(_HasScope):
    """Let keys with the scope `budgets` pass."""

    scope = Scope.BUDGETS


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describe the API key in the OpenAPI document."""

    target_class = "usage.api.auth.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:  # noqa: ARG002
        """Return the OpenAPI security scheme."""
        return {"type": "http", "scheme": "bearer"}
