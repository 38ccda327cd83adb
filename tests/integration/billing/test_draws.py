"""Draws over named grants, and giving back what was used: exact, once, and all or nothing."""

from decimal import Decimal as D

import pytest

from billing.credits.drawing import (
    CorrectionKeyTaken,
    CreditMoved,
    Draw,
    DrawInvalid,
    GivenBackTooMuch,
    NothingUsed,
    Slice,
    draw,
    draw_all,
    give_back,
)
from billing.credits.expiring import expire_grants
from billing.credits.holding import HoldKeyTaken, spend
from billing.ledger.checks import check_ledger
from billing.models import CreditGrant, CreditPool, Hold, LedgerTransaction
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
    slices,
)


@pytest.fixture
def pool(world: World) -> CreditPool:
    """Acme's pool of TOKN, empty."""
    return pool_of(world)


def left(pool: CreditPool) -> dict[str, D]:
    rows = CreditGrant.objects.filter(pool=pool).order_by("pk")
    return {row.key: row.remaining for row in rows}


def test_a_draw_uses_the_named_grants_in_the_named_order(pool: CreditPool) -> None:
    first = grant(pool, "first", 10, priority=1)
    sold = grant(pool, "sold", 30, cost=D("3.00"))
    wanted = [Slice(sold.pk, D("12.5")), Slice(first.pk, D(4))]
    hold_id = draw(pool_id=pool.pk, key="line", slices=wanted, now=NOW)
    drawn = Hold.objects.get(pk=hold_id)
    assert (drawn.status, drawn.amount, drawn.used) == ("posted", D("16.5"), D("16.5"))
    assert slices(drawn) == [("sold", D("12.5")), ("first", D(4))]
    assert left(pool) == {"first": D(6), "sold": D("17.5")}
    assert money(pool) == {
        "credit TOKN": D("-23.5"),
        "deferred USD": D("-1.75"),
        "issued TOKN": D(40),
        "revenue USD": D("-1.25"),
        "unbilled USD": D(3),
        "used TOKN": D("-16.5"),
    }
    before = everything()
    assert draw(pool_id=pool.pk, key="line", slices=wanted, now=NOW + HOUR) == hold_id
    with pytest.raises(HoldKeyTaken):
        draw(pool_id=pool.pk, key="line", slices=wanted[::-1], now=NOW)
    assert everything() == before
    assert list(check_ledger()) == []


def test_credit_that_moved_is_not_drawn(pool: CreditPool, world: World) -> None:
    ends = NOW + 2 * HOUR
    pack = grant(pool, "pack", 10)
    soon = grant(pool, "soon", 10, expires_at=ends)
    later = grant(pool, "later", 10, effective_at=NOW + HOUR)
    unpaid = grant(pool, "unpaid", 10, needs_payment=True, cost=D(1))
    foreign = grant(pool_of(world, "other"), "foreign", 10)
    hold(pool, "job", 3, expires_at=ends)
    assert slices(Hold.objects.get(key="job")) == [("soon", D(3))]
    before = everything()
    for moved, at in [
        (Slice(soon.pk, D("7.01")), NOW),
        (Slice(soon.pk, D(1)), ends),
        (Slice(later.pk, D(1)), NOW),
        (Slice(unpaid.pk, D(1)), NOW),
        (Slice(foreign.pk, D(1)), NOW),
        (Slice(10**9, D(1)), NOW),
    ]:
        with pytest.raises(CreditMoved):
            draw(pool_id=pool.pk, key="x", slices=[Slice(pack.pk, D(1)), moved], now=at)
    for wrong in ([], [Slice(pack.pk, D(0))], [Slice(pack.pk, D(1)), Slice(pack.pk, D(1))]):
        with pytest.raises(DrawInvalid):
            draw(pool_id=pool.pk, key="x", slices=wrong, now=NOW)
    assert everything() == before


def test_a_sweep_draws_for_usage_before_the_expiry(pool: CreditPool) -> None:
    ends = NOW + HOUR
    soon = grant(pool, "soon", 10, expires_at=ends, cost=D("1.00"))
    wanted = [Slice(soon.pk, D(4))]
    with pytest.raises(CreditMoved):
        draw(pool_id=pool.pk, key="sweep", slices=wanted, now=ends + HOUR, valid_at=ends)
    draw(pool_id=pool.pk, key="sweep", slices=wanted, now=ends + HOUR, valid_at=NOW)
    posted = LedgerTransaction.objects.get(key="use:main:sweep")
    assert posted.happened_at == ends + HOUR
    assert money(pool)["revenue USD"] == D("-0.40")
    assert expire_grants(now=ends + HOUR) == 1
    assert money(pool)["breakage USD"] == D("-0.60")
    assert list(check_ledger()) == []


