"""Dated scenarios of everything that changes what a customer pays while it stays subscribed."""

from decimal import Decimal as D

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.models import Statement
from billing.queries.current import current_usage
from billing.statements.build import build
from billing.statements.facts import Period, load_facts
from billing.statements.preview import preview_statement
from billing.statements.substitution import Substitution
from billing.statements.verify import Difference, verify_statements
from plans.models import Customer, Meter, Phase, ServiceClass, Subscription
from plans.overrides import TermsBook
from plans.terms import GrantRows
from tests.fixtures.world import World, at

FEE = {"key": "platform", "model": "flat", "amount": D(100)}


def per_unit(meter, amount: str, **said):
    return {"key": "jobs", "model": "per_unit", "meter": meter, "amount": D(amount), **said}


def months(world: World, key: str = "acme") -> list[list[tuple[str, D]]]:
    """Return description and amount of each line, statement by statement."""
    return [
        [(line, amount) for line, _, amount in world.lines(statement)]
        for statement in world.statements(key)
    ]


def refuse_differences() -> None:
    found = [each for each in verify_statements() if isinstance(each, Difference)]
    assert found == []
    assert not Statement.objects.exclude(status="finalised").exists()


def phased() -> GrantRows:
    """Fourteen days free, three months at half the price, then the price itself."""
    return GrantRows(
        phases=[
            Phase(position=0, key="trial", name="Trial", days=14, discount_percent=D(100)),
            Phase(position=1, key="intro", name="Introduction", months=3, discount_percent=D(50)),
            Phase(position=2, key="steady", name="Steady"),
        ]
    )


def test_a_trial_then_half_price_then_the_price_itself_over_five_statements(world: World) -> None:
    """10 Jan subscribe; the trial ends on the 24th, the introduction on 24 April."""
    plan = world.plan(
        prices=(
            FEE,
            per_unit(world.meter(), "0.30", minimum=D(20)),
            {"key": "support", "model": "flat", "amount": D(15), "phases": ["steady"]},
        ),
        grants=phased(),
    )
    world.subscribe(world.customer(), plan, starts_at=at(2025, 1, 10))
    for month, day, times in [(1, 12, 40), (1, 25, 10), (2, 10, 100), (4, 23, 90), (4, 24, 90)]:
        world.use("acme", time=at(2025, month, day), times=times)
    world.close(now=at(2025, 6, 4))

    assert months(world) == [
        [
            # 14 of 31 days and 40 jobs, all of it off.
            ("Platform", D(0)), ("Jobs", D(0)),
            # 8 of 31 days: 100 x 8/31 / 2 = 12.903; 10 jobs at 0.15, but half of 20 x 8/31 = 2.58.
            ("Platform", D("12.90")), ("Jobs", D("2.58")),
        ],
        [("Platform", D(50)), ("Jobs", D(15))],
        [("Platform", D(50)), ("Jobs", D(10))],
        [
            # 23 of 30 days at half, 90 jobs: 13.50; then 7 of 30 days, 90 jobs: 27.00.
            ("Platform", D("38.33")), ("Jobs", D("13.50")),
            ("Platform", D("23.33")), ("Jobs", D(27)), ("Support", D("3.50")),
        ],
        [("Platform", D(100)), ("Jobs", D(20)), ("Support", D(15))],
    ]  # fmt: skip
    april = world.statements()[3].lines.order_by("position")
    assert [line.explanation["phase"] for line in april] == ["Introduction"] * 2 + ["Steady"] * 3
    refuse_differences()


def test_phases_are_counted_from_where_the_subscription_says(world: World) -> None:
    """A change of plan does not begin a second trial."""
    plan = world.plan(prices=(FEE,), grants=phased())
    customer = world.customer(time_zone="Europe/Berlin")
    world.subscribe(customer, plan, starts_at=at(2025, 2, 28, 23))
    Subscription.objects.update(phases_from=at(2025, 1, 9, 23))
    world.close(now=at(2025, 6, 4))
    # In Berlin the introduction ends on 24 April at midnight.
    assert months(world) == [
        [("Platform", D(50))],
        [("Platform", D("38.33")), ("Platform", D("23.33"))],
        [("Platform", D(100))],
    ]
    refuse_differences()


