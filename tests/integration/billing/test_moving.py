"""Credit moved between pools, and let go before its time."""

from decimal import Decimal as D
from typing import Any

import pytest

from billing.credits.granting import GrantKeyTaken, define_credit_unit, open_pool
from billing.credits.holding import spend, void_hold
from billing.credits.moving import NotSoMuchFree, TransferInvalid, expire_early, transfer
from billing.ledger.checks import check_ledger
from billing.models import CreditGrant, CreditPool
from tests.fixtures.world import World
from tests.integration.billing.test_credits import (
    HOUR,
    NOW,
    balance,
    everything,
    grant,
    hold,
    money,
    pool_of,
)


@pytest.fixture
def pool(world: World) -> CreditPool:
    """Acme's pool of TOKN, empty."""
    return pool_of(world)


def moved(old: CreditGrant, to: CreditPool, amount: str | int, **said: Any) -> CreditGrant:
    given = {"key": "move", "reason": "Ticket 9", "now": NOW, "by_id": None, **said}
    return transfer(from_grant=old, to_pool=to, amount=D(amount), **given)


def let_go(old: CreditGrant, **said: Any) -> D:
    given = {"key": "end", "reason": "Ticket 9", "now": NOW, "by_id": None, **said}
    return expire_early(grant=old, **given)


def test_a_transfer_takes_its_part_of_the_cost_along(pool: CreditPool, world: World) -> None:
    other = pool_of(world, key="second")
    ends = NOW + 9 * HOUR
    old = grant(pool, "pack", 30, cost=D("10.00"), expires_at=ends, priority=7, meters=["gpu"])
    new = moved(old, other, 20)
    old.refresh_from_db()
    assert (old.remaining, old.recognised, new.cost) == (D(10), D("6.67"), D("6.67"))
    assert (new.source, new.priority, new.expires_at, new.meters, new.rolled_from_id) == (
        "transfer", 7, ends, ["gpu"], old.pk,
    )  # fmt: skip
    for each, amount in ((pool, D(10)), (other, D(20))):
        spend(pool_id=each.pk, key="all", amount=amount, now=NOW, meter="gpu")
    assert money(pool) == {
        "issued TOKN": D(30),
        "revenue USD": D("-10.00"),
        "unbilled USD": D("10.00"),
        "used TOKN": D(-30),
    }
    before = everything()
    assert moved(old, other, 20).pk == new.pk
    with pytest.raises(GrantKeyTaken):
        moved(old, other, 10)
    assert everything() == before
    assert list(check_ledger()) == []


def test_what_cannot_be_moved_stays(pool: CreditPool, world: World) -> None:
    other, foreign = pool_of(world, key="second"), pool_of(world, "beta")
    unit = define_credit_unit(code="GPUS", name="Seconds")
    seconds = open_pool(customer=pool.customer, key="gpu", name="GPU", unit=unit)
    old = grant(pool, "pack", 30, expires_at=NOW + HOUR)
    hold(pool, "job", 25)
    before = everything()
    for to, amount, refusal in [
        (foreign, "1", TransferInvalid),
        (seconds, "1", TransferInvalid),
        (pool, "1", TransferInvalid),
        (other, "1.001", TransferInvalid),
        (other, "5.01", NotSoMuchFree),
        (other, "0", NotSoMuchFree),
    ]:
        with pytest.raises(refusal):
            moved(old, to, amount)
    with pytest.raises(NotSoMuchFree):
        moved(old, other, 1, now=NOW + HOUR)
    assert everything() == before


def test_what_is_free_expires_by_hand_and_what_is_held_stays(pool: CreditPool) -> None:
    old = grant(pool, "pack", 30, cost=D("10.00"))
    held = hold(pool, "job", 20)
    assert let_go(old) == D(10)
    assert balance(pool) == (D(20), D(20), D(0))
    assert money(pool)["breakage USD"] == D("-3.33")
    before = everything()
    assert let_go(old) == D(10)
    with pytest.raises(NotSoMuchFree):
        let_go(old, key="again")
    assert everything() == before
    void_hold(hold_id=held.pk, now=NOW)
    assert let_go(old, key="again") == D(20)
    assert money(pool) == {
        "breakage USD": D("-10.00"),
        "expired TOKN": D(-30),
        "issued TOKN": D(30),
        "unbilled USD": D("10.00"),
    }
    assert list(check_ledger()) == []
