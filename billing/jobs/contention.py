"""Customers of whom so much is asked at once that what was read is out of date before it is used.

Each process finds out by itself, and forgets it soon: it decides only in which way to ask.
"""

from time import monotonic

_REMEMBERED_FOR_S = 1.0
_REMEMBERED_MOST = 10_000

_noted: dict[str, float] = {}


def note_contention(subject: str) -> None:
    """Note that somebody else wrote to the row of a subject's customer before it was written."""
    if len(_noted) >= _REMEMBERED_MOST:
        _noted.clear()
    _noted[subject] = monotonic()


def is_contended(subject: str) -> bool:
    """Tell whether that happened within the last second."""
    noted_at = _noted.get(subject)
    return noted_at is not None and monotonic() - noted_at < _REMEMBERED_FOR_S
