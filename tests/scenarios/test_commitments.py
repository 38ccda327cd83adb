"""Dated scenarios of commitments: what each statement counts, and what is trued up at the end."""

from datetime import date
from decimal import Decimal as D

import pytest
from django.db import Error, connection, transaction

from billing.models import Statement
from billing.statements.verify import Difference, verify_statements
from plans.models import Commitment
from plans.operations.commitments import (
    CommitmentEndRefused,
    CommitmentFrozen,
    CommitmentInvalid,
    CommitmentKeyTaken,
    CommitmentNotInForce,
    CommitmentOverlaps,
    CommitmentStartPassed,
    CommitmentTerms,
    OwnCommitment,
    approve_commitment,
    change_commitment,
    delete_commitment,
    draft_commitment,
    end_commitment,
)
from plans.rating.commitments import Instalment
from plans.rating.periods import months_after
from tests.fixtures.statements import UserFactory
from tests.fixtures.world import World, at

BEFORE = at(2024, 12, 20)
START = date(2025, 1, 1)
VALUE = {
    "key": "compute", "model": "per_unit", "amount": D(1),
}  # fmt: skip


def terms(**said):
    given = {
        "name": "Annual commitment",
        "start": START,
        "instalments": (Instalment(12, D(50_000)),),
        "discount_percent": D(20),
    }
    return CommitmentTerms(**{**given, **said})


def commit(customer, *, key="annual", now=BEFORE, **said):
    row = draft_commitment(customer=customer, key=key, terms=terms(**said), by=None)
    return approve_commitment(commitment=row, by=None, now=now)


@pytest.fixture
def customer(world: World):
    """Acme on a plan that prices compute at its list value, from January 2025 on."""
    acme = world.customer()
    meter = world.meter("compute", aggregation="sum", value_property="value", unit="USD")
    fee = {"key": "platform", "model": "flat", "amount": D(30)}
    plan = world.plan(prices=(fee, {**VALUE, "meter": meter}))
    world.subscribe(acme, plan, starts_at=at(2025, 1, 1))
    return acme


