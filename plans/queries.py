"""What reads across rows of plans, versions and subscriptions, in a fixed number of queries."""

from collections.abc import Collection
from datetime import date, datetime
from typing import NamedTuple

from django.db.models import Prefetch, Q

from plans.models import (
    Customer,
    MatrixRate,
    Meter,
    Plan,
    PlanVersion,
    Price,
    Subject,
    Subscription,
)


class VersionInForce(NamedTuple):
    """A published version and its own range ``[effective_from, effective_until)``, not clipped."""

    version_id: int
    plan_id: int
    effective_from: datetime
    effective_until: datetime | None


class SubscriptionIn(NamedTuple):
    """A subscription and its own range ``[starts_at, ends_at)``, not clipped."""

    subscription_id: int
    customer_id: int
    plan_id: int
    starts_at: datetime
    ends_at: datetime | None
    anchor_date: date | None


def versions_in_force(
    *, plan_ids: Collection[int], start: datetime, end: datetime
) -> list[VersionInForce]:
    """Return the published versions in force at some time in ``[start, end)``, by plan and time."""
    rows = (
        PlanVersion.objects.filter(plan_id__in=plan_ids, published_at__isnull=False)
        .filter(_lasts_beyond("effective_until", start), effective_from__lt=end)
        .order_by("plan_id", "effective_from")
        .values_list("id", "plan_id", "effective_from", "effective_until")
    )
    return [
        VersionInForce(version_id, plan_id, starts, ends)
        for version_id, plan_id, starts, ends in rows
        if starts is not None
    ]


def customers_of_subjects(*, keys: Collection[str]) -> dict[str, int]:
    """Return the customer's id of each key of a customer or workspace that there is."""
    return dict(Subject.objects.filter(key__in=keys).values_list("key", "customer_id"))


def never_subscribed(*, customer_ids: Collection[int]) -> list[int]:
    """Return the ids of those customers that have no subscription at all."""
    customers = Customer.objects.filter(id__in=customer_ids, subscriptions=None)
    return list(customers.order_by("id").values_list("id", flat=True))


def published_versions(*, plan_id: int) -> list[PlanVersion]:
    """Return the published versions of a plan in the order in which they take effect."""
    versions = PlanVersion.objects.filter(plan_id=plan_id, published_at__isnull=False)
    return list(versions.order_by("effective_from"))


def subscriptions_in(
    *, customer_ids: Collection[int], start: datetime, end: datetime
) -> list[SubscriptionIn]:
    """Return the customers' subscriptions that share time with ``[start, end)``, in order."""
    rows = (
        Subscription.objects.filter(customer_id__in=customer_ids)
        .filter(_lasts_beyond("ends_at", start), starts_at__lt=end)
        .order_by("customer_id", "starts_at")
        .values_list("id", "customer_id", "plan_id", "starts_at", "ends_at", "anchor_date")
    )
    return [SubscriptionIn(*row) for row in rows]


def plans_with_terms(*, keys: Collection[str] = ()) -> list[Plan]:
    """Return plans by key, all where none is given, with versions, prices, tiers and rates."""
    plans = Plan.objects.filter(key__in=keys) if keys else Plan.objects.all()
    prices = Price.objects.select_related("meter").order_by("position", "id")
    return list(
        plans.order_by("key").prefetch_related(
            Prefetch("versions", PlanVersion.objects.order_by("number")),
            Prefetch("versions__prices", prices),
            "versions__prices__tiers",
            Prefetch("versions__prices__rates", MatrixRate.objects.order_by("position", "id")),
        )
    )


def all_meters() -> list[Meter]:
    """Return every meter by key."""
    return list(Meter.objects.order_by("key"))


def subscribers_after(*, plan_id: int, at: datetime) -> int:
    """Return how many subscriptions to a plan last beyond a time, or start after it."""
    return Subscription.objects.filter(_lasts_beyond("ends_at", at), plan_id=plan_id).count()


def _lasts_beyond(column: str, at: datetime) -> Q:
    return Q(**{f"{column}__gt": at}) | Q(**{column: None})
