"""Who acts, and why: said once around an operation, and kept with the history of what it writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from django.contrib.auth.models import AbstractBaseUser
from simple_history.models import HistoricalRecords


class Act(NamedTuple):
    """The person who acts, None for a command or a service, and the reason that they gave."""

    by: AbstractBaseUser | None
    reason: str


_ACT: ContextVar[Act | None] = ContextVar("act", default=None)


@contextmanager
def acting(*, by: AbstractBaseUser | None = None, reason: str = "") -> Iterator[None]:
    """Keep the person and the reason with all that the block writes.

    What is not said here stays as it was said around the block.
    """
    around = current()
    token = _ACT.set(Act(by or around.by, reason.strip() or around.reason))
    try:
        yield
    finally:
        _ACT.reset(token)


def current() -> Act:
    """Return who acts now: as said by ``acting``, else the person who is signed in."""
    return _ACT.get() or Act(_signed_in(), "")


def _signed_in() -> AbstractBaseUser | None:
    """Return the person of the request, as django-simple-history's middleware keeps it."""
    request: Any = getattr(HistoricalRecords.context, "request", None)
    user = getattr(request, "user", None)
    return user if user is not None and user.is_authenticated else None
