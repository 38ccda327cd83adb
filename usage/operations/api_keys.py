"""Issue, find and revoke the keys that services call the API with."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Q

from usage import locks, sql
from usage.models import ApiKey, Scope
from usage.prepared import first_row

_MARK = "tg_"
_PREFIX_LENGTH = 12
_LAST_USED_EVERY = timedelta(minutes=1)
_COLUMNS = [field.attname for field in ApiKey._meta.concrete_fields]
_LIVE_KEY = sql.LIVE_API_KEY.format(columns=", ".join(_COLUMNS))


class UnknownScope(ValueError):
    """An API key was asked for with no scope, or with one that does not exist."""

    code = "unknown_scope"


class KeyNotAccepted(Exception):
    """There is no such API key, it was revoked, or it lacks the scope that is needed."""

    code = "authentication_failed"
    http_status = 401


class PresentedKey(NamedTuple):
    """An API key as a request presents it, by its digest, and the scope that the request needs.

    What reads it together with more takes the keys that are not revoked and have the scope.
    """

    digest: str
    scope: str

    def check(self) -> None:
        """Raise KeyNotAccepted unless there is such a key."""
        key = _live_key(self.digest)
        if key is None or self.scope not in key.scopes:
            raise KeyNotAccepted("The API key is not valid here.")


def issue_key(*, name: str, scopes: Sequence[str], now: datetime) -> tuple[ApiKey, str]:
    """Make an API key; return it with its secret, which is not kept and cannot be shown again.

    Raises UnknownScope.
    """
    if not scopes or not set(scopes) <= set(Scope.values):
        raise UnknownScope(f"Choose one or more of: {', '.join(Scope.values)}.")
    secret = _MARK + secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        name=name,
        prefix=secret[:_PREFIX_LENGTH],
        digest=digest_of(secret),
        scopes=sorted(set(scopes)),
        created_at=now,
    )
    return key, secret


@transaction.atomic
def revoke_key(*, key_id: int, now: datetime) -> bool:
    """End a key at once; return False where it was revoked before."""
    key = locks.lock_api_key(key_id=key_id)
    if key is None or key.revoked_at is not None:
        return False
    key.revoked_at = now
    key.save(update_fields=["revoked_at"])
    return True


def use_key(*, secret: str, now: datetime) -> ApiKey | None:
    """Return the key of this secret unless there is none or it is revoked.

    Notes the use, at most once a minute: a busy key is not a row that everybody writes.
    """
    key = _live_key(digest_of(secret))
    if key is not None:
        note_use(key_id=key.pk, last_used_at=key.last_used_at, now=now)
    return key


def note_use(*, key_id: int, last_used_at: datetime | None, now: datetime) -> None:
    """Note that a key was used, unless that was noted within the last minute."""
    if last_used_at is None or now - last_used_at >= _LAST_USED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lte=now - _LAST_USED_EVERY)
        ApiKey.objects.filter(stale, pk=key_id).update(last_used_at=now)


def _live_key(digest: str) -> ApiKey | None:
    """Find a key as every request does: the ORM would take four times as long to ask the same."""
    found = first_row(_LIVE_KEY, [digest])
    return None if found is None else ApiKey.from_db(DEFAULT_DB_ALIAS, _COLUMNS, found)


def digest_of(secret: str) -> str:
    """Return the SHA-256 of the secret: 256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()
