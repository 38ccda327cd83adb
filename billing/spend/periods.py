"""The billing periods that run, for many customers at once."""

from collections.abc import Collection
from datetime import date, datetime

from django.db.models import Q

from billing.statements.facts import Period
from plans import rating
from plans.models import Subscription


def running_periods(*, customer_ids: Collection[int], now: datetime) -> dict[int, Period]:
    """Return the period that holds ``now`` of each customer with a subscription, by customer id.

    In one query. A period's id is its customer's.
    """
    running = Q(ends_at=None) | Q(ends_at__gt=now)
    subscriptions = Subscription.objects.filter(
        running, customer_id__in=customer_ids, starts_at__lte=now
    )
    rows = subscriptions.order_by("-id").values_list(
        "customer_id", "customer__key", "customer__currency", "customer__time_zone", "anchor_date"
    )
    return {row[0]: _period(*row, now=now) for row in rows}


def _period(
    customer_id: int, key: str, currency: str, zone: str, anchor: date | None, *, now: datetime
) -> Period:
    span = rating.billing_period(anchor=anchor, zone=zone, at=now)
    return Period(
        id=customer_id,
        customer_id=customer_id,
        customer_key=key,
        currency=currency,
        zone=zone,
        start=span.start,
        end=span.end,
    )
