"""Dated scenarios of outcome contracts: verified late, disputed, reversed, capped, changed."""

from decimal import Decimal as D

import pytest

from billing.models import Statement, StatementLine
from billing.statements.verify import Difference, verify_statements
from tests.fixtures.outcomes import claim, contract, next_version, settle, states, step
from tests.fixtures.world import World, at
from usage.models import Outcome

BY_CUSTOMER = {"by": "customer", "window_hours": 45 * 24, "silence": "rejected"}
FLAT = {"key": "platform", "model": "flat", "amount": D(30)}


def names(prefix, count, *, first=1):
    return [f"{prefix}{number:02}" for number in range(first, first + count)]


def frozen(statement: Statement) -> list[tuple]:
    row = Statement.objects.filter(id=statement.id).values_list()
    lines = StatementLine.objects.filter(statement=statement).order_by("position").values_list()
    return [*row, *lines]


def proven() -> None:
    assert [found for found in verify_statements() if isinstance(found, Difference)] == []


def on_plan(world: World):
    customer = world.customer(workspaces=("studio",))
    plan = world.plan(prices=(FLAT,))
    world.subscribe(customer, plan, starts_at=at(2025, 10, 1))
    return plan


def test_s29_verified_and_upheld_after_october_was_finalised(world: World) -> None:
    """20 reported in October, 8 verified by its close; 9 on 20 November, 1 dispute upheld."""
    plan = on_plan(world)
    contract(plan=plan, verification=BY_CUSTOMER, dispute_days=60)
    keys = names("o", 20)
    claim(*keys, at=at(2025, 10, 20))
    step("verify", *keys[:8], now=at(2025, 10, 28))
    world.close(now=at(2025, 11, 4))
    (october,) = world.statements()
    assert world.lines(october) == [("Platform", 1, D(30)), ("Resolutions", 8, D(80))]
    before = frozen(october)

    step("verify", *keys[8:17], now=at(2025, 11, 20))
    step("reject", *keys[17:], now=at(2025, 11, 20))
    step("dispute", keys[0], now=at(2025, 11, 21))
    step("uphold", keys[0], now=at(2025, 11, 25))
    world.close(now=at(2025, 12, 4))
    october, november = world.statements()
    assert world.lines(november) == [
        ("Platform", 1, D(30)),
        ("Resolutions", 9, D(90)),
        ("Resolutions, reversed", -1, D(-10)),
    ]
    lines = list(november.lines.order_by("position"))
    assert [line.origin_id for line in lines] == [None, october.pk, october.pk]
    assert [line.kind for line in lines] == ["charge", "adjustment", "adjustment"]
    assert frozen(october) == before
    proven()


def test_four_months_of_one_contract(world: World) -> None:
    """October to January; 10 each and at most 100 a period, from 1 December 12 each and 150."""
    plan = on_plan(world)
    fee = {"kind": "per_outcome", "amount": "10", "cap": "100"}
    first = contract(plan=plan, verification=BY_CUSTOMER, dispute_days=90, fee=fee)
    october = names("o", 9)
    claim(*october, at=at(2025, 10, 10))
    step("verify", *october[:6], now=at(2025, 10, 20))
    world.close(now=at(2025, 11, 4))
    (one,) = world.statements()
    assert world.lines(one) == [("Platform", 1, D(30)), ("Resolutions", 6, D(60))]
    kept = [frozen(one)]

    # November: two of October verified late; its own eleven are capped; one dispute is opened.
    november = names("n", 12)
    claim(*november, at=at(2025, 11, 10))
    step("verify", *november[:9], now=at(2025, 11, 20))
    step("verify", *october[6:8], now=at(2025, 11, 20))
    step("reject", october[8], now=at(2025, 11, 20))
    step("dispute", october[0], october[1], now=at(2025, 11, 22))
    next_version(
        first, effective_from=at(2025, 12, 1), now=at(2025, 11, 25),
        fee={"kind": "per_outcome", "amount": "12", "cap": "150"},
    )  # fmt: skip
    world.close(now=at(2025, 12, 4))
    one, two = world.statements()
    assert world.lines(two) == [
        ("Platform", 1, D(30)),
        ("Resolutions", 9, D(90)),
        ("Resolutions", 2, D(20)),
    ]
    kept.append(frozen(two))

    # December: one dispute upheld, one dismissed; the cap of November is reached by late ones,
    # at November's terms; December's own are at the new ones.
    december = names("d", 3)
    claim(*december, at=at(2025, 12, 12))
    step("verify", *december[:2], now=at(2025, 12, 13))
    step("uphold", october[0], now=at(2025, 12, 5))
    step("dismiss", october[1], now=at(2025, 12, 5))
    step("verify", *november[9:], now=at(2025, 12, 15))
    world.close(now=at(2026, 1, 4))
    one, two, three = world.statements()
    assert world.lines(three) == [
        ("Platform", 1, D(30)),
        ("Resolutions", 2, D(24)),
        ("Resolutions, reversed", -1, D(-10)),
        ("Resolutions", 3, D(10)),
    ]
    assert [line.origin_id for line in three.lines.order_by("position")] == [
        None, None, one.pk, two.pk,
    ]  # fmt: skip
    kept.append(frozen(three))

    # January: an outcome of November is reversed. Twelve were verified: eleven are still capped.
    # One of October, dismissed before, is reversed too; silence rejects what nobody looked at.
    step("reverse", november[0], october[1], now=at(2026, 1, 10))
    settle(now=at(2026, 1, 30))
    world.close(now=at(2026, 2, 4))
    one, two, three, four = world.statements()
    assert world.lines(four) == [
        ("Platform", 1, D(30)),
        ("Resolutions, reversed", -1, D(-10)),
    ]
    assert [line.origin_id for line in four.lines.order_by("position")] == [None, one.pk]
    assert states()[december[2]] == "rejected"
    assert [frozen(each) for each in (one, two, three)] == kept
    assert [each.total for each in world.statements()] == [D(90), D(140), D(54), D(20)]
    proven()


