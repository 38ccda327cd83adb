"""Columns of values as parameters of a statement."""

from collections.abc import Collection
from datetime import datetime


def array(values: Collection[int] | Collection[datetime]) -> str:
    """Return PostgreSQL's array literal of whole numbers or of instants, in the order given.

    psycopg takes a list value by value, which is several times as slow. The planner counts the
    elements of a literal, and so plans for many values or for one. The statement says what the
    array is of, by a cast.
    """
    said = (each.isoformat() if isinstance(each, datetime) else str(each) for each in values)
    return "{" + ",".join(said) + "}"
