"""Dated scenarios: what a customer's statements say as months pass and usage comes in."""

from decimal import Decimal as D

import pytest
from django.db import Error, connection, transaction
from django.test.utils import CaptureQueriesContext

from billing import runs
from billing.models import Statement, StatementLine
from billing.statements.operations import NotInReview, approve_statement
from billing.statements.preview import preview_statement
from billing.statements.verify import Difference, verify_statements
from plans.models import Customer
from tests.fixtures.world import World, at

FLAT = {"key": "platform", "model": "flat", "amount": D(30)}


def jobs(meter, **said):
    return {"key": "jobs", "model": "graduated", "meter": meter, **said}


TIERS = ((D(100), "0.10"), (None, "0.05"))


def frozen(statement: Statement) -> list[tuple]:
    """Everything of a finalised statement that must never change."""
    row = Statement.objects.filter(id=statement.id).values_list()
    lines = StatementLine.objects.filter(statement=statement).order_by("position").values_list()
    return [*row, *lines]


def differences() -> list[Difference]:
    return [found for found in verify_statements() if isinstance(found, Difference)]


def test_1_november_subscribe_late_job_on_4_december_adjusted_on_the_next(world: World) -> None:
    """1 Nov subscribe; 90 jobs; finalised 3 Dec; 20 late jobs on 4 Dec; adjusted on December's."""
    customer = world.customer()
    plan = world.plan(prices=(FLAT, jobs(world.meter(), tiers=TIERS)))
    world.subscribe(customer, plan, starts_at=at(2024, 11, 1))
    world.use("acme", time=at(2024, 11, 10), times=90)

    assert world.close(now=at(2024, 12, 1, 1)).drafted == 0
    assert world.close(now=at(2024, 12, 1, 2)).drafted == 1
    (november,) = world.statements()
    assert (november.status, november.total, november.number) == ("draft", D("39.00"), None)

    world.use("acme", time=at(2024, 11, 30, 23), times=5, now=at(2024, 12, 2))
    assert world.close(now=at(2024, 12, 3)).finalised == 1
    (november,) = world.statements()
    assert (november.status, november.number) == ("finalised", "acme-0001")
    assert world.lines(november) == [("Platform", 1, D(30)), ("Jobs", 95, D("9.50"))]
    before = frozen(november)

    world.use("acme", time=at(2024, 11, 20), times=15, now=at(2024, 12, 4))
    world.use("acme", time=at(2024, 12, 5), times=10)
    world.close(now=at(2025, 1, 5))
    _, december = world.statements()
    assert world.lines(december) == [
        ("Platform", 1, D(30)),
        ("Jobs", 10, D("1.00")),
        ("Jobs", 15, D("1.00")),
    ]
    correction = december.lines.get(kind="adjustment")
    assert correction.origin == november
    assert (correction.period_start, correction.period_end) == (at(2024, 11, 1), at(2024, 12, 1))
    assert (december.total, december.adjustments_total) == (D("32.00"), D("1.00"))
    assert december.previous_hash == november.content_hash

    world.use("acme", time=at(2024, 11, 21), times=10, now=at(2025, 1, 6))
    world.close(now=at(2025, 2, 5))
    january = world.statements()[2]
    assert world.lines(january) == [("Platform", 1, D(30)), ("Jobs", 10, D("0.50"))]
    assert frozen(november) == before
    assert differences() == []


def test_usage_that_came_in_time_is_not_adjusted_again(world: World) -> None:
    customer = world.customer()
    world.subscribe(
        customer, world.plan(prices=(jobs(world.meter(), tiers=TIERS),)), starts_at=at(2024, 11, 1)
    )
    world.use("acme", time=at(2024, 11, 10), times=3)
    world.close(now=at(2024, 12, 5))
    world.close(now=at(2025, 1, 5))
    world.close(now=at(2025, 2, 5))
    assert [(s.status, s.total, s.line_count) for s in world.statements()] == [
        ("finalised", D("0.30"), 1),
        ("finalised", D(0), 0),
        ("finalised", D(0), 0),
    ]


