"""Customers of whom so much is asked at once that what was read is out of date before it is used.

Each process finds out by itself, and forgets it soon: it decides only in which way to ask.
"""

from time import monotonic

_REMEMBERED_FOR_S = 1.0
_REMEMBERED_MOST = 10_000

_noted: dict[int, float] = {}


def note_contention(customer_id: int) -> None:
    """Note that somebody else wrote to the customer's row between a reading and a writing."""
    if len(_noted) >= _REMEMBERED_MOST:
        _noted.clear()
    _noted[customer_id] = monotonic()


def is_contended(customer_id: int) -> bool:
    """Tell whether that happened within the last second."""
    noted_at = _noted.get(customer_id)
    return noted_at is not None and monotonic() - noted_at < _REMEMBERED_FOR_S
