"""What time it is for a customer: the real time, or where its test clock stands.

Views and tasks that act at a time ask here, at the edge; operations are told.
"""

from datetime import datetime
from typing import Final

from plans.models import Subject

# For a query over customers `c`: the time of each, where %(now)s is the real one.
SQL_NOW: Final = "coalesce(c.clock_at, %(now)s)"


def now_for(key: str, *, now: datetime) -> datetime:
    """Return the time at which the customer or workspace with a key stands; ``now`` is the real.

    A key that nobody has stands at the real time.
    """
    clocks = Subject.objects.filter(key=key).values_list("customer__clock_at", flat=True)
    return clocks.first() or now