def test_a_yearly_fee_is_due_whole_and_in_advance(world: World) -> None:
    """Subscribed on 29 February 2024 at noon: due then, and on 28 February 2025."""
    yearly = {"key": "yearly", "model": "flat", "amount": D(1200), "every_months": 12}
    plan = world.plan(prices=(yearly, FEE))
    raised = {**yearly, "amount": D(1500)}
    world.subscribe(world.customer(), plan, starts_at=at(2024, 2, 29, 12))
    world.version(plan, prices=(raised, FEE), effective_from=at(2025, 2, 28))
    world.close(now=at(2025, 4, 4))

    found = months(world)
    assert len(found) == 14
    # Half a day of 29: 100 x 0.5/29.
    assert found[0] == [("Yearly", D(1200)), ("Platform", D("1.72"))]
    assert found[1:12] == [[("Platform", D(100))]] * 11
    # 27 of 28 days by the old version, then the new one, whose fee is due that day.
    assert found[12] == [
        ("Platform", D("96.43")), ("Yearly", D(1500)), ("Platform", D("3.57")),
    ]  # fmt: skip
    assert found[13] == [("Platform", D(100))]
    refuse_differences()


def test_a_setup_fee_may_be_waived(world: World) -> None:
    setup = {"key": "setup", "model": "flat", "amount": D(500), "once": True}
    plan = world.plan(prices=(setup, FEE))
    for key in ("acme", "other"):
        world.subscribe(world.customer(key), plan, starts_at=at(2025, 1, 1))
    Subscription.objects.filter(customer__key="other").update(setup_waived=True)
    world.close(now=at(2025, 3, 4))
    assert months(world) == [[("Setup", D(500)), ("Platform", D(100))], [("Platform", D(100))]]
    assert months(world, "other") == [[("Platform", D(100))]] * 2
    refuse_differences()


def seats(world: World, removed: str = "period_end", *, amount: str = "30"):
    known = Meter.objects.filter(key="seats").first()
    meter = known or world.meter(
        "seats", aggregation="time_weighted", value_property="n", event_type="seats"
    )
    return {
        "key": "seats", "model": "seats", "meter": meter, "amount": D(amount),
        "seats_removed": removed,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("removed", "april", "may"),
    [
        (
            "period_end",
            [("12 seats", D(360)), ("3 seats from day 16, 15 of 30 days", D(45))],
            [
                ("13 seats to day 10, 10 of 31 days", D("125.81")),
                ("13 seats from day 11, 21 of 31 days", D("352.26")),
            ],
        ),
        (
            # Two of the three that came on the 16th were given up on the 21st.
            "by_day",
            [
                ("12 seats", D(360)),
                ("1 seat from day 16, 15 of 30 days", D(15)),
                ("2 seats from day 16 to day 20, 5 of 30 days", D(10)),
            ],
            [
                ("10 seats to day 10, 10 of 31 days", D("96.77")),
                ("3 seats to day 4, 4 of 31 days", D("11.61")),
                ("10 seats from day 11, 21 of 31 days", D("270.97")),
            ],
        ),
    ],
)
def test_seats_added_and_given_up_over_two_months_and_a_new_price(
    world: World, removed: str, april: list, may: list
) -> None:
    """1 April: 12 in two workspaces; 15 from the 16th, 13 from the 21st; 10 from 5 May.

    A seat costs 30 until 10 May, then 40.
    """
    plan = world.plan(prices=(seats(world, removed),))
    customer = world.customer(workspaces=("alpha", "beta"))
    world.subscribe(customer, plan, starts_at=at(2025, 4, 1))
    world.version(
        plan, prices=(seats(world, removed, amount="40"),), effective_from=at(2025, 5, 11)
    )
    world.use("alpha", "seats", time=at(2025, 4, 1, 8), n=8)
    world.use("beta", "seats", time=at(2025, 4, 1, 9), n=4)
    world.use("beta", "seats", time=at(2025, 4, 16, 10), n=9)
    world.use("beta", "seats", time=at(2025, 4, 16, 15), n=7)
    world.use("alpha", "seats", time=at(2025, 4, 21, 23), n=6)
    world.use("alpha", "seats", time=at(2025, 5, 5), n=3)
    world.close(now=at(2025, 6, 4))
    assert months(world) == [april, may]
    refuse_differences()


