"""Put customers on plans, and end that."""

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta

from django.db import connection, transaction

from plans import locks
from plans.errors import OperationError, refusing
from plans.models import Customer, Plan, PlanVersion, Subscription
from plans.operations.history import keep_created
from plans.queries import published_versions

MAX_BACKDATING = timedelta(days=3 * 366)
MAX_AHEAD = timedelta(days=5 * 366)


class CurrencyMismatch(OperationError):
    """The plan bills in another currency than the customer is billed in."""

    code = "currency_mismatch"


class NoVersionInForce(OperationError):
    """For some of the time the plan has no published version, so usage would have no price."""

    code = "no_version_in_force"


class AlreadySubscribed(OperationError):
    """The customer has another subscription at that time."""

    code = "already_subscribed"


class SubscriptionDateRefused(OperationError):
    """The subscription cannot start, or end, at that time."""

    code = "subscription_date_refused"


@transaction.atomic
def subscribe(
    *,
    customer: Customer,
    plan: Plan,
    starts_at: datetime,
    ends_at: datetime | None = None,
    anchor_date: date | None = None,
    phases_from: datetime | None = None,
    setup_waived: bool = False,
    now: datetime,
) -> Subscription:
    """Put a customer on a plan over ``[starts_at, ends_at)``, in the past too.

    Without ``anchor_date`` calendar months are billed, else months counted from it. Phases are
    counted from ``phases_from``, or from the start. Raises SubscriptionDateRefused,
    NoVersionInForce, CurrencyMismatch, AlreadySubscribed.
    """
    _refuse_dates(starts_at=starts_at, ends_at=ends_at, now=now)
    locks.customer(customer_id=customer.pk)
    versions = published_versions(plan_id=plan.pk)
    sold_in = {version.currency for version in versions}
    if versions and customer.currency not in sold_in:
        raise _mismatch(plan, sold_in=sold_in, customers=[(customer.key, customer.currency)])
    _refuse_gap(plan, versions, customer.currency, starts_at=starts_at, ends_at=ends_at)
    subscription = Subscription(
        customer=customer,
        plan=plan,
        starts_at=starts_at,
        ends_at=ends_at,
        anchor_date=anchor_date,
        phases_from=phases_from,
        setup_waived=setup_waived,
    )
    refusal = AlreadySubscribed(
        f"“{customer.name}” has another subscription at that time. End that one first.",
        field="starts_at",
    )
    with refusing({"one_subscription_at_a_time": refusal}):
        subscription.save(force_insert=True)
    return subscription


