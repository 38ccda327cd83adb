"""The functions of credit are replaced with credit in them, and put back."""

from decimal import Decimal as D

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from billing.credits.holding import settle_hold, spend
from billing.ledger.checks import check_ledger
from tests.fixtures.world import World
from tests.integration.billing.test_credits import NOW, balance, grant, hold, pool_of

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE = [("billing", "0020_spend")]


def migrate(target: list[tuple[str, str]]) -> None:
    executor = MigrationExecutor(connection)
    executor.loader.build_graph()
    executor.migrate(target)


def test_what_is_held_is_settled_on_either_side(world: World) -> None:
    pool = pool_of(world)
    grant(pool, "pack", 100, cost=D("10.00"))
    spend(pool_id=pool.pk, key="a", amount=D(10), now=NOW)
    first, second, third = (hold(pool, key, 20).pk for key in ("b", "c", "d"))
    try:
        migrate(BEFORE)
        assert settle_hold(hold_id=first, amount=D(15), now=NOW) == (D(15), D(0))
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT hold_id FROM billing_place_hold(%s, 'e', 5, %s, %s, '', '')",
                [pool.pk, NOW, NOW],
            )
            (fourth,) = cursor.fetchone()
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())
    assert settle_hold(hold_id=fourth, amount=D(5), now=NOW) == (D(5), D(0))
    assert settle_hold(hold_id=second, amount=D(20), now=NOW) == (D(20), D(0))
    assert settle_hold(hold_id=third, amount=D(30), now=NOW) == (D(30), D(0))
    assert balance(pool) == (D(20), D(0), D(20))
    assert list(check_ledger()) == []