def test_seats_that_were_reported_late_adjust_the_statement_before(world: World) -> None:
    world.subscribe(world.customer(), world.plan(prices=(seats(world),)), starts_at=at(2025, 4, 1))
    world.use("acme", "seats", time=at(2025, 4, 1, 8), n=12)
    world.close(now=at(2025, 5, 4))
    world.use("acme", "seats", time=at(2025, 4, 16, 8), n=15, now=at(2025, 5, 5))
    world.close(now=at(2025, 6, 4))
    assert months(world) == [
        [("12 seats", D(360))],
        [("15 seats", D(450)), ("3 seats from day 16, 15 of 30 days", D(45))],
    ]
    refuse_differences()


def test_seats_that_were_reported_late_last_into_the_statements_that_follow(world: World) -> None:
    """Three more from 20 March, reported on 5 May: March and April are both corrected."""
    fee_and_seats = (FEE, seats(world))
    world.subscribe(world.customer(), world.plan(prices=fee_and_seats), starts_at=at(2025, 2, 1))
    world.use("acme", "seats", time=at(2025, 2, 1, 8), n=12)
    world.close(now=at(2025, 5, 4))
    world.use("acme", "seats", time=at(2025, 3, 20, 8), n=15, now=at(2025, 5, 5))
    world.close(now=at(2025, 6, 4))
    fee = ("Platform", D(100))
    assert months(world) == [
        *[[fee, ("12 seats", D(360))]] * 3,
        [
            fee, ("15 seats", D(450)),
            ("3 seats from day 20, 12 of 31 days", D("34.84")), ("15 seats", D(90)),
        ],
    ]  # fmt: skip
    last = world.statements()[3].lines.filter(kind="adjustment").order_by("position")
    assert [line.origin.number for line in last] == ["acme-0002", "acme-0003"]
    world.close(now=at(2025, 7, 4))
    assert months(world)[4] == [fee, ("15 seats", D(450))]
    refuse_differences()


def test_a_seat_that_never_was_is_credited(world: World) -> None:
    """A correction that came late takes the added seats back; the line of theirs is withdrawn."""
    plan = world.plan(prices=(seats(world, "by_day"),))
    world.subscribe(world.customer(), plan, starts_at=at(2025, 4, 1))
    world.use("acme", "seats", time=at(2025, 4, 1, 8), n=12)
    world.use("acme", "seats", time=at(2025, 4, 16, 8), n=15)
    world.close(now=at(2025, 5, 4))
    world.use("acme", "seats", time=at(2025, 4, 16, 9), n=12, now=at(2025, 5, 5))
    world.close(now=at(2025, 6, 4))
    assert months(world) == [
        [("12 seats", D(360)), ("3 seats from day 16, 15 of 30 days", D(45))],
        [("12 seats", D(360)), ("Seats", D(-45))],
    ]
    refuse_differences()


