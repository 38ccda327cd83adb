"""Change the plan of a customer, cancel a subscription, and take either back.

Each locks the customer and the subscription first and then looks at it. So of two people at once
one is served, and the other is told what the first did; whatever is refused has changed nothing.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db import transaction

from plans import locks
from plans.errors import OperationError, refusing
from plans.models import Customer, Plan, Subscription
from plans.operations.subscriptions import (
    MAX_AHEAD,
    AlreadySubscribed,
    SubscriptionDateRefused,
    refuse_unpriced,
    subscribe,
)

# A person reads what a change costs before doing it: its time may lie this far back by then.
MAX_THOUGHT: Final = timedelta(minutes=15)


class SubscriptionGone(OperationError):
    """The subscription was taken back meanwhile, before it began."""

    code = "subscription_gone"


class SubscriptionOver(OperationError):
    """The subscription has ended."""

    code = "subscription_over"


class SubscriptionEnding(OperationError):
    """The subscription has an end already, by a cancellation or by a change to another plan."""

    code = "subscription_ending"


class SubscriptionNotBegun(OperationError):
    """The subscription has not begun: there is nothing to change or to cancel."""

    code = "subscription_not_begun"


class SubscriptionBegun(OperationError):
    """The subscription has begun: it can be cancelled, not withdrawn."""

    code = "subscription_begun"


class SubscriptionNotEnding(OperationError):
    """The subscription has no end that could be taken back."""

    code = "subscription_not_ending"


class SamePlan(OperationError):
    """The customer is on that plan already."""

    code = "same_plan"


@transaction.atomic
def change_plan(
    *,
    subscription: Subscription,
    to_plan: Plan,
    at: datetime,
    phases_begin_anew: bool = False,
    setup_waived: bool = False,
    now: datetime,
) -> Subscription:
    """End a subscription at a time, start another on ``to_plan`` then, and return the new one.

    Both count their periods from the same anchor. The new plan's phases are counted from where the
    old one's were, so that no second trial begins, unless ``phases_begin_anew``; what it charges
    once is charged, unless ``setup_waived``. Raises SamePlan, SubscriptionGone, SubscriptionOver,
    SubscriptionEnding, SubscriptionNotBegun, SubscriptionDateRefused, CurrencyMismatch,
    NoVersionInForce, AlreadySubscribed.
    """
    row = _end(subscription, at=at, now=now)
    if row.plan_id == to_plan.pk:
        raise SamePlan(
            f"“{row.customer.name}” is on {to_plan.name} already. Choose another plan.",
            field="to_plan",
        )
    return subscribe(
        customer=row.customer,
        plan=to_plan,
        starts_at=at,
        anchor_date=row.anchor_date,
        phases_from=None if phases_begin_anew else row.phases_from or row.starts_at,
        setup_waived=setup_waived,
        now=now,
    )


@transaction.atomic
def upgrade_plan(
    *, subscription: Subscription, to_plan: Plan, at: datetime, beyond: Decimal, now: datetime
) -> Subscription:
    """Move a customer on who has used what its plan includes (``beyond``, in the meter's units).

    Unlike another change of plan it charges the period the new plan's fee in full and gives the old
    one's back; what the new plan charges once is waived. Raises as ``change_plan`` does.
    """
    new = change_plan(subscription=subscription, to_plan=to_plan, at=at, setup_waived=True, now=now)
    new.upgraded_from, new.upgraded_beyond = subscription, beyond
    new.save(update_fields=["upgraded_from", "upgraded_beyond"])
    return new


@transaction.atomic
def cancel_subscription(*, subscription: Subscription, at: datetime, now: datetime) -> Subscription:
    """End a subscription at a time from now on, without another after it.

    Raises SubscriptionGone, SubscriptionOver, SubscriptionEnding, SubscriptionNotBegun,
    SubscriptionDateRefused.
    """
    return _end(subscription, at=at, now=now)


@transaction.atomic
def withdraw_subscription(*, subscription: Subscription, now: datetime) -> None:
    """Remove a subscription that has not begun. Raises SubscriptionGone, SubscriptionBegun."""
    row = _locked(subscription)
    if row.starts_at <= now:
        raise SubscriptionBegun(
            f"The subscription began on {_on(row.starts_at)}. Cancel it instead."
        )
    row.delete()


@transaction.atomic
def resume_subscription(
    *, subscription: Subscription, at: datetime, setup_waived: bool = True, now: datetime
) -> Subscription:
    """Take back an end that is still to come; after the end, start on the same plan again.

    An end that is taken back leaves the subscription without one, and removes the subscription that
    would have begun then. After the end another begins at ``at``, from now on, with the same anchor
    and phases; what the plan charges once was charged, and is not again unless ``setup_waived`` is
    false. Returns the subscription that goes on. Raises SubscriptionGone, SubscriptionNotEnding,
    SubscriptionDateRefused, NoVersionInForce, AlreadySubscribed.
    """
    row = _locked(subscription)
    if row.ends_at is None:
        raise SubscriptionNotEnding(
            f"The subscription to {row.plan.name} has no end: it goes on as it is."
        )
    if row.ends_at > now:
        return _take_back_end(row, ends_at=row.ends_at)
    _refuse_at(at, since=row.ends_at, now=now)
    return subscribe(
        customer=row.customer,
        plan=row.plan,
        starts_at=at,
        anchor_date=row.anchor_date,
        phases_from=row.phases_from or row.starts_at,
        setup_waived=setup_waived,
        now=now,
    )


def _take_back_end(row: Subscription, *, ends_at: datetime) -> Subscription:
    customer: Customer = row.customer
    for follow_up in locks.subscriptions_from(customer_id=customer.pk, starts_at=ends_at):
        follow_up.delete()
    refuse_unpriced(plan=row.plan, currency=customer.currency, starts_at=ends_at)
    refusal = AlreadySubscribed(
        f"“{customer.name}” has a subscription that begins later. Take that one back first."
    )
    row.ends_at = None
    with refusing({"one_subscription_at_a_time": refusal}):
        row.save(update_fields=["ends_at"])
    return row


def _end(subscription: Subscription, *, at: datetime, now: datetime) -> Subscription:
    row = _locked(subscription)
    if row.ends_at is not None and row.ends_at <= now:
        raise SubscriptionOver(
            f"The subscription to {row.plan.name} ended on {_on(row.ends_at)}. Resume it, or "
            "subscribe the customer anew."
        )
    if row.ends_at is not None:
        raise SubscriptionEnding(
            f"The subscription to {row.plan.name} ends on {_on(row.ends_at)} already. Take that "
            "back first."
        )
    if row.starts_at > now:
        raise SubscriptionNotBegun(
            f"The subscription to {row.plan.name} begins on {_on(row.starts_at)}. Withdraw it "
            "instead."
        )
    _refuse_at(at, since=row.starts_at, now=now)
    if at == row.starts_at:
        raise SubscriptionDateRefused(
            f"The subscription began on {_on(row.starts_at)}, and ends after that.", field="at"
        )
    row.ends_at = at
    row.save(update_fields=["ends_at"])
    return row


def _locked(subscription: Subscription) -> Subscription:
    locks.customer(customer_id=subscription.customer_id)
    try:
        return locks.subscription(subscription_id=subscription.pk)
    except Subscription.DoesNotExist:
        raise SubscriptionGone(
            "The subscription was taken back before it began. Look at the customer's page again."
        ) from None


def _refuse_at(at: datetime, *, since: datetime, now: datetime) -> None:
    if at < max(since, now - MAX_THOUGHT):
        raise SubscriptionDateRefused(
            f"{_on(at)} has passed, and may have been billed. Choose a time from now on.",
            field="at",
        )
    if at > now + MAX_AHEAD:
        raise SubscriptionDateRefused(
            f"{_on(at)} is more than five years ahead. Choose an earlier time.", field="at"
        )


def _on(at: datetime) -> str:
    return f"{at:%d %B %Y %H:%M %Z}"