def test_many_pools_are_drawn_from_in_a_fixed_number_of_statements(
    world: World, django_assert_num_queries: object
) -> None:
    pools = [pool_of(world, name) for name in ("acme", "beta", "corp")]
    packs = [grant(each, "pack", 10) for each in pools]

    def wanted(key: str, amount: int) -> list[Draw]:
        return [
            Draw(each.pk, key, [Slice(pack.pk, D(amount))])
            for each, pack in zip(pools, packs, strict=True)
        ][::-1]

    with django_assert_num_queries(5):  # type: ignore[operator]
        ids = draw_all(wanted("a", 4), now=NOW)
    with django_assert_num_queries(5):  # type: ignore[operator]
        draw_all([*wanted("b", 1), *wanted("c", 2)], now=NOW)
    assert [Hold.objects.get(pk=each).pool.customer.key for each in ids] == ["corp", "beta", "acme"]
    assert [left(each) for each in pools] == [{"pack": D(3)}] * 3
    before = everything()
    with pytest.raises(CreditMoved):
        draw_all([*wanted("d", 3), *wanted("e", 1)], now=NOW)
    assert everything() == before
    assert list(check_ledger()) == []


def test_giving_back_goes_from_the_last_slices_backwards(pool: CreditPool) -> None:
    grant(pool, "first", 10, priority=1)
    grant(pool, "sold", 30, cost=D("10.00"))
    spend(pool_id=pool.pk, key="job", amount=D(17), now=NOW)
    assert money(pool)["revenue USD"] == D("-2.33")
    said = {"pool_id": pool.pk, "key": "sorry", "of_key": "job", "now": NOW, "note": "Ticket 7"}
    give_back(amount=D(9), **said)
    assert left(pool) == {"first": D(2), "sold": D(30)}
    assert balance(pool) == (D(32), D(0), D(32))
    assert money(pool) == {
        "credit TOKN": D(-32),
        "deferred USD": D(-10),
        "issued TOKN": D(40),
        "unbilled USD": D(10),
        "used TOKN": D(-8),
    }
    posted = LedgerTransaction.objects.get(reason="correction")
    assert posted.corrects is not None
    assert (posted.corrects.key, posted.note) == ("use:main:job", "Ticket 7")
    before = everything()
    give_back(amount=D(9), **said)
    with pytest.raises(CorrectionKeyTaken):
        give_back(amount=D(8), **said)
    with pytest.raises(GivenBackTooMuch) as refused:
        give_back(**{**said, "key": "more"}, amount=D("8.01"))
    assert str(refused.value) == "Of “job” 8 can be given back: state no more."
    with pytest.raises(NothingUsed):
        give_back(**{**said, "of_key": "none"}, amount=D(1))
    assert everything() == before
    give_back(**{**said, "key": "rest"}, amount=D(8))
    assert left(pool) == {"first": D(10), "sold": D(30)}
    assert list(check_ledger()) == []


def test_what_returns_to_an_expired_grant_is_breakage_at_once(pool: CreditPool) -> None:
    ends = NOW + HOUR
    grant(pool, "soon", 10, expires_at=ends, cost=D("1.00"))
    spend(pool_id=pool.pk, key="job", amount=D(6), now=NOW)
    expire_grants(now=ends)
    give_back(pool_id=pool.pk, key="back", of_key="job", amount=D("2.5"), now=ends)
    assert balance(pool, ends) == (D(0), D(0), D(0))
    assert money(pool) == {
        "breakage USD": D("-0.65"),
        "expired TOKN": D("-6.5"),
        "issued TOKN": D(10),
        "revenue USD": D("-0.35"),
        "unbilled USD": D(1),
        "used TOKN": D("-3.5"),
    }
    reasons = LedgerTransaction.objects.order_by("pk").values_list("reason", flat=True)
    assert list(reasons) == ["grant", "use", "expiry", "correction", "expiry"]
    assert list(check_ledger()) == []