def test_a_preview_carries_the_seats_to_the_end_of_the_period(world: World) -> None:
    """Also into a part of it that a new version prices, which has not begun."""
    plan = world.plan(prices=(seats(world),))
    customer = world.customer()
    world.subscribe(customer, plan, starts_at=at(2025, 4, 1))
    world.version(plan, prices=(seats(world, amount="60"),), effective_from=at(2025, 4, 21))
    world.use("acme", "seats", time=at(2025, 4, 1, 8), n=12)
    world.use("acme", "seats", time=at(2025, 4, 10, 8), n=15)
    world.use("acme", "seats", time=at(2025, 4, 10, 18), n=99)
    _, draft = preview_statement(customer_id=customer.id, now=at(2025, 4, 10, 12))
    assert [(line.description, line.amount) for line in draft.lines] == [
        ("12 seats to day 20, 20 of 30 days", D("240.00")),
        ("3 seats from day 10 to day 20, 11 of 30 days", D("33.00")),
        ("15 seats from day 21, 10 of 30 days", D("300.00")),
    ]


def test_seats_given_up_in_a_trial_are_not_paid_for_after_it(world: World) -> None:
    plan = world.plan(prices=(seats(world),), grants=phased())
    world.subscribe(world.customer(), plan, starts_at=at(2025, 4, 2))
    world.use("acme", "seats", time=at(2025, 4, 2, 8), n=10)
    world.use("acme", "seats", time=at(2025, 4, 9, 8), n=5)
    world.close(now=at(2025, 5, 4))
    assert months(world) == [
        [
            ("10 seats from day 2 to day 15, 14 of 30 days", D(0)),
            ("5 seats from day 16, 15 of 30 days", D("37.50")),
        ]
    ]
    refuse_differences()


def test_an_agreed_price_survives_a_new_version_and_ends(world: World) -> None:
    """0.50 instead of 1.00 in February and March; the list price changes on 11 March."""
    meter = world.meter(unit="jobs")
    plan = world.plan(prices=(FEE, per_unit(meter, "1")))
    customer = world.customer()
    for key in ("acme", "other"):
        world.subscribe(
            customer if key == "acme" else world.customer(key), plan, starts_at=at(2025, 1, 1)
        )
    world.version(plan, prices=(FEE, per_unit(meter, "2")), effective_from=at(2025, 3, 11))
    content = {
        "key": "jobs", "name": "Jobs", "model": "per_unit", "meter": "jobs", "amount": "0.50",
        "allowance": 31,
    }  # fmt: skip
    agreed = world.agree(customer, plan, content, start=at(2025, 1, 20), end=at(2025, 3, 20))
    for month, day in [(1, 25), (2, 10), (3, 5), (3, 25), (4, 5)]:
        for key in ("acme", "other"):
            world.use(key, time=at(2025, month, day), times=100)
    world.close(now=at(2025, 5, 4))
    fee = ("Platform", D(100))
    assert months(world) == [
        # Agreed on within January, it begins with the next period.
        [fee, ("Jobs", D(100))],
        [fee, ("Jobs", D("34.50"))],
        # 10 of 31 days: 10 included; the second part begins on 11 March, while it holds.
        [("Platform", D("32.26")), ("Jobs", D(45)), ("Platform", D("67.74")), ("Jobs", D("39.50"))],
        [fee, ("Jobs", D(200))],
    ]
    assert months(world, "other")[1] == [fee, ("Jobs", D(100))]
    lines = world.statements()[2].lines.order_by("position")
    assert [line.explanation.get("agreed") for line in lines] == [None, agreed.pk] * 2
    refuse_differences()