def test_a_month_with_two_versions_prices_each_event_by_its_own_time(world: World) -> None:
    """An event at the very boundary belongs to the new version; the fee is shared by days."""
    customer = world.customer()
    meter = world.meter()
    plan = world.plan(prices=(FLAT, jobs(meter, model="per_unit", amount=D(2))))
    world.version(
        plan,
        prices=(FLAT, jobs(meter, model="per_unit", amount=D("0.07"))),
        effective_from=at(2024, 11, 16),
    )
    world.subscribe(customer, plan, starts_at=at(2024, 11, 1))
    world.use("acme", time=at(2024, 11, 15, 23, 59), times=3)
    world.use("acme", time=at(2024, 11, 16), times=4)
    world.close(now=at(2024, 12, 5))
    (statement,) = world.statements()
    assert world.lines(statement) == [
        ("Platform", 1, D(15)),
        ("Jobs", 3, D(6)),
        ("Platform", 1, D(15)),
        ("Jobs", 4, D("0.28")),
    ]
    assert differences() == []


def test_a_version_that_starts_at_noon_splits_the_day(world: World) -> None:
    customer = world.customer(time_zone="Europe/Berlin")
    meter = world.meter()
    plan = world.plan(prices=(jobs(meter, model="per_unit", amount=D(2)),))
    world.version(
        plan,
        prices=(jobs(meter, model="per_unit", amount=D(1)),),
        effective_from=at(2024, 11, 16, 12),
    )
    world.subscribe(customer, plan, starts_at=at(2024, 10, 31, 23))
    for hour in (8, 11, 12, 13):
        world.use("acme", time=at(2024, 11, 16, hour))
    world.close(now=at(2024, 12, 5))
    assert world.lines(world.statements()[0]) == [("Jobs", 2, D(4)), ("Jobs", 2, D(2))]


def test_months_begin_at_the_customers_own_midnight(world: World) -> None:
    customer = world.customer(time_zone="Europe/Berlin")
    plan = world.plan(prices=(jobs(world.meter(), model="per_unit", amount=D(1)),))
    world.subscribe(customer, plan, starts_at=at(2024, 10, 31, 23))
    world.use("acme", time=at(2024, 11, 30, 22, 59), times=2)
    world.use("acme", time=at(2024, 11, 30, 23, 0), times=5)
    world.close(now=at(2025, 1, 5))
    assert [(s.period_start, s.total) for s in world.statements()] == [
        (at(2024, 10, 31, 23), D(2)),
        (at(2024, 11, 30, 23), D(5)),
    ]


def test_a_reviewed_statement_waits_for_a_person_and_stands_as_it_was_approved(
    world: World, django_user_model
) -> None:
    customer = world.customer(requires_review=True)
    plan = world.plan(prices=(jobs(world.meter(), model="per_unit", amount=D(1)),))
    world.subscribe(customer, plan, starts_at=at(2024, 11, 1))
    world.use("acme", time=at(2024, 11, 10), times=2)
    assert world.close(now=at(2024, 12, 5)).sent_to_review == 1
    (statement,) = world.statements()
    assert statement.status == "review"
    assert world.close(now=at(2024, 12, 6)).finalised == 0

    person = django_user_model.objects.create_user("approver")
    approve_statement(statement_id=statement.id, by=person, now=at(2024, 12, 6))
    with pytest.raises(NotInReview):
        approve_statement(statement_id=statement.id, by=person, now=at(2024, 12, 6))
    world.use("acme", time=at(2024, 11, 11), times=4, now=at(2024, 12, 6))
    assert world.close(now=at(2024, 12, 7)).finalised == 1
    (statement,) = world.statements()
    assert (statement.total, statement.approved_by) == (D(2), person)
    world.close(now=at(2025, 1, 5))
    assert world.statements()[1].adjustments_total == D(4)


def test_one_bad_customer_is_parked_with_the_reason_and_the_others_are_billed(
    world: World,
) -> None:
    meter = world.meter("tokens", aggregation="sum", value_property="n", dimensions=["model"])
    plan = world.plan(
        prices=(
            {
                "key": "tokens",
                "model": "matrix",
                "meter": meter,
                "rates": [(["small"], "0.5")],
                "default_amount": None,
            },
        )
    )
    for key in ("acme", "bad", "other"):
        world.subscribe(world.customer(key), plan, starts_at=at(2024, 11, 1))
    world.use("bad", "tokens", time=at(2024, 11, 3), n=5, model="huge")
    report = world.close(now=at(2024, 12, 5))
    assert (report.drafted, report.finalised, report.parked) == (2, 2, 1)
    (bad,) = world.statements("bad")
    assert (bad.status, bad.parked_code) == ("due", "unmatched_usage")
    assert "model=huge" in bad.parked_reason
    assert world.close(now=at(2024, 12, 6)).parked == 0
    assert runs.retry_parked() == 1
    assert world.close(now=at(2024, 12, 6)).parked == 1


