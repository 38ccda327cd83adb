"""Dated scenarios: a plan moves its customer on who uses more than it includes.

Basic costs 49 a month and includes 1,000 jobs; Professional 399 and 10,000; Enterprise 2,999.
"""

from decimal import Decimal as D

import pytest

from billing.statements.verify import Difference, verify_statements
from plans.models import Meter, Plan
from plans.operations.subscription_changes import SamePlan, upgrade_plan
from plans.operations.subscriptions import subscribe
from tests.fixtures.world import World, at

NEW_YEAR, FEBRUARY, MARCH = (at(2025, month, 1) for month in (1, 2, 3))


@pytest.fixture
def basic(world: World) -> Plan:
    meter = world.meter()
    world.plan("enterprise", prices=(_fee("Enterprise", 2999), _jobs(meter, 100_000)))
    for key, fee, included, above in (
        ("professional", 399, 10_000, "enterprise"),
        ("basic", 49, 1_000, "professional"),
    ):
        world.plan(key, prices=(_fee(key.title(), fee), _jobs(meter, included, to=above)))
    return Plan.objects.get(key="basic")


def _fee(name: str, amount: int):
    return {"key": "fee", "name": name, "model": "flat", "amount": D(amount)}


def _jobs(meter: Meter, included: int, *, to: str = ""):
    overage = {"overage": "upgrade", "upgrade_to": Plan.objects.get(key=to)} if to else {}
    return {"key": "jobs", "name": "Jobs", "model": "per_unit", "meter": meter,
            "amount": D("0.08"), "allowance": D(included), **overage}  # fmt: skip


def billed(world: World, *, now):
    world.close(now=now)
    assert not [found for found in verify_statements() if isinstance(found, Difference)]
    return [
        [(name, amount) for name, _, amount in world.lines(statement)]
        for statement in world.statements()
    ]


def _upgrade(subscription, key, *, when, beyond):
    return upgrade_plan(
        subscription=subscription,
        to_plan=Plan.objects.get(key=key),
        at=when,
        beyond=D(beyond),
        now=when,
    )


def test_s07b_the_period_costs_the_higher_fee_and_the_lower_one_is_given_back(world, basic) -> None:
    acme = world.customer()
    held = subscribe(customer=acme, plan=basic, starts_at=NEW_YEAR, now=NEW_YEAR)
    world.use("acme", time=at(2025, 1, 10), times=1000)
    _upgrade(held, "professional", when=at(2025, 1, 20), beyond=1000)
    world.use("acme", time=at(2025, 1, 25), times=250)
    january = [
        ("Basic", D(49)),
        ("Jobs", D(0)),
        ("Professional, upgraded at job 1,001", D(399)),
        ("Jobs", D(0)),
        ("credit for Basic", D(-49)),
    ]
    assert billed(world, now=at(2025, 2, 4)) == [january]
    assert world.statements()[0].total == D(399)
    assert billed(world, now=at(2025, 3, 4)) == [january, [("Professional", D(399))]]


def test_two_upgrades_in_a_period_charge_the_highest_fee_alone(world, basic) -> None:
    acme = world.customer()
    held = subscribe(customer=acme, plan=basic, starts_at=NEW_YEAR, now=NEW_YEAR)
    held = _upgrade(held, "professional", when=at(2025, 1, 5), beyond=1000)
    _upgrade(held, "enterprise", when=at(2025, 1, 9), beyond=10_000)
    assert billed(world, now=at(2025, 2, 4))[0] == [
        ("Basic", D(49)),
        ("Professional, upgraded at job 1,001", D(399)),
        ("credit for Basic", D(-49)),
        ("Enterprise, upgraded at job 10,001", D(2999)),
        ("credit for Professional, upgraded at job 1,001", D(-399)),
    ]


def test_both_fees_are_for_the_part_of_the_month_since_the_subscription_began(world, basic) -> None:
    """16 of 31 days: 49 x 16/31 = 25.29, 399 x 16/31 = 205.94."""
    acme = world.customer()
    begins = at(2025, 1, 16)
    held = subscribe(customer=acme, plan=basic, starts_at=begins, now=begins)
    _upgrade(held, "professional", when=at(2025, 1, 20), beyond=1000)
    assert billed(world, now=at(2025, 2, 4))[0] == [
        ("Basic", D("25.29")),
        ("Professional, upgraded at job 1,001", D("205.94")),
        ("credit for Basic", D("-25.29")),
    ]


def test_usage_that_comes_late_is_rated_beside_the_same_fees(world, basic) -> None:
    acme = world.customer()
    held = subscribe(customer=acme, plan=basic, starts_at=NEW_YEAR, now=NEW_YEAR)
    world.use("acme", time=at(2025, 1, 10), times=1000)
    _upgrade(held, "professional", when=at(2025, 1, 20), beyond=1000)
    first = billed(world, now=at(2025, 2, 4))[0]
    world.use("acme", time=at(2025, 1, 22), times=10, now=at(2025, 2, 20))
    months = billed(world, now=at(2025, 3, 4))
    assert months == [first, [("Professional", D(399))]]


def test_a_refused_upgrade_changes_nothing(world, basic) -> None:
    acme = world.customer()
    held = subscribe(customer=acme, plan=basic, starts_at=NEW_YEAR, now=NEW_YEAR)
    with pytest.raises(SamePlan):
        _upgrade(held, "basic", when=at(2025, 1, 20), beyond=1000)
    row = acme.subscriptions.get()
    assert (row.plan, row.ends_at, row.upgraded_from) == (basic, None, None)