def test_an_agreed_price_may_read_another_meter(world: World) -> None:
    """And what the version's own price read is then sold by nobody: it is listed as unpriced."""
    meter, runs = world.meter(unit="jobs"), world.meter("runs", unit="runs")
    plan = world.plan(prices=(per_unit(meter, "1"),))
    customer = world.customer()
    world.subscribe(customer, plan, starts_at=at(2025, 1, 1))
    content = {"key": "jobs", "name": "Runs", "model": "per_unit", "meter": "runs", "amount": "5"}
    world.agree(customer, plan, content, start=at(2025, 1, 1))
    world.use("acme", time=at(2025, 1, 5), times=7)
    world.use("acme", "runs", time=at(2025, 1, 6), times=3)
    facts, _ = preview_statement(customer_id=customer.id, now=at(2025, 1, 20))
    assert facts.unpriced == (("jobs", D(7)),)
    world.close(now=at(2025, 2, 4))
    assert months(world) == [[("Runs", D(15))]]
    assert world.statements()[0].lines.get().meter == runs
    world.use("acme", "runs", time=at(2025, 1, 7), now=at(2025, 2, 6))
    world.close(now=at(2025, 3, 4))
    assert months(world)[1] == [("Runs", D(5))]
    correction = world.statements()[1].lines.get()
    assert (correction.kind, correction.meter) == ("adjustment", runs)
    refuse_differences()


def test_a_customer_stays_on_the_old_version_until_its_next_period(world: World) -> None:
    """The new version takes effect on 11 March: at once for other, for acme in April."""
    meter = world.meter(unit="jobs")
    tiers = ((D(50), "1"), (None, "0.10"))
    graduated = {"key": "jobs", "model": "graduated", "meter": meter, "tiers": tiers}
    plan = world.plan(prices=(graduated,))
    old = plan.versions.get()
    customer = world.customer()
    world.subscribe(customer, plan, starts_at=at(2025, 3, 1))
    world.subscribe(world.customer("other"), plan, starts_at=at(2025, 3, 1))
    world.version(plan, prices=(per_unit(meter, "2"),), effective_from=at(2025, 3, 11))
    world.pin(customer, old, start=at(2025, 3, 11), end=at(2025, 4, 1))
    for month, day in [(3, 5), (3, 20), (4, 5)]:
        for key in ("acme", "other"):
            world.use(key, time=at(2025, month, day), times=40)
    world.close(now=at(2025, 5, 4))
    # One span throughout March: 80 jobs climb the tiers together.
    assert months(world) == [[("Jobs", D(53))], [("Jobs", D(80))]]
    assert months(world, "other") == [[("Jobs", D(40)), ("Jobs", D(80))], [("Jobs", D(80))]]
    refuse_differences()


def test_a_pin_that_begins_and_ends_within_a_period_cuts_it_twice(world: World) -> None:
    plan = world.plan(prices=(FEE,))
    old = plan.versions.get()
    customer = world.customer()
    world.subscribe(customer, plan, starts_at=at(2025, 4, 1))
    world.version(plan, prices=({**FEE, "amount": D(300)},), effective_from=at(2025, 4, 1))
    world.pin(customer, old, start=at(2025, 4, 11), end=at(2025, 4, 21))
    world.close(now=at(2025, 5, 4))
    assert months(world) == [[("Platform", D(100)), ("Platform", D("33.33")), ("Platform", D(100))]]
    refuse_differences()


def test_a_pin_fills_a_gap_and_does_not_hide_another(world: World) -> None:
    plan = world.plan(prices=(FEE,))
    old = plan.versions.get()
    for key in ("acme", "other"):
        world.subscribe(world.customer(key), plan, starts_at=at(2025, 4, 1))
    plan.versions.update(effective_until=at(2025, 4, 11))
    acme, other = (Subscription.objects.get(customer__key=key) for key in ("acme", "other"))
    world.pin(acme.customer, old, start=at(2025, 4, 11), end=None)
    world.pin(other.customer, old, start=at(2025, 4, 11), end=at(2025, 4, 21))
    report = world.close(now=at(2025, 5, 4))
    assert (report.finalised, report.parked) == (1, 1)
    assert months(world) == [[("Platform", D(100))]]
    (parked,) = world.statements("other")
    assert (parked.status, parked.parked_code) == ("due", "no_version_in_force")
    assert "2025-04-21 00:00" in parked.parked_reason