def test_a_reversal_before_the_statement_is_on_its_only_line(world: World) -> None:
    """S13: 25% of 1,620.50 is 405.125, which rounds to 405.13; 89.99 was reversed."""
    plan = on_plan(world)
    contract(
        plan=plan, name="Recovered money", dispute_days=30, fee={"kind": "percent", "percent": "25"}
    )
    claim("a", at=at(2025, 10, 5), value="120.00")
    claim("b", at=at(2025, 10, 6), value="1500.50")
    claim("c", at=at(2025, 10, 7), value="89.99")
    step("reverse", "c", now=at(2025, 10, 9))
    world.close(now=at(2025, 11, 4))
    (october,) = world.statements()
    assert world.lines(october) == [
        ("Platform", 1, D(30)),
        ("Recovered money", D("1620.50"), D("405.13")),
    ]
    (line,) = october.lines.filter(description="Recovered money")
    assert line.usage_quantity == D("1710.49")
    proven()


@pytest.mark.parametrize(
    ("hours", "amount"), [(100, D("2000.00")), (150, D("2500.00"))]
)  # fmt: skip
def test_s16_a_share_of_the_value_created_up_to_the_cap(world: World, hours, amount) -> None:
    plan = on_plan(world)
    fee = {
        "kind": "share", "percent": "40", "rate": "50", "quantity_field": "hours_saved",
        "cap": "2500",
    }  # fmt: skip
    contract(plan=plan, fee=fee, evidence=[{"name": "hours_saved", "kind": "number"}])
    claim("a", at=at(2025, 10, 5), evidence={"hours_saved": hours})
    world.close(now=at(2025, 11, 4))
    assert [line[2] for line in world.lines(world.statements()[0])] == [D(30), amount]


def test_s14_reopened_within_72_hours_is_no_resolution(world: World) -> None:
    plan = on_plan(world)
    said = {"by": "customer", "window_hours": 72, "silence": "verified"}
    contract(plan=plan, verification=said, fee={"kind": "per_outcome", "amount": "0.99"})
    keys = names("r", 100)
    claim(*keys, at=at(2025, 10, 5))
    step("reject", *keys[:3], now=at(2025, 10, 7))
    settle(now=at(2025, 10, 7, 23))
    assert set(states().values()) == {"pending", "rejected"}
    settle(now=at(2025, 10, 8))
    world.close(now=at(2025, 11, 4))
    assert world.lines(world.statements()[0])[1] == ("Resolutions", 97, D("96.03"))


