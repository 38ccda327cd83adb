"""Whether a draft of November may have other facts by the time it is finalised, on 3 December."""

from decimal import Decimal as D

import pytest

from billing.locks import Scope, claim_to_finalise
from billing.statements.freshness import Drafted, find_stale
from plans.models import Subscription
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