def test_a_plan_in_two_currencies(world: World) -> None:
    """Each customer is priced by the versions in its own; a new one in euros changes no dollars."""
    meter = world.meter(unit="jobs")
    plan = world.plan(prices=(FEE, per_unit(meter, "0.50")))
    euros = ({**FEE, "amount": D(90)}, per_unit(meter, "0.45"))
    world.version(plan, prices=euros, effective_from=at(2025, 1, 1), currency="EUR")
    world.subscribe(world.customer(), plan, starts_at=at(2025, 1, 1))
    berlin = world.customer("berlin", currency="EUR", time_zone="Europe/Berlin")
    world.subscribe(berlin, plan, starts_at=at(2025, 1, 1))
    dearer = ({**FEE, "amount": D(120)}, per_unit(meter, "0.60"))
    world.version(plan, prices=dearer, effective_from=at(2025, 1, 31, 23), currency="EUR")
    for key in ("acme", "berlin"):
        world.use(key, time=at(2025, 1, 20), times=10)
        world.use(key, time=at(2025, 2, 10), times=10)
    world.close(now=at(2025, 3, 4))
    assert months(world) == [[("Platform", D(100)), ("Jobs", D(5))]] * 2
    assert months(world, "berlin") == [
        # From one in the morning of 1 January, since the subscription began at midnight in UTC.
        [("Platform", D("89.88")), ("Jobs", D("4.50"))],
        [("Platform", D(120)), ("Jobs", D(6))],
    ]
    assert {statement.currency for statement in world.statements("berlin")} == {"EUR"}
    refuse_differences()


def test_each_workspace_has_its_own_allowance(world: World) -> None:
    """10 each: alpha uses 4 of them, beta 25, and 3 belong to no workspace."""
    meter = world.meter(unit="jobs")
    price = per_unit(meter, "1", allowance=D(10), allowance_per="workspace")
    world.subscribe(
        world.customer(workspaces=("alpha", "beta")), world.plan(prices=(price,)),
        starts_at=at(2025, 1, 1),
    )  # fmt: skip
    for subject, times in [("alpha", 4), ("beta", 25), ("acme", 3)]:
        world.use(subject, time=at(2025, 1, 5), times=times)
    world.close(now=at(2025, 2, 4))
    line = world.statements()[0].lines.get()
    assert (line.usage_quantity, line.quantity, line.amount) == (32, 15, 15)
    assert line.explanation["workspaces"] == [["", "3"], ["alpha", "4"], ["beta", "25"]]
    refuse_differences()


def test_a_service_class_has_a_line_and_the_events_behind_it(world: World) -> None:
    """And an agreed price is multiplied by the classes of the version, too."""
    meter = world.meter(unit="jobs", dimensions=["model", "queue"])
    grants = GrantRows(
        service_classes=[
            ServiceClass(position=0, key="standard", name="Standard"),
            ServiceClass(position=1, key="express", name="Express", multiplier=D("1.5")),
        ]
    )
    price = per_unit(meter, "2", class_dimension="queue")
    plan = world.plan(prices=(price,), grants=grants)
    customer = world.customer()
    world.subscribe(customer, plan, starts_at=at(2025, 1, 1))
    content = {
        "key": "jobs", "name": "Jobs", "model": "per_unit", "meter": "jobs", "amount": "1",
        "class_dimension": "queue",
    }  # fmt: skip
    world.agree(customer, plan, content, start=at(2025, 2, 1))
    for month in (1, 2):
        for model, queue in [("a", "express"), ("b", "express"), ("a", "standard")]:
            world.use("acme", time=at(2025, month, 5), times=4, model=model, queue=queue)
    world.close(now=at(2025, 3, 4))
    assert months(world) == [
        [("Jobs, Standard", D(8)), ("Jobs, Express", D(24))],
        [("Jobs, Standard", D(4)), ("Jobs, Express", D(12))],
    ]
    express = world.statements()[0].lines.get(line_key="express")
    assert express.explanation["cells"] == [["a", "express"], ["b", "express"]]
    refuse_differences()


