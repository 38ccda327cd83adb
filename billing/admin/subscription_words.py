"""What starting, changing, ending and resuming a subscription does, in sentences."""

from collections.abc import Iterator
from datetime import datetime

from billing.wording import Money, day_of, moment
from plans import rating
from plans.models import Customer, Plan, Subscription
from plans.queries import period_of, terms_at


def when(at: datetime, customer: Customer) -> str:
    """Write a time in the customer's zone, which stands beside it."""
    return f"{moment(at, zone=customer.time_zone)} ({customer.time_zone})"


def start_effects(
    *,
    customer: Customer,
    plan: Plan,
    at: datetime,
    setup_waived: bool,
    is_first: bool,
    now: datetime,
) -> Iterator[str]:
    """Say what a first, or another, subscription does."""
    yield (
        f"Usage of {customer.name} from {when(at, customer)} on is priced by {plan.name}, in "
        f"{customer.currency}."
    )
    yield from _setup(customer, plan, at=at, waived=setup_waived)
    if is_first:
        yield "From the first subscription on, the customer's currency and time zone are fixed."
    if at < now:
        yield "Periods that have ended since then become due: the next run drafts their statements."


def change_effects(
    *,
    subscription: Subscription,
    to_plan: Plan,
    at: datetime,
    setup_waived: bool,
    phases_begin_anew: bool,
    now: datetime,
) -> Iterator[str]:
    """Say what a change of plan does."""
    customer, plan = subscription.customer, subscription.plan
    yield (
        f"{customer.name} leaves {plan.name} on {when(at, customer)} and is on {to_plan.name} from "
        "then on."
    )
    yield f"What was used before keeps its price; what is used then is priced by {to_plan.name}."
    if period_of(subscription=subscription, at=at).start != at:
        yield "Of that period, each plan's fees are charged for its own days."
    yield from _setup(customer, to_plan, at=at, waived=setup_waived)
    since = at if phases_begin_anew else subscription.phases_from or subscription.starts_at
    yield from _phases(customer, to_plan, at=at, since=since, anew=phases_begin_anew)
    if at > now:
        yield "Until then it can be taken back on the customer's page."


def cancel_effects(*, subscription: Subscription, at: datetime, now: datetime) -> Iterator[str]:
    """Say what a cancellation does."""
    customer, plan = subscription.customer, subscription.plan
    yield f"{customer.name} leaves {plan.name} on {when(at, customer)}, and no plan follows."
    yield "What is used from then on is kept, and has no price."
    if period_of(subscription=subscription, at=at).start == at:
        yield "The period until then is charged in full."
    else:
        yield "Of that period, fees are charged for the days until then."
    if at > now:
        yield "Until then it can be taken back on the customer's page."


def resume_effects(
    *, subscription: Subscription, ends_at: datetime, follow_up: Subscription | None
) -> Iterator[str]:
    """Say what taking back an end that is still to come does."""
    customer, plan = subscription.customer, subscription.plan
    yield f"{customer.name} stays on {plan.name} beyond {when(ends_at, customer)}, without an end."
    if follow_up is not None:
        yield f"The change to {follow_up.plan.name}, which was to begin then, is taken back."


def start_again_effects(
    *, subscription: Subscription, at: datetime, setup_again: bool
) -> Iterator[str]:
    """Say what resuming a subscription after its end does."""
    customer, plan = subscription.customer, subscription.plan
    ended = subscription.ends_at or at
    yield f"{customer.name} is on {plan.name} again from {when(at, customer)} on."
    yield f"Nothing is charged for the time since {when(ended, customer)}, when it ended."
    yield from _setup(customer, plan, at=at, waived=not setup_again)
    since = subscription.phases_from or subscription.starts_at
    yield from _phases(customer, plan, at=at, since=since, anew=False)


def withdraw_effects(*, subscription: Subscription, before: Subscription | None) -> Iterator[str]:
    """Say what withdrawing a subscription that has not begun does."""
    customer, plan = subscription.customer, subscription.plan
    starts = when(subscription.starts_at, customer)
    yield f"The subscription to {plan.name} that was to begin on {starts} is removed."
    if before is not None:
        yield (
            f"{customer.name} still leaves {before.plan.name} then. To stay on that instead, "
            "resume it."
        )


def _setup(customer: Customer, plan: Plan, *, at: datetime, waived: bool) -> Iterator[str]:
    fees = [
        f"{price.name}, {Money(price.model.amount, customer.currency)}"
        for price in _prices(customer, plan, at)
        if price.once and isinstance(price.model, rating.Flat)
    ]
    if fees and waived:
        yield f"What {plan.name} charges once is waived: {'; '.join(fees)}."
    elif fees:
        yield f"{plan.name} charges once: {'; '.join(fees)}."


def _prices(customer: Customer, plan: Plan, at: datetime) -> tuple[rating.Price, ...]:
    known = terms_at(plan_id=plan.pk, currency=customer.currency, at=at)
    return known.terms.prices if known else ()


def _phases(
    customer: Customer, plan: Plan, *, at: datetime, since: datetime, anew: bool
) -> Iterator[str]:
    known = terms_at(plan_id=plan.pk, currency=customer.currency, at=at)
    if known is None or not known.terms.phases:
        return
    names = ", ".join(phase.name for phase in known.terms.phases)
    counted = day_of(since, zone=customer.time_zone)
    if anew:
        yield f"The phases of {plan.name} ({names}) begin anew on {counted}."
    else:
        yield (
            f"The phases of {plan.name} ({names}) are counted from {counted}, as before: there is "
            "no second trial."
        )
