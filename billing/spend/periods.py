"""The billing periods that run, for many customers at once."""

from collections.abc import Collection
from datetime import datetime

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
    rows = subscriptions.order_by("-id").select_related("customer")
    return {row.customer_id: _period(row, now=now) for row in rows}


def _period(subscription: Subscription, *, now: datetime) -> Period:
    customer = subscription.customer
    span = rating.billing_period(anchor=subscription.anchor_date, zone=customer.time_zone, at=now)
    return Period(
        id=customer.pk,
        customer_id=customer.pk,
        customer_key=customer.key,
        currency=customer.currency,
        zone=customer.time_zone,
        start=span.start,
        end=span.end,
    )