def test_usage_beyond_a_hard_cap_parks_the_customer(world: World) -> None:
    meter = world.meter(unit="jobs")
    price = per_unit(meter, "1", allowance=D(5), overage="refuse")
    world.subscribe(world.customer(), world.plan(prices=(price,)), starts_at=at(2025, 1, 1))
    world.use("acme", time=at(2025, 1, 5), times=5)
    world.close(now=at(2025, 2, 4))
    world.use("acme", time=at(2025, 2, 5), times=6)
    world.close(now=at(2025, 3, 4))
    january, february = world.statements()
    assert (january.status, january.total) == ("finalised", 0)
    assert (february.status, february.parked_code) == ("due", "beyond_allowance")


def test_what_changes_after_a_statement_was_finalised_does_not_change_it(world: World) -> None:
    """A pin and an agreed price for a billed month bill late usage of it on its own terms."""
    meter = world.meter(unit="jobs")
    plan = world.plan(prices=(per_unit(meter, "1"),))
    old = plan.versions.get()
    customer = world.customer()
    world.subscribe(customer, plan, starts_at=at(2025, 1, 1))
    world.version(plan, prices=(per_unit(meter, "3"),), effective_from=at(2025, 1, 1))
    world.use("acme", time=at(2025, 1, 5), times=10)
    world.close(now=at(2025, 2, 4))
    (january,) = world.statements()
    before = [*Statement.objects.filter(pk=january.pk).values_list(), *january.lines.values_list()]

    content = {"key": "jobs", "name": "Jobs", "model": "per_unit", "meter": "jobs", "amount": "7"}
    world.agree(customer, plan, content, start=at(2025, 1, 1), end=at(2025, 2, 1))
    world.pin(customer, old, start=at(2025, 1, 1), end=at(2025, 3, 1))
    world.use("acme", time=at(2025, 1, 6), times=2, now=at(2025, 2, 5))
    world.use("acme", time=at(2025, 2, 6), times=1)
    world.close(now=at(2025, 3, 4))
    assert months(world) == [[("Jobs", D(30))], [("Jobs", D(1)), ("Jobs", D(6))]]
    now = [*Statement.objects.filter(pk=january.pk).values_list(), *january.lines.values_list()]
    assert now == before
    refuse_differences()


def test_verify_finds_an_agreed_price_that_was_changed_behind_the_databases_back(
    world: World,
) -> None:
    customer, meter = world.customer(), world.meter(unit="jobs")
    plan = world.plan(prices=(per_unit(meter, "1"),))
    world.subscribe(customer, plan, starts_at=at(2025, 1, 1))
    content = {"key": "jobs", "name": "Jobs", "model": "per_unit", "meter": "jobs", "amount": "7"}
    world.agree(customer, plan, content, start=at(2025, 1, 1))
    world.use("acme", time=at(2025, 1, 5))
    world.close(now=at(2025, 2, 4))
    refuse_differences()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE plans_priceoverride DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE plans_priceoverride SET content = content || %s", ['{"amount": "6"}']
        )
        cursor.execute("ALTER TABLE plans_priceoverride ENABLE TRIGGER USER")
    found = {each.what for each in verify_statements() if isinstance(each, Difference)}
    assert "the terms of plan version 1 are not those it was billed on" in found
    assert "its total is 7.0000, built again it is 6.00" in found


