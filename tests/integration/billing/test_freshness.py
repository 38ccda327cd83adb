"""Whether a draft of November may have other facts by the time it is finalised, on 3 December."""

from decimal import Decimal as D

import pytest

from billing.locks import Scope, claim_to_finalise
from billing.statements.freshness import Drafted, find_stale
from plans.models import Customer, Subscription
from plans.operations.subscriptions import end_subscription
from tests.fixtures.world import World, at

PRICES = ({"key": "platform", "model": "flat", "amount": D(30)},)


@pytest.fixture
def drafted(world: World) -> World:
    """Acme and Other, subscribed since October; October is finalised and November a draft."""
    plan = world.plan(
        prices=(*PRICES, {"key": "jobs", "model": "per_unit", "meter": world.meter(), "amount": 1})
    )
    for key in ("acme", "other"):
        world.subscribe(world.customer(key), plan, starts_at=at(2024, 10, 1))
        world.use(key, time=at(2024, 10, 10))
        world.use(key, time=at(2024, 11, 10))
    world.close(now=at(2024, 11, 5))
    world.close(now=at(2024, 12, 1, 2))
    return world


def stale_customers() -> set[str]:
    """Ask for the drafts that are due to be finalised, as the run does; say which are stale."""
    claimed = claim_to_finalise(now=at(2024, 12, 3), limit=10, scope=Scope())
    assert {item.period.customer_key for item in claimed} == {"acme", "other"}
    stale = find_stale([Drafted(item.period, item.facts, item.horizon) for item in claimed])
    return {item.period.customer_key for item in claimed if item.period.id in stale}


def test_nothing_came_since(drafted: World) -> None:
    assert stale_customers() == set()


def test_usage_of_the_next_period_changes_nothing(drafted: World) -> None:
    drafted.use("acme", time=at(2024, 12, 1, 12))

    assert stale_customers() == set()


@pytest.mark.parametrize("time", [at(2024, 11, 30, 23), at(2024, 10, 20)])
def test_usage_of_this_period_or_of_a_finalised_one(drafted: World, time) -> None:
    drafted.use("acme", time=time, now=at(2024, 12, 2))

    assert stale_customers() == {"acme"}


def test_a_subscription_that_ended_within_the_period(drafted: World) -> None:
    subscription = Subscription.objects.get(customer__key="acme")
    end_subscription(subscription=subscription, ends_at=at(2024, 11, 20), now=at(2024, 11, 15))

    assert stale_customers() == {"acme"}


def test_a_new_version_within_the_period(drafted: World) -> None:
    plan = Subscription.objects.first().plan
    plan.subscriptions.filter(customer__key="other").update(ends_at=at(2024, 11, 5))
    plan.versions.update(effective_until=at(2024, 11, 15))

    assert stale_customers() == {"acme", "other"}


AGREED = {"key": "jobs", "name": "Jobs", "model": "per_unit", "meter": "jobs", "amount": 2}


@pytest.mark.parametrize(
    ("start", "stale"), [(at(2024, 11, 1), {"acme"}), (at(2024, 11, 2), set())]
)
def test_an_agreed_price_for_what_begins_with_the_period(drafted: World, start, stale) -> None:
    plan = Subscription.objects.first().plan
    drafted.agree(Customer.objects.get(key="acme"), plan, AGREED, start=start)

    assert stale_customers() == stale


def test_an_agreed_price_that_ended_before_the_period_began(drafted: World) -> None:
    plan = Subscription.objects.first().plan
    for key, end in [("acme", at(2024, 11, 1)), ("other", at(2024, 11, 2))]:
        customer = Customer.objects.get(key=key)
        drafted.agree(customer, plan, AGREED, start=at(2024, 10, 5), end=end)

    assert stale_customers() == {"other"}


def test_a_pin_to_what_is_in_force(drafted: World) -> None:
    in_force = Subscription.objects.first().plan.versions.get()
    other = Customer.objects.get(key="other")
    drafted.pin(other, in_force, start=at(2024, 11, 10), end=at(2024, 11, 20))

    assert stale_customers() == set()


def test_a_pin_to_another_version(drafted: World) -> None:
    new = drafted.version(
        Subscription.objects.first().plan, prices=PRICES, effective_from=at(2024, 12, 1)
    )
    drafted.pin(Customer.objects.get(key="other"), new, start=at(2024, 11, 20), end=None)

    assert stale_customers() == {"other"}


def test_phases_that_are_counted_from_elsewhere(drafted: World) -> None:
    """Without phases it makes no difference, and nothing is read again."""
    Subscription.objects.filter(customer__key="other").update(phases_from=at(2024, 9, 1))
    assert stale_customers() == set()
