"""Columns of values as parameters of a statement."""

from collections.abc import Collection
from datetime import datetime

import msgspec


def array(values: Collection[int] | Collection[datetime]) -> str:
    """Return PostgreSQL's array literal of whole numbers or of instants, in the order given.

    It is written at once, since JSON says both as PostgreSQL reads them; psycopg takes a list value
    by value, which is ten times as slow. The planner counts the elements of a literal, and so plans
    for many values or for one. The statement says what the array is of, by a cast.
    """
    return "{" + msgspec.json.encode(list(values)).decode()[1:-1] + "}"