def test_a_gap_between_versions_parks_the_customer_rather_than_billing_nothing(
    world: World,
) -> None:
    customer = world.customer()
    plan = world.plan(prices=(FLAT,))
    world.subscribe(customer, plan, starts_at=at(2024, 11, 1))
    plan.versions.update(effective_until=at(2024, 11, 20))
    assert world.close(now=at(2024, 12, 5)).parked == 1
    (statement,) = world.statements()
    assert statement.parked_code == "no_version_in_force"
    assert "2024-11-20" in statement.parked_reason


def test_usage_that_no_price_takes_is_listed_and_not_billed(world: World) -> None:
    customer = world.customer()
    world.meter("calls")
    world.subscribe(customer, world.plan(prices=(FLAT,)), starts_at=at(2024, 11, 1))
    world.use("acme", "calls", time=at(2024, 11, 10), times=7)
    facts, draft = preview_statement(customer_id=customer.id, now=at(2024, 11, 20))
    assert facts.unpriced == (("calls", D(7)),)
    assert draft.total == D(30)


def test_a_preview_writes_nothing(world: World) -> None:
    customer = world.customer()
    plan = world.plan(prices=(jobs(world.meter(), tiers=TIERS),))
    world.subscribe(customer, plan, starts_at=at(2024, 11, 1))
    world.use("acme", time=at(2024, 11, 10), times=120)
    _, draft = preview_statement(customer_id=customer.id, now=at(2024, 11, 20))
    assert draft.total == D("11.00")
    assert Statement.objects.count() == 0


def test_a_pool_is_shared_and_each_workspace_sees_its_part(world: World) -> None:
    customer = world.customer(workspaces=("alpha", "beta"))
    plan = world.plan(
        prices=(jobs(world.meter(), model="per_unit", amount=D("0.05"), allowance=D(10)),)
    )
    world.subscribe(customer, plan, starts_at=at(2024, 11, 1))
    world.use("alpha", time=at(2024, 11, 2), times=8)
    world.use("beta", time=at(2024, 11, 3), times=6)
    world.close(now=at(2024, 12, 5))
    line = world.statements()[0].lines.get()
    assert (line.usage_quantity, line.quantity, line.amount) == (14, 4, D("0.20"))
    assert line.explanation["workspaces"] == [["alpha", "8"], ["beta", "6"]]


def finalised(world: World) -> Statement:
    customer = world.customer()
    plan = world.plan(prices=(FLAT,))
    world.subscribe(customer, plan, starts_at=at(2024, 11, 1))
    world.close(now=at(2024, 12, 5))
    return world.statements()[0]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE billing_statement SET total = 1",
        "DELETE FROM billing_statement",
        "UPDATE billing_statementline SET amount = 1",
        "DELETE FROM billing_statementline",
        """INSERT INTO billing_statementline SELECT (jsonb_populate_record(l,
           '{"id": 0, "position": 9}')).* FROM billing_statementline l""",
    ],
)
def test_the_database_refuses_to_change_a_finalised_statement(world: World, change: str) -> None:
    statement = finalised(world)
    before = frozen(statement)
    with (
        pytest.raises(Error, match="acme-0001 is finalised"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(change)
    assert frozen(statement) == before


def test_verify_finds_what_was_tampered_with_behind_the_database_s_back(world: World) -> None:
    finalised(world)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE billing_statementline DISABLE TRIGGER USER")
        cursor.execute("UPDATE billing_statementline SET amount = 1")
        cursor.execute("ALTER TABLE billing_statementline ENABLE TRIGGER USER")
    assert differences() == [Difference("acme-0001", "line 1 (Platform) was changed")]


def test_a_close_takes_the_same_number_of_queries_for_few_customers_and_for_many(
    world: World,
) -> None:
    plan = world.plan(prices=(FLAT, jobs(world.meter(), tiers=TIERS)))
    counts = []
    for customers in (3, 30):
        keys = [f"c{customers}-{number}" for number in range(customers)]
        for key in keys:
            world.subscribe(world.customer(key), plan, starts_at=at(2024, 11, 1))
            world.use(key, time=at(2024, 11, 10), times=2)
        ids = list(Customer.objects.filter(key__in=keys).values_list("id", flat=True))
        with CaptureQueriesContext(connection) as queries:
            world.close(now=at(2024, 12, 5), customer_ids=ids)
        counts.append(len(queries))
    few, many = counts
    assert many <= few
    assert Statement.objects.filter(status="finalised", total=D("30.20")).count() == 33
