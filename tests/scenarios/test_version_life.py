"""A price rise that is called off leaves no trace on a statement."""

from decimal import Decimal

import pytest

from plans.models import Price
from plans.operations.publishing import call_off_version, publish_version
from plans.operations.versions import add_price, start_version
from tests.fixtures.world import at

pytestmark = pytest.mark.django_db(transaction=True)

FEE = {"key": "fee", "name": "Monthly fee", "model": "flat"}


def rise(plan, *, amount, effective_from, now, **said):
    version = start_version(plan=plan, currency="USD")
    add_price(version=version, price=Price(**FEE, amount=Decimal(amount)))
    return publish_version(version=version, effective_from=effective_from, by=None, now=now, **said)


def test_1_jan_subscribe_10_jan_schedule_12_jan_call_off_1_feb_statement(world):
    plan = world.plan(prices=({**FEE, "amount": Decimal(30)},))
    world.subscribe(world.customer(), plan, starts_at=at(2026, 1, 1))
    version = rise(plan, amount=60, effective_from=at(2026, 1, 15), now=at(2026, 1, 10))
    call_off_version(version=version, by=None, comment="Too soon", now=at(2026, 1, 12))

    world.close(now=at(2026, 2, 4))

    (statement, *_) = world.statements()
    assert world.lines(statement) == [("Monthly fee", Decimal(1), Decimal("30.00"))]
    assert statement.status == "finalised"


def test_called_off_and_put_into_force_by_another_version_on_the_same_day(world):
    plan = world.plan(prices=({**FEE, "amount": Decimal(31)},))
    world.subscribe(world.customer(), plan, starts_at=at(2026, 1, 1))
    wrong = rise(plan, amount=6200, effective_from=at(2026, 1, 11), now=at(2026, 1, 5))
    call_off_version(version=wrong, by=None, comment="Two zeros more", now=at(2026, 1, 6))
    rise(plan, amount=62, effective_from=at(2026, 1, 11), now=at(2026, 1, 6))

    world.close(now=at(2026, 2, 4))

    (statement, *_) = world.statements()
    assert [amount for _, _, amount in world.lines(statement)] == [
        Decimal("10.00"), Decimal("42.00"),
    ]  # fmt: skip
