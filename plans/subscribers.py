"""Who is subscribed to a plan at a time, and on which of its versions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from plans.models import PlanVersion, Subscription, VersionPin
from plans.rating import billing_period


class Subscriber(NamedTuple):
    """A customer on a plan: the version's number, and when its next billing period begins.

    ``is_kept`` says that it is kept on the version; else it follows the plan.
    """

    key: str
    name: str
    zone: str
    number: int | None
    is_kept: bool
    next_period: datetime


class Subscribers(NamedTuple):
    """How many there are, and the first of them by name."""

    total: int
    rows: Sequence[Subscriber]


def subscribers_of(
    *, version: PlanVersion, at: datetime, search: str = "", limit: int
) -> Subscribers:
    """Return who is on the version's plan at a time, billed in its currency, in two queries.

    ``search`` keeps those whose name or key holds it.
    """
    found = _subscriptions(version, at=at)
    if search:
        found = found.filter(
            Q(customer__name__icontains=search) | Q(customer__key__icontains=search)
        )
    rows = _with_versions(found, version, at=at).order_by("customer__name", "customer__key")
    listed: list[Any] = list(rows.select_related("customer")[:limit])
    return Subscribers(found.count(), [_subscriber(row, at=at) for row in listed])


def _subscriptions(version: PlanVersion, *, at: datetime) -> QuerySet[Subscription]:
    rows = Subscription.objects.filter(plan_id=version.plan_id, starts_at__lte=at)
    rows = rows.filter(customer__currency=version.currency)
    return rows.filter(Q(ends_at=None) | Q(ends_at__gt=at))


def _with_versions(
    rows: QuerySet[Subscription], version: PlanVersion, *, at: datetime
) -> QuerySet[Subscription]:
    pins = VersionPin.objects.filter(subscription=OuterRef("pk"), starts_at__lte=at)
    pins = pins.filter(Q(ends_at=None) | Q(ends_at__gt=at))
    in_force = PlanVersion.objects.sold().filter(
        plan_id=version.plan_id, currency=version.currency, effective_from__lte=at
    )
    in_force = in_force.filter(Q(effective_until=None) | Q(effective_until__gt=at))
    return rows.annotate(
        kept=Subquery(pins.values("version__number")[:1]),
        number=Coalesce(F("kept"), Subquery(in_force.values("number")[:1])),
    )


def _subscriber(row: Any, *, at: datetime) -> Subscriber:
    customer = row.customer
    period = billing_period(anchor=row.anchor_date, zone=customer.time_zone, at=at)
    return Subscriber(
        key=customer.key,
        name=customer.name,
        zone=customer.time_zone,
        number=row.number,
        is_kept=row.kept is not None,
        next_period=period.end,
    )
