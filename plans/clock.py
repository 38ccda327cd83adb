"""What time it is for a customer: the real time, or where its test clock stands.

Views and tasks that act at a time ask here, at the edge; operations are told.
"""

from collections.abc import Collection
from datetime import datetime

from django.db.models import F, Q

from plans.models import Customer, Subject


def now_for(key: str, *, now: datetime) -> datetime:
    """Return the time at which the customer or workspace with a key stands; ``now`` is the real.

    A key that nobody has stands at the real time.
    """
    clocks = Subject.objects.filter(key=key).values_list("customer__clock_at", flat=True)
    return clocks.first() or now


def clocks_of(customer_ids: Collection[int]) -> dict[int, datetime]:
    """Return where the clocks of those customers stand that have one, by customer id."""
    rows = Customer.objects.filter(id__in=customer_ids, clock_at__isnull=False)
    return {key: at for key, at in rows.values_list("id", "clock_at") if at is not None}


def due(field: str, *, now: datetime, customer: str = "customer") -> Q:
    """Return the condition that a time of a row has come for its customer.

    ``customer`` is the path to it; ``now`` is the real time.
    """
    clock = f"{customer}__clock_at"
    reached = Q(**{f"{field}__lte": now})
    return reached & (Q(**{clock: None}) | Q(**{f"{field}__lte": F(clock)}))