def use(world, month, value, *, now=None, day=10):
    time = at(2025 + (month - 1) // 12, (month - 1) % 12 + 1, day)
    world.use("acme", type="compute", time=time, now=now or time, value=str(value))


def close(world, month, *, day=3):
    """Close the month, with its grace time over."""
    after = months_after(START, month)
    world.close(now=at(after.year, after.month, day))
    return world.statements()[-1]


def rows(world, statement):
    return [
        (line.kind, line.description, line.amount)
        for line in statement.lines.order_by("position")
        if line.price_key != "platform"
    ]


def notes(statement):
    return [
        line.explanation["commitment"]
        for line in statement.lines.order_by("position")
        if "commitment" in line.explanation
    ]


def differences():
    return [found for found in verify_statements() if isinstance(found, Difference)]


def test_postpaid_s21a_twelve_months_and_the_shortfall_at_the_end(world, customer):
    commit(customer)
    for month in range(1, 13):
        use(world, month, 4500)
        statement = close(world, month)
        used = f"{3600 * month:,}.00"
        expected = [
            ("charge", "Compute", D("3600.00")),
            (
                "commitment",
                f"Annual commitment: {used} of 50,000.00 used, {month} of 12 months",
                D(0),
            ),
        ]
        if month == 12:
            words = "Annual commitment: shortfall against 50,000.00"
            expected.append(("commitment", words, D("6800.00")))
        assert rows(world, statement) == expected
    assert sum(one.total for one in world.statements()) == D(50_000) + 12 * 30
    use(world, 13, 4500)
    assert rows(world, close(world, 13)) == [("charge", "Compute", D("4500.00"))]
    assert differences() == []


def test_a_crossing_in_the_middle_of_a_period_is_split_and_there_is_no_shortfall(world, customer):
    """6,000 net: 4,500 list is 3,600; of the next 4,500, 3,000 are within and 1,500 at list."""
    commit(customer, instalments=(Instalment(3, D(6000)),), beyond_percent=D(0))
    use(world, 1, 4500)
    close(world, 1)
    use(world, 2, 4500)
    february = close(world, 2)
    assert rows(world, february) == [
        ("charge", "Compute", D("3900.00")),
        ("commitment", "Annual commitment: 6,000.00 of 6,000.00 used, 2 of 3 months", D(0)),
    ]
    note = notes(february)[0]
    assert (note["within"], note["beyond"]) == ("3000.000000000000", "1500.000000000000")
    assert note["counted"] == "2400.00"
    use(world, 3, 100)
    assert rows(world, close(world, 3)) == [
        ("charge", "Compute", D("100.00")),
        ("commitment", "Annual commitment: 6,000.00 of 6,000.00 used, 3 of 3 months", D(0)),
    ]
    assert differences() == []


def test_a_ramp_that_is_trued_up_each_quarter(world, customer):
    ramp = (Instalment(3, D(1000)), Instalment(3, D(2000)))
    commit(customer, instalments=ramp, measured_by="instalment", beyond_percent=D(10))
    for month, value in enumerate((500, 500, 500, 500, 500, 500), start=1):
        use(world, month, value)
    shown = [rows(world, close(world, month)) for month in range(1, 7)]
    assert [[amount for _, _, amount in each] for each in shown] == [
        [D(400), D(0)],
        [D(400), D(0)],
        [D("425.00"), D(0)],  # 250 at 20% off, the other 250 at 10% off
        [D(400), D(0)],
        [D(400), D(0)],
        [D(400), D(0), D(800)],
    ]
    assert shown[2][1][1] == "Annual commitment: 1,000.00 of 1,000.00 used, 3 of 3 months"
    assert shown[5][2][1] == "Annual commitment: shortfall against 2,000.00"
    assert differences() == []


def test_usage_counts_gross_and_only_of_the_meters_that_are_named(world):
    acme = world.customer()
    compute = world.meter("compute", aggregation="sum", value_property="value", unit="USD")
    jobs = world.meter()
    prices = (
        {**VALUE, "meter": compute},
        {"key": "jobs", "model": "per_unit", "amount": D(1), "meter": jobs},
    )
    world.subscribe(acme, world.plan(prices=prices), starts_at=at(2025, 1, 1))
    commit(acme, instalments=(Instalment(1, D(1000)),), counts="gross", meters=("compute",))
    use(world, 1, 600)
    world.use("acme", time=at(2025, 1, 11), times=7)
    assert rows(world, close(world, 1)) == [
        ("charge", "Compute", D(480)),
        ("charge", "Jobs", D(7)),
        ("commitment", "Annual commitment: 600.00 of 1,000.00 used, 1 of 1 months", D(0)),
        ("commitment", "Annual commitment: shortfall against 1,000.00", D(400)),
    ]


def test_late_usage_counts_when_it_is_billed_and_gives_back_what_was_trued_up(world, customer):
    """January is late twice: within February of the term, and after the true-up."""
    commit(customer, instalments=(Instalment(2, D(2000)),), beyond_percent=D(0))
    use(world, 1, 1000)
    january = close(world, 1)
    use(world, 1, 100, now=at(2025, 2, 5), day=11)
    use(world, 2, 500)
    february = close(world, 2)
    assert rows(world, february) == [
        ("charge", "Compute", D(400)),
        ("adjustment", "Compute", D(80)),
        ("commitment", "Annual commitment: 1,280.00 of 2,000.00 used, 2 of 2 months", D(0)),
        ("commitment", "Annual commitment: shortfall against 2,000.00", D(720)),
    ]
    use(world, 1, 200, now=at(2025, 3, 5), day=12)
    use(world, 3, 10)
    march = close(world, 3)
    assert rows(world, march) == [
        ("charge", "Compute", D(10)),
        ("adjustment", "Compute", D(160)),
        ("commitment", "Annual commitment: 1,440.00 of 2,000.00 used, 2 of 2 months", D(0)),
        ("commitment", "Annual commitment: shortfall against 2,000.00, corrected", D(-160)),
    ]
    use(world, 2, 1000, now=at(2025, 4, 5), day=12)
    april = close(world, 4)
    assert rows(world, april) == [
        # 700 of the 1,000 fill the commitment (560 net), 300 are at list.
        ("adjustment", "Compute", D(860)),
        ("commitment", "Annual commitment: 2,000.00 of 2,000.00 used, 2 of 2 months", D(0)),
        ("commitment", "Annual commitment: shortfall against 2,000.00, corrected", D(-560)),
    ]
    assert january.total == D(830)
    assert differences() == []


def test_late_usage_within_grace_counts_before_the_true_up(world, customer):
    commit(customer, instalments=(Instalment(1, D(1000)),))
    use(world, 1, 500)
    world.close(now=at(2025, 2, 1, 12))
    use(world, 1, 100, now=at(2025, 2, 2), day=20)
    assert rows(world, close(world, 1)) == [
        ("charge", "Compute", D(480)),
        ("commitment", "Annual commitment: 480.00 of 1,000.00 used, 1 of 1 months", D(0)),
        ("commitment", "Annual commitment: shortfall against 1,000.00", D(520)),
    ]


def test_months_that_are_closed_at_once_count_one_after_the_other(world, customer):
    commit(customer, instalments=(Instalment(3, D(2000)),), beyond_percent=D(0))
    for month in (1, 2, 3):
        use(world, month, 1000)
    world.close(now=at(2025, 5, 3))
    totals = [one.total for one in world.statements()]
    assert totals == [D(830), D(830), D(930), D(30)]
    assert differences() == []


@pytest.mark.parametrize(("due", "amount"), [(True, [D(49_520)]), (False, [])])
def test_an_early_end_and_what_is_due_then(world, customer, due, amount):
    row = commit(customer)
    use(world, 1, 500)
    use(world, 1, 100, day=20)
    end_commitment(
        commitment=row,
        ends_on=date(2025, 1, 31),
        shortfall_due=due,
        reason="Closed",
        by=None,
        now=at(2025, 1, 15),
    )
    january = close(world, 1)
    assert [line[2] for line in rows(world, january)] == [D(480), D(0), *amount]
    use(world, 2, 100)
    assert rows(world, close(world, 2)) == [("charge", "Compute", D(100))]
    assert differences() == []


def test_prepaid_instalments_are_charged_at_their_start(world, customer):
    halves = (Instalment(1, D(1000)), Instalment(1, D(500)))
    commit(customer, kind="prepaid", instalments=halves)
    use(world, 1, 500)
    assert rows(world, close(world, 1)) == [
        ("charge", "Compute", D(400)),
        ("commitment", "Annual commitment: prepaid commitment, 1 of 2", D(1000)),
        ("commitment", "Annual commitment: 400.00 of 1,500.00 used, 1 of 2 months", D(0)),
    ]
    assert rows(world, close(world, 2)) == [
        ("commitment", "Annual commitment: prepaid commitment, 2 of 2", D(500)),
        ("commitment", "Annual commitment: 400.00 of 1,500.00 used, 2 of 2 months", D(0)),
    ]
    assert rows(world, close(world, 3)) == []
    assert differences() == []


def test_a_commitment_that_begins_in_a_period_covers_the_periods_that_begin_after(world, customer):
    """From 15 January on; January began before, so it has the list price."""
    commit(customer, start=date(2025, 1, 15), instalments=(Instalment(1, D(1000)),))
    use(world, 1, 100, day=20)
    assert [line[:1] + line[2:] for line in rows(world, close(world, 1))] == [
        ("charge", D(100)),
        ("commitment", D(0)),
    ]
    use(world, 2, 100)
    assert [line[:1] + line[2:] for line in rows(world, close(world, 2))] == [
        ("charge", D(80)),
        ("commitment", D(0)),
        ("commitment", D(920)),
    ]


def test_statements_without_commitments_do_not_mention_them(world, customer):
    use(world, 1, 10)
    january = close(world, 1)
    assert "promises" not in january.facts
    assert "commitment" not in january.lines.get(price_key="compute").explanation


def test_an_approval_makes_drafts_stale(world, customer):
    use(world, 1, 100)
    row = draft_commitment(customer=customer, key="annual", terms=terms(), by=None)
    approve_commitment(commitment=row, by=None, now=BEFORE)
    world.close(now=at(2025, 2, 1, 3))
    end_commitment(
        commitment=row, ends_on=date(2025, 2, 1), shortfall_due=True, reason="Closed", by=None,
        now=at(2025, 1, 31),
    )  # fmt: skip
    january = close(world, 1)
    assert [line[2] for line in rows(world, january)] == [D(80), D(0), D(49_920)]


# What is refused, and that nothing changes.


@pytest.fixture
def people(db):
    return UserFactory(), UserFactory()


def test_another_person_approves(customer, people):
    writer, approver = people
    row = draft_commitment(customer=customer, key="annual", terms=terms(), by=writer)
    for by in (writer, None):
        with pytest.raises(OwnCommitment):
            approve_commitment(commitment=row, by=by, now=BEFORE)
    row.refresh_from_db()
    assert row.approved_at is None
    change_commitment(commitment=row, terms=terms(name="Other"), by=approver)
    with pytest.raises(OwnCommitment):
        approve_commitment(commitment=row, by=approver, now=BEFORE)
    third = UserFactory()
    assert approve_commitment(commitment=row, by=third, now=BEFORE).approved_by == third
    assert [(each.history_type, each.name) for each in row.history.order_by("history_id")] == [
        ("+", "Annual commitment"), ("~", "Other"), ("~", "Other")
    ]  # fmt: skip


def test_an_approved_one_is_frozen_by_the_database_too(customer):
    row = commit(customer)
    with pytest.raises(CommitmentFrozen):
        change_commitment(commitment=row, terms=terms(name="Other"), by=None)
    with pytest.raises(CommitmentFrozen):
        delete_commitment(commitment=row)
    insert = (
        "INSERT INTO plans_commitmentinstalment (commitment_id, position, months, amount) "
        "SELECT id, 9, 1, 1 FROM plans_commitment"
    )
    for sql in (
        "UPDATE plans_commitment SET discount_percent = 99",
        "DELETE FROM plans_commitment",
        "UPDATE plans_commitmentinstalment SET amount = 1",
        "DELETE FROM plans_commitmentinstalment",
        insert,
    ):
        with pytest.raises(Error, match="frozen"), transaction.atomic():
            connection.cursor().execute(sql)
    end = {"commitment": row, "shortfall_due": False, "reason": "Closed", "by": None}
    end_commitment(ends_on=date(2025, 6, 1), now=at(2025, 3, 1), **end)
    with pytest.raises(CommitmentNotInForce):
        end_commitment(ends_on=date(2025, 5, 1), now=at(2025, 3, 1), **end)
    with pytest.raises(Error, match="frozen"), transaction.atomic():
        connection.cursor().execute("UPDATE plans_commitment SET ended_on = NULL")


def test_no_two_at_a_time(customer):
    row = commit(customer)
    other = draft_commitment(
        customer=customer, key="other", terms=terms(start=date(2025, 12, 31)), by=None
    )
    with pytest.raises(CommitmentOverlaps):
        approve_commitment(commitment=other, by=None, now=BEFORE)
    other.refresh_from_db()
    assert other.approved_at is None
    end_commitment(
        commitment=row, ends_on=date(2025, 12, 31), shortfall_due=False, reason="Renewed", by=None,
        now=at(2025, 3, 1),
    )  # fmt: skip
    approve_commitment(commitment=other, by=None, now=BEFORE)


def test_a_start_that_has_passed_is_refused(customer):
    row = draft_commitment(customer=customer, key="annual", terms=terms(), by=None)
    with pytest.raises(CommitmentStartPassed):
        approve_commitment(commitment=row, by=None, now=at(2025, 1, 2))
    approve_commitment(commitment=row, by=None, now=at(2025, 1, 1, 12))


def test_what_is_wrong_is_said_and_nothing_written(customer):
    bad = terms(
        instalments=(Instalment(0, D("0.001")),), meters=("unheard",), discount_percent=D(-1)
    )
    with pytest.raises(CommitmentInvalid) as refused:
        draft_commitment(customer=customer, key="a b", terms=bad, by=None)
    assert {each.field for each in refused.value.problems} == {
        "key", "discount_percent", "meters"
    }  # fmt: skip
    with pytest.raises(CommitmentInvalid) as refused:
        draft_commitment(customer=customer, key="a", terms=terms(instalments=()), by=None)
    assert [each.code for each in refused.value.problems] == ["missing"]
    assert not Commitment.objects.exists()
    commit(customer)
    with pytest.raises(CommitmentKeyTaken):
        draft_commitment(customer=customer, key="annual", terms=terms(), by=None)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"ends_on": date(2025, 2, 28)}, "ends_on"),
        ({"ends_on": date(2026, 1, 1)}, "ends_on"),
        ({"reason": " "}, "reason"),
    ],
)
def test_an_end_that_cannot_be(customer, said, field):
    row = commit(customer)
    given = {"ends_on": date(2025, 6, 1), "shortfall_due": True, "reason": "Closed", "by": None}
    with pytest.raises(CommitmentEndRefused) as refused:
        end_commitment(commitment=row, now=at(2025, 3, 1, 12), **{**given, **said})
    assert refused.value.field == field
    row.refresh_from_db()
    assert row.ended_on is None


def test_a_prepaid_one_has_no_shortfall_to_be_due(customer):
    row = commit(customer, kind="prepaid")
    with pytest.raises(CommitmentEndRefused):
        end_commitment(
            commitment=row, ends_on=date(2025, 6, 1), shortfall_due=True, reason="Closed", by=None,
            now=at(2025, 3, 1),
        )  # fmt: skip
    assert not Statement.objects.exists()