@transaction.atomic
def subscribe_many(
    *,
    customer_ids: Collection[int],
    plan: Plan,
    starts_at: datetime,
    ends_at: datetime | None = None,
) -> set[int]:
    """Put customers on a plan over ``[starts_at, ends_at)``, by calendar month; return who is new.

    A customer with any subscription in that time is left as it is, and its id is not returned. They
    are stored in the order of their ids, so that two at once do not wait for each other.
    Raises SubscriptionDateRefused, NoVersionInForce, CurrencyMismatch; then none is subscribed.
    """
    if ends_at is not None and ends_at <= starts_at:
        raise SubscriptionDateRefused("A subscription ends after it starts.", field="ends_at")
    versions = published_versions(plan_id=plan.pk)
    sold_in = {version.currency for version in versions}
    customers = Customer.objects.filter(id__in=customer_ids)
    others = customers.exclude(currency__in=sold_in)
    wrong = list(others.order_by("key").values_list("key", "currency")[:10])
    if wrong and versions:
        raise _mismatch(plan, sold_in=sold_in, customers=wrong)
    for currency in set(customers.values_list("currency", flat=True)) or sold_in:
        _refuse_gap(plan, versions, currency, starts_at=starts_at, ends_at=ends_at)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO plans_subscription
                (customer_id, plan_id, starts_at, ends_at, setup_waived, created_at)
            SELECT id, %s, %s, %s, false, statement_timestamp() FROM unnest(%s::bigint[]) AS ids(id)
            ORDER BY id
            ON CONFLICT DO NOTHING RETURNING id, customer_id
            """,
            [plan.pk, starts_at, ends_at, list(customer_ids)],
        )
        stored = dict(cursor.fetchall())
    keep_created(Subscription, ids=stored)
    return set(stored.values())


@transaction.atomic
def end_subscription(
    *, subscription: Subscription, ends_at: datetime, now: datetime
) -> Subscription:
    """End a subscription at a time from now on; an end that is still to come may be moved.

    Raises SubscriptionDateRefused.
    """
    locks.customer(customer_id=subscription.customer_id)
    row = locks.subscription(subscription_id=subscription.pk)
    if row.ends_at is not None and row.ends_at <= now:
        raise SubscriptionDateRefused(f"The subscription ended on {_on(row.ends_at)}.")
    if ends_at < now or ends_at <= row.starts_at:
        raise SubscriptionDateRefused(
            "A subscription can end neither in the past, which may have been billed, nor before "
            f"it starts on {_on(row.starts_at)}.",
            field="ends_at",
        )
    refusal = AlreadySubscribed(
        "The customer has another subscription before that time.", field="ends_at"
    )
    row.ends_at = ends_at
    with refusing({"one_subscription_at_a_time": refusal}):
        row.save(update_fields=["ends_at"])
    return row


def _refuse_dates(*, starts_at: datetime, ends_at: datetime | None, now: datetime) -> None:
    if ends_at is not None and ends_at <= starts_at:
        raise SubscriptionDateRefused("A subscription ends after it starts.", field="ends_at")
    if starts_at < now - MAX_BACKDATING:
        raise SubscriptionDateRefused(
            f"A subscription cannot start more than three years back, on {_on(starts_at)}.",
            field="starts_at",
        )
    if starts_at > now + MAX_AHEAD:
        raise SubscriptionDateRefused(
            f"A subscription cannot start more than five years ahead, on {_on(starts_at)}.",
            field="starts_at",
        )


def refuse_unpriced(
    *, plan: Plan, currency: str, starts_at: datetime, ends_at: datetime | None = None
) -> None:
    """Raise NoVersionInForce where the plan has no price in the currency for some of the time."""
    versions = published_versions(plan_id=plan.pk)
    _refuse_gap(plan, versions, currency, starts_at=starts_at, ends_at=ends_at)


def _refuse_gap(
    plan: Plan,
    versions: Sequence[PlanVersion],
    currency: str,
    *,
    starts_at: datetime,
    ends_at: datetime | None,
) -> None:
    sold = [version for version in versions if version.currency == currency]
    gap = _first_gap(sold, starts_at=starts_at, ends_at=ends_at)
    if gap is not None:
        raise NoVersionInForce(
            f"The plan “{plan.name}” has no version in force on {_on(gap)}. Publish one from then "
            "on, or choose other dates.",
            field="plan",
        )


def _first_gap(
    versions: Sequence[PlanVersion], *, starts_at: datetime, ends_at: datetime | None
) -> datetime | None:
    at = starts_at
    for version in versions:
        assert version.effective_from is not None
        if at < version.effective_from:
            return at
        if version.effective_until is None:
            return None
        at = max(at, version.effective_until)
        if ends_at is not None and ends_at <= at:
            return None
    return at


def _mismatch(
    plan: Plan, *, sold_in: Collection[str], customers: Sequence[tuple[str, str]]
) -> CurrencyMismatch:
    named = ", ".join(f"“{key}” in {billed_in}" for key, billed_in in customers)
    currencies = " and ".join(sorted(sold_in))
    return CurrencyMismatch(
        f"The plan “{plan.name}” bills in {currencies}, but not everyone here: {named}.",
        field="plan",
    )


def _on(at: datetime) -> str:
    return f"{at:%d %B %Y %H:%M %Z}"