def test_a_cap_holds_fee_and_bonus_together(world: World) -> None:
    """Nine with a bonus: 90 + 18 is capped at 100. Two are reversed: the bonus rises to 14."""
    plan = on_plan(world)
    fee = {
        "kind": "per_outcome", "amount": "10", "bonus_amount": "2", "bonus_when": "good is yes",
        "cap": "100",
    }  # fmt: skip
    contract(plan=plan, fee=fee, evidence=[{"name": "good", "kind": "yes_no"}], dispute_days=30)
    keys = names("b", 9)
    claim(*keys, at=at(2025, 10, 10), evidence={"good": True})
    world.close(now=at(2025, 11, 4))
    step("reverse", *keys[:2], now=at(2025, 11, 10))
    world.close(now=at(2025, 12, 4))
    october, november = world.statements()
    assert world.lines(october)[1:] == [("Resolutions", 9, D(90)), ("Resolutions, bonus", 9, D(10))]
    assert world.lines(november)[1:] == [
        ("Resolutions, reversed", -2, D(-20)),
        ("Resolutions, bonus, after reversals", -2, D(4)),
    ]
    proven()


def test_a_holdback_is_released_later_and_comes_to_the_whole_fee(world: World) -> None:
    """20% of 12 outcomes at 10 is held back for 60 days; two are reversed, one after that."""
    plan = on_plan(world)
    fee = {"kind": "per_outcome", "amount": "10", "holdback_percent": "20", "holdback_days": 60}
    contract(plan=plan, fee=fee)
    keys = names("h", 12)
    claim(*keys, at=at(2025, 10, 10))
    step("reverse", keys[0], now=at(2025, 10, 20))
    world.close(now=at(2025, 11, 4))
    settle(now=at(2025, 12, 8))
    world.close(now=at(2025, 12, 4))
    settle(now=at(2025, 12, 10))
    world.close(now=at(2026, 1, 4))
    step("reverse", keys[1], now=at(2026, 1, 10))
    world.close(now=at(2026, 2, 4))
    lines = [world.lines(each)[1:] for each in world.statements()]
    assert lines == [
        [("Resolutions, 80% on verification", 11, D(88))],
        [],
        [("Resolutions, 20% held back and released", 11, D(22))],
        [
            ("Resolutions, 80% on verification, reversed", -1, D(-8)),
            ("Resolutions, 20% held back and released, reversed", -1, D(-2)),
        ],
    ]
    proven()


def test_the_rate_of_a_sample_is_applied_to_the_rest(world: World) -> None:
    """A sample of 20% is looked at; three quarters of it are good, and so of the rest."""
    plan = on_plan(world)
    said = {"by": "sample", "window_hours": 48, "silence": "rejected", "sample_percent": "20"}
    contract(plan=plan, verification=said)
    keys = names("s", 100)
    claim(*keys, at=at(2025, 10, 10))
    sample = list(
        Outcome.objects.filter(is_sampled=True).order_by("key").values_list("key", flat=True)
    )
    assert 10 < len(sample) < 32
    good = len(sample) * 3 // 4
    step("verify", *sample[:good], now=at(2025, 10, 11))
    step("reject", *sample[good:], now=at(2025, 10, 11))
    settle(now=at(2025, 11, 2))
    rest = 100 - len(sample)
    assert list(states().values()).count("pending") == rest
    settle(now=at(2025, 11, 3))
    verified = good + int((D(good) / len(sample) * rest).to_integral_value("ROUND_HALF_UP"))
    assert list(states().values()).count("verified") == verified
    world.close(now=at(2025, 11, 4))
    assert world.lines(world.statements()[0])[1] == ("Resolutions", verified, D(10 * verified))


def test_the_report_of_a_month_says_what_became_of_its_outcomes(world: World, staff, client):
    """5 claimed: 3 verified a day later, of which 1 reversed; 1 rejected; 1 not decided."""
    plan = on_plan(world)
    contract(plan=plan, verification=BY_CUSTOMER, dispute_days=60)
    keys = names("o", 5)
    claim(*keys, at=at(2025, 10, 20))
    step("verify", *keys[:3], now=at(2025, 10, 21))
    step("reject", keys[3], now=at(2025, 11, 2))
    world.close(now=at(2025, 11, 4))
    step("reverse", keys[0], now=at(2025, 11, 10))
    world.close(now=at(2025, 12, 4))
    client.force_login(staff("Support"))
    answer = client.get("/admin/billing/outcomerequest/report.csv?month=2025-10")
    assert answer.content.decode().splitlines()[1] == (
        "support,acme,5,2,1,1,1,0,50.0,1.0,20.00,10.00,20.00,USD,0,0,0,,,,,0,,,,"
    )
    text = client.get("/admin/billing/outcomerequest/report/?month=2025-10").content.decode()
    assert "50.0%" in text
    assert client.get("/admin/billing/outcomerequest/report/?month=2025-09").status_code == 200
