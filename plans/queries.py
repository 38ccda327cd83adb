"""What reads across rows of plans, versions and subscriptions, in a fixed number of queries."""

from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import NamedTuple

from django.db.models import Prefetch, Q

from plans.models import (
    CreditUnit,
    Customer,
    Feature,
    JobClass,
    Meter,
    OutcomeContract,
    Plan,
    PlanVersion,
    Price,
    PriceOverride,
    Subject,
    Subscription,
)
from plans.rating import Period, billing_period
from plans.terms import PriceRows, VersionTerms, prefetches, terms_of


class VersionInForce(NamedTuple):
    """A published version and its own range ``[effective_from, effective_until)``, not clipped."""

    version_id: int
    plan_id: int
    currency: str
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
        PlanVersion.objects.sold()
        .filter(plan_id__in=plan_ids)
        .filter(_lasts_beyond("effective_until", start), effective_from__lt=end)
        .order_by("plan_id", "currency", "effective_from")
        .values_list("id", "plan_id", "currency", "effective_from", "effective_until")
    )
    return [
        VersionInForce(version_id, plan_id, currency, starts, ends)
        for version_id, plan_id, currency, starts, ends in rows
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
    """Return the published versions of a plan, of all currencies, in the order of their effect."""
    versions = PlanVersion.objects.sold().filter(plan_id=plan_id)
    return list(versions.order_by("effective_from", "currency"))


def plans_sold_in(*, currency: str, keys: Collection[str]) -> set[str]:
    """Return the keys of those plans that have a published version in the currency."""
    sold = PlanVersion.objects.sold().filter(currency=currency)
    return set(sold.filter(plan__key__in=keys).values_list("plan__key", flat=True))


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


def period_of(*, subscription: Subscription, at: datetime) -> Period:
    """Return the billing period that holds a time, counted from the subscription's own anchor.

    Its customer is read where it was not read with it.
    """
    return billing_period(
        anchor=subscription.anchor_date, zone=subscription.customer.time_zone, at=at
    )


def terms_at(*, plan_id: int, currency: str, at: datetime) -> VersionTerms | None:
    """Return the terms of the plan's version in force at a time in a currency, where one is."""
    in_force = versions_in_force(plan_ids=[plan_id], start=at, end=at + timedelta.resolution)
    found = next((each for each in in_force if each.currency == currency), None)
    return None if found is None else terms_of([found.version_id])[found.version_id]


def plans_with_terms(*, keys: Collection[str] = ()) -> list[Plan]:
    """Return plans by key, all where none is given, with all that was not called off."""
    plans = Plan.objects.filter(key__in=keys) if keys else Plan.objects.all()
    return list(
        plans.order_by("key").prefetch_related(
            Prefetch("versions", PlanVersion.objects.standing().order_by("number")),
            *prefetches("versions__"),
        )
    )


def contracts_with_versions(
    *, keys: Collection[str] | None = None, plans: Collection[str] | None = None
) -> list[OutcomeContract]:
    """Return outcome contracts by key, with versions: of these keys, of these plans, or all."""
    rows = OutcomeContract.objects.select_related("plan", "customer").prefetch_related("versions")
    if keys is not None:
        rows = rows.filter(key__in=list(keys))
    if plans is not None:
        rows = rows.filter(plan__key__in=list(plans))
    return list(rows.order_by("key"))


def customers_by_key(*, keys: Collection[str]) -> dict[str, Customer]:
    """Return those customers that there are."""
    return Customer.objects.in_bulk(list(keys), field_name="key")


def all_meters() -> list[Meter]:
    """Return every meter by key."""
    return list(Meter.objects.order_by("key"))


def meters_by_key(*, keys: Collection[str]) -> dict[str, Meter]:
    """Return those meters that there are, in the order of their keys."""
    rows = Meter.objects.filter(key__in=list(keys)).order_by("key")
    return {meter.key: meter for meter in rows}


def features_by_key(*, keys: Collection[str]) -> dict[str, Feature]:
    """Return those features that there are, in the order of their keys."""
    rows = Feature.objects.filter(key__in=list(keys)).order_by("key")
    return {feature.key: feature for feature in rows}


def all_features() -> list[Feature]:
    """Return every feature by key."""
    return list(Feature.objects.order_by("key"))


def credit_units_by_code(*, codes: Collection[str]) -> dict[str, CreditUnit]:
    """Return those credits that there are, in the order of their codes."""
    rows = CreditUnit.objects.filter(pk__in=list(codes)).order_by("pk")
    return {unit.pk: unit for unit in rows}


def all_credit_units() -> list[CreditUnit]:
    """Return every credit by code."""
    return list(CreditUnit.objects.order_by("pk"))


def job_classes_by_key(*, keys: Collection[str]) -> dict[str, JobClass]:
    """Return those job classes that there are with their usage, in the order of their keys."""
    rows = JobClass.objects.filter(key__in=list(keys)).order_by("key")
    return {row.key: row for row in rows.prefetch_related("usage__meter")}


def all_job_classes() -> list[JobClass]:
    """Return every job class with its usage, by key."""
    return list(JobClass.objects.order_by("key").prefetch_related("usage__meter"))


def credit_unit_is_published(*, code: str) -> bool:
    """Say whether published terms, or a price agreed with a customer, are in a credit."""
    published = PlanVersion.objects.filter(published_at__isnull=False)
    return (
        published.filter(prices__credit_unit=code).exists()
        or published.filter(packs__unit=code).exists()
        or published.filter(allotments__unit=code).exists()
        or PriceOverride.objects.filter(content__credit=code).exists()
    )


def price_rows_of(*, version_id: int, price_key: str) -> PriceRows | None:
    """Return a price of a version with its tiers and rates; None where there is no such price."""
    prices = Price.objects.filter(version_id=version_id, key=price_key)
    price = prices.select_related("meter", "upgrade_to", "version__plan").first()
    if price is None:
        return None
    rates = price.rates.order_by("position", "pk")
    return PriceRows(price, list(price.tiers.order_by("up_to")), list(rates))


def subscribers_after(*, plan_id: int, currency: str, at: datetime) -> int:
    """Return how many subscriptions to a plan last beyond a time, or start after it.

    Counted are those of customers that are billed in the currency.
    """
    rows = Subscription.objects.filter(_lasts_beyond("ends_at", at), plan_id=plan_id)
    return rows.filter(customer__currency=currency).count()


def _lasts_beyond(column: str, at: datetime) -> Q:
    return Q(**{f"{column}__gt": at}) | Q(**{column: None})