def test_queries_do_not_grow_with_customers_pins_phases_seats_and_agreed_prices(
    world: World,
) -> None:
    meter = world.meter(unit="jobs")
    prices = (FEE, per_unit(meter, "1"), seats(world))
    plan = world.plan(prices=prices, grants=phased())
    old = plan.versions.get()
    world.version(plan, prices=prices, effective_from=at(2025, 1, 11))
    content = {"key": "jobs", "name": "Jobs", "model": "per_unit", "meter": "jobs", "amount": "7"}
    counts = []
    for customers in (2, 12):
        keys = [f"c{customers}-{number}" for number in range(customers)]
        for key in keys:
            customer = world.customer(key)
            world.subscribe(customer, plan, starts_at=at(2025, 1, 1))
            world.agree(customer, plan, content, start=at(2025, 1, 12))
            world.pin(customer, old, start=at(2025, 1, 11), end=at(2025, 1, 21))
            world.use(key, time=at(2025, 1, 5), times=2)
            world.use(key, "seats", time=at(2025, 1, 5), n=4)
        ids = list(Customer.objects.filter(key__in=keys).values_list("id", flat=True))
        with CaptureQueriesContext(connection) as queries:
            world.close(now=at(2025, 2, 4), customer_ids=ids)
        counts.append(len(queries))
    few, many = counts
    assert many <= few
    totals = set(Statement.objects.values_list("total", "line_count"))
    assert len(totals) == 1
    refuse_differences()


def test_the_running_period_shows_seats_as_seats(world: World) -> None:
    plan = world.plan(prices=(seats(world),))
    customer = world.customer(workspaces=("alpha",))
    world.subscribe(customer, plan, starts_at=at(2025, 4, 1))
    Meter.objects.filter(key="seats").update(name="Seats")
    world.use("acme", "seats", time=at(2025, 4, 1, 8), n=12)
    world.use("alpha", "seats", time=at(2025, 4, 3, 8), n=2)
    usage = current_usage(customer=customer, now=at(2025, 4, 4, 12))
    (breakdown,) = usage.meters
    assert (str(breakdown.quantity), breakdown.shares) == ("14 seats", ())
    assert [day.quantity.number for day in breakdown.days] == ["12", "12", "14", "14"]
    assert str(usage.total) == "$416.00"
    first, second = usage.charges
    assert not first.shows_quantity
    assert not second.shows_quantity
    assert second.words == "2 seats from day 3, 28 of 30 days: 2 at 30 for 28 of 30 days = 56.00"
    assert [(part.quantity.number, part.rate) for part in second.parts] == [
        ("56", "$30.00 per 30 days")
    ]


def test_a_version_that_is_tried_leaves_pins_and_agreed_prices_of_its_own_plan(
    world: World,
) -> None:
    """But one of another plan is tried without what belongs to the plan that would be left."""
    meter = world.meter(unit="jobs")
    plan = world.plan(prices=(FEE, per_unit(meter, "1")))
    old = plan.versions.get()
    dearer = world.version(
        plan,
        prices=({**FEE, "amount": D(300)}, per_unit(meter, "3")),
        effective_from=at(2025, 4, 1),
    )
    other = world.plan("other", prices=({**FEE, "amount": D(7)}, per_unit(meter, "5")))
    content = {"key": "jobs", "name": "Jobs", "model": "per_unit", "meter": "jobs", "amount": "2"}
    pinned, agreeing = world.customer("pinned"), world.customer("agreeing")
    for customer in (pinned, agreeing):
        world.subscribe(customer, plan, starts_at=at(2025, 1, 1))
        world.use(customer.key, time=at(2025, 1, 5), times=10)
    world.pin(pinned, old, start=at(2025, 1, 1), end=None)
    world.agree(agreeing, plan, content, start=at(2025, 1, 1))

    def tried(version) -> list[D]:
        periods = [
            Period(number, each.id, each.key, "USD", "UTC", at(2025, 1, 1), at(2025, 2, 1))
            for number, each in enumerate((pinned, agreeing))
        ]
        instead = Substitution(plan_id=plan.id, version_id=version.id, periods={0, 1})
        loaded = load_facts(periods, instead=instead)
        book = TermsBook(loaded.terms, loaded.agreed)
        return [
            build(loaded.facts[ref], terms=book.terms, agreed=book.agreed).total for ref in (0, 1)
        ]

    assert tried(dearer) == [D(110), D(320)]
    assert tried(other.versions.get()) == [D(57), D(57)]
