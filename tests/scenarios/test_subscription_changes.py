"""Dated scenarios: plans are changed, cancelled and resumed; previews say what statements then say.

Starter costs 31.00 a month and 0.10 a job; Scale 310.00, 0.05 a job, and 50.00 once.
"""

from datetime import datetime, timedelta
from decimal import Decimal as D

import pytest
from django.apps import apps

from billing.statements.verify import Difference, verify_statements
from billing.subscription_preview import (
    MoneyPreview,
    PeriodFinalised,
    preview_change,
    refuse_finalised,
)
from plans.models import Meter, Phase, Price, Subscription
from plans.operations.overrides import agree_price, end_agreed_price
from plans.operations.publishing import publish_version
from plans.operations.subscription_changes import (
    SubscriptionOver,
    cancel_subscription,
    change_plan,
    resume_subscription,
    withdraw_subscription,
)
from plans.operations.subscriptions import subscribe
from plans.operations.versions import add_grants, add_price, create_plan, start_version
from plans.queries import period_of
from plans.terms import GrantRows
from tests.fixtures.world import EVER, World, at

STARTER = {"key": "platform", "name": "Starter fee", "model": "flat", "amount": D(31)}
SCALE = {"key": "platform", "name": "Scale fee", "model": "flat", "amount": D(310)}
SETUP = {"key": "setup", "name": "Setup", "model": "flat", "amount": D(50), "once": True}
NEW_YEAR, FEBRUARY, MARCH, APRIL = (at(2025, month, 1) for month in (1, 2, 3, 4))


class Plans:
    """Starter and Scale, and Acme who is on Starter since 8 January 2025."""

    def __init__(self, world: World, **customer) -> None:
        meter = world.meter()
        jobs = {"key": "jobs", "name": "Jobs", "model": "per_unit", "meter": meter}
        self.starter = world.plan("starter", prices=(STARTER, {**jobs, "amount": D("0.10")}))
        self.scale = world.plan("scale", prices=(SCALE, SETUP, {**jobs, "amount": D("0.05")}))
        self.acme = world.customer(**customer)
        self.subscription = subscribe(
            customer=self.acme, plan=self.starter, starts_at=at(2025, 1, 8), now=at(2025, 1, 8)
        )

    def preview(self, act, *, at: datetime, now: datetime) -> MoneyPreview:
        """Preview, and see that nothing is written."""
        before = everything()
        found = preview_change(customer=self.acme, anchor_date=None, act=act, at=at, now=now)
        assert everything() == before
        return found


def everything():
    """All rows of plans and billing."""
    return {
        model.__name__: sorted(map(str, model.objects.values_list()))
        for app in ("plans", "billing")
        for model in apps.get_app_config(app).get_models()
    }


def amounts(side):
    return [(line.description, line.amount.amount) for line in side.lines]


def held():
    rows = Subscription.objects.order_by("starts_at")
    return [(row.plan.key, row.starts_at, row.ends_at) for row in rows.select_related("plan")]


def billed(world: World, *, until: datetime):
    """Close all months before a time, and return description and amount of each month's lines."""
    world.close(now=until + timedelta(days=3))
    assert not [found for found in verify_statements() if isinstance(found, Difference)]
    return [
        [(name, amount) for name, _, amount in world.lines(statement)]
        for statement in world.statements()
    ]


def test_8_january_subscribe_31_january_upgrade_now_1_february_statement(world: World) -> None:
    """Noon of 31 January: 23.5 days of Starter, half a day of Scale, and its setup fee."""
    plans = Plans(world)
    world.use("acme", time=at(2025, 1, 10), times=40)
    noon = at(2025, 1, 31, 12)

    def upgrade():
        return change_plan(subscription=plans.subscription, to_plan=plans.scale, at=noon, now=noon)

    preview = plans.preview(upgrade, at=noon, now=noon)
    january, february = preview.periods
    assert (preview.running, preview.full) == (january, february)
    assert amounts(january.before) == [("Starter fee", D(24)), ("Jobs", D(4))]
    assert amounts(january.after) == [
        ("Starter fee", D("23.50")),
        ("Jobs", D(4)),
        ("Scale fee", D(5)),
        ("Setup", D(50)),
    ]
    assert january.difference_words == "$54.50 more"
    assert amounts(february.before) == [("Starter fee", D(31))]
    assert amounts(february.after) == [("Scale fee", D(310))]
    assert february.difference_words == "$279.00 more"

    upgrade()
    assert held() == [("starter", at(2025, 1, 8), noon), ("scale", noon, None)]
    follow_up = Subscription.objects.get(plan=plans.scale)
    assert follow_up.phases_from == at(2025, 1, 8)
    assert billed(world, until=FEBRUARY) == [amounts(january.after)]
    assert world.statements()[0].total == january.after.total.amount == D("82.50")
    world.use("acme", time=at(2025, 2, 10), times=10)
    assert billed(world, until=MARCH)[1] == [("Scale fee", D(310)), ("Jobs", D("0.50"))]


def test_an_upgrade_can_waive_the_setup_fee(world: World) -> None:
    plans = Plans(world)
    now = at(2025, 1, 31)
    change_plan(
        subscription=plans.subscription, to_plan=plans.scale, at=now, setup_waived=True, now=now
    )
    assert Subscription.objects.get(plan=plans.scale).setup_waived


def test_a_downgrade_at_the_periods_end_is_billed_from_the_next_month_on(world: World) -> None:
    plans = Plans(world)
    now = at(2025, 1, 20, 9)
    change_plan(subscription=plans.subscription, to_plan=plans.scale, at=now, now=now)
    scale = Subscription.objects.get(plan=plans.scale)
    end = period_of(subscription=scale, at=at(2025, 2, 10)).end
    assert end == MARCH

    def downgrade():
        change_plan(subscription=scale, to_plan=plans.starter, at=end, now=at(2025, 2, 10))

    preview = plans.preview(downgrade, at=end, now=at(2025, 2, 10))
    february, march, april = preview.periods
    assert preview.full == april
    assert february.difference_words == "the same"
    assert amounts(march.before) == [("Scale fee", D(310))]
    assert amounts(march.after) == [("Starter fee", D(31))]
    assert march.difference_words == "$279.00 less"
    downgrade()
    assert billed(world, until=APRIL)[1:] == [amounts(february.after), amounts(march.after)]


def test_cancelled_at_the_periods_end_and_resumed_before_it(world: World) -> None:
    plans = Plans(world)
    now = at(2025, 2, 10)

    def cancel():
        cancel_subscription(subscription=plans.subscription, at=MARCH, now=now)

    _, march, _ = plans.preview(cancel, at=MARCH, now=now).periods
    assert (amounts(march.before), amounts(march.after)) == ([("Starter fee", D(31))], [])
    cancel()
    assert held() == [("starter", at(2025, 1, 8), MARCH)]

    later = at(2025, 2, 20)

    def resume():
        resume_subscription(subscription=plans.subscription, at=later, now=later)

    february, march = plans.preview(resume, at=later, now=later).periods
    assert (february.difference_words, march.difference_words) == ("the same", "$31.00 more")
    resume()
    assert held() == [("starter", at(2025, 1, 8), None)]
    assert billed(world, until=APRIL)[1:] == [amounts(february.after), amounts(march.after)]


def test_cancelled_now_bills_the_days_until_then(world: World) -> None:
    """11 February 06:00 of 28 days: 10.25 days, 31.00 * 10.25 / 28 = 11.348…"""
    plans = Plans(world)
    world.use("acme", time=at(2025, 2, 11, 5), times=7)
    now = at(2025, 2, 11, 6)

    def cancel():
        cancel_subscription(subscription=plans.subscription, at=now, now=now)

    preview = plans.preview(cancel, at=now, now=now)
    assert amounts(preview.running.after) == [("Starter fee", D("11.35")), ("Jobs", D("0.70"))]
    assert preview.running.difference_words == "$19.65 less"
    assert amounts(preview.full.after) == []
    cancel()
    assert billed(world, until=MARCH)[1] == amounts(preview.running.after)
    assert len(world.statements()) == 2


def test_a_change_at_a_date_is_taken_back(world: World) -> None:
    plans = Plans(world)
    now, date = at(2025, 1, 20), at(2025, 3, 16)

    def change():
        change_plan(subscription=plans.subscription, to_plan=plans.scale, at=date, now=now)

    preview = plans.preview(change, at=date, now=now)
    assert [period.title for period in preview.periods] == [
        "This period", "The next period", "A full period from then on",
    ]  # fmt: skip
    assert [period.difference_words for period in preview.periods] == [
        "the same", "the same", "$279.00 more",
    ]  # fmt: skip
    assert preview.full.span.start == APRIL
    change()
    assert held() == [("starter", at(2025, 1, 8), date), ("scale", date, None)]

    def take_back():
        resume_subscription(subscription=plans.subscription, at=now, now=now)

    plans.preview(take_back, at=now, now=now)
    take_back()
    assert held() == [("starter", at(2025, 1, 8), None)]
    assert billed(world, until=APRIL)[2] == [("Starter fee", D(31))]


def test_a_change_that_is_not_taken_back_shares_the_month(world: World) -> None:
    """16 March: 15 days of 31 of Starter, 16 of Scale."""
    plans = Plans(world)
    now, date = at(2025, 3, 3), at(2025, 3, 16)

    def change():
        change_plan(subscription=plans.subscription, to_plan=plans.scale, at=date, now=now)

    preview = plans.preview(change, at=date, now=now)
    assert amounts(preview.running.after) == [
        ("Starter fee", D(15)), ("Scale fee", D(160)), ("Setup", D(50)),
    ]  # fmt: skip
    change()
    assert billed(world, until=APRIL)[2] == amounts(preview.running.after)


def test_resumed_after_the_end_from_now_on(world: World) -> None:
    """No second setup fee; Starter holds from 9 March on: 23 days of 31."""
    plans = Plans(world)
    cancel_subscription(subscription=plans.subscription, at=FEBRUARY, now=at(2025, 1, 20))
    now = at(2025, 3, 9)

    def resume():
        return resume_subscription(subscription=plans.subscription, at=now, now=now)

    preview = plans.preview(resume, at=now, now=now)
    assert amounts(preview.running.before) == []
    assert amounts(preview.running.after) == [("Starter fee", D(23))]
    assert preview.full.difference_words == "$31.00 more"
    again = resume()
    assert (again.setup_waived, again.phases_from) == (True, at(2025, 1, 8))
    assert held() == [("starter", at(2025, 1, 8), FEBRUARY), ("starter", now, None)]
    january, march = billed(world, until=APRIL)
    assert (january, march) == ([("Starter fee", D(24))], amounts(preview.running.after))


def test_resumed_in_the_same_period_shows_only_what_is_added(world: World) -> None:
    plans = Plans(world)
    cancel_subscription(subscription=plans.subscription, at=at(2025, 1, 18), now=at(2025, 1, 18))
    now = at(2025, 1, 22)

    def resume():
        resume_subscription(subscription=plans.subscription, at=now, now=now)

    running = plans.preview(resume, at=now, now=now).running
    assert amounts(running.before) == [("Starter fee", D(10))]
    assert amounts(running.after) == [("Starter fee", D(10)), ("Starter fee", D(10))]
    assert [line.span for line in running.after.lines] == [
        "8 to 17 January 2025", "22 to 31 January 2025",
    ]  # fmt: skip
    assert running.difference_words == "$10.00 more"
    resume()
    assert billed(world, until=FEBRUARY) == [amounts(running.after)]


def test_a_scheduled_start_is_withdrawn(world: World) -> None:
    plans = Plans(world)
    cancel_subscription(subscription=plans.subscription, at=FEBRUARY, now=at(2025, 1, 20))
    later = subscribe(customer=plans.acme, plan=plans.scale, starts_at=MARCH, now=at(2025, 1, 20))
    withdraw_subscription(subscription=later, now=at(2025, 2, 1))
    assert held() == [("starter", at(2025, 1, 8), FEBRUARY)]


def test_a_start_in_the_past_shows_every_period_that_becomes_due(world: World) -> None:
    plans = Plans(world)
    Subscription.objects.all().delete()
    now = at(2025, 3, 10)

    def start():
        subscribe(customer=plans.acme, plan=plans.scale, starts_at=at(2025, 1, 17), now=now)

    preview = plans.preview(start, at=at(2025, 1, 17), now=now)
    assert [(str(each.span), each.after.total.amount) for each in preview.periods] == [
        ("January 2025", D(200)),
        ("February 2025", D(310)),
        ("March 2025", D(310)),
        ("April 2025", D(310)),
    ]
    start()
    assert [sum(amount for _, amount in month) for month in billed(world, until=APRIL)] == [
        D(200), D(310), D(310),
    ]  # fmt: skip


def test_a_start_that_a_finalised_statement_covers_is_refused(world: World) -> None:
    plans = Plans(world)
    cancel_subscription(subscription=plans.subscription, at=at(2025, 1, 18), now=at(2025, 1, 18))
    billed(world, until=FEBRUARY)
    with pytest.raises(PeriodFinalised) as refusal:
        refuse_finalised(customer=plans.acme, at=at(2025, 1, 20))
    assert refusal.value.message == (
        "Finalised statements cover the time until 1 February 2025, 00:00 (UTC). Choose a start "
        "from then on."
    )
    refuse_finalised(customer=plans.acme, at=FEBRUARY)


def test_a_new_anchor_shows_only_its_own_periods(world: World) -> None:
    """Starter by calendar month until 20 January; Scale from then on, from the 15th of months."""
    plans = Plans(world)
    cut, now = at(2025, 1, 20), at(2025, 1, 12)
    cancel_subscription(subscription=plans.subscription, at=cut, now=now)

    def start():
        subscribe(
            customer=plans.acme, plan=plans.scale, starts_at=cut,
            anchor_date=at(2025, 1, 15).date(), now=now,
        )  # fmt: skip

    preview = preview_change(
        customer=plans.acme, anchor_date=at(2025, 1, 15).date(), act=start, at=cut, now=now
    )
    _, first, second = preview.periods
    assert amounts(first.after) == [("Scale fee", D(260)), ("Setup", D(50))]
    assert amounts(second.after) == [("Scale fee", D(310))]
    start()
    statements = billed(world, until=at(2025, 2, 15))
    assert statements == [[("Starter fee", D(12))], amounts(first.after)]


def test_days_are_those_of_the_customers_zone(world: World) -> None:
    """In Auckland 16 March begins at 11:00 UTC on the 15th."""
    plans = Plans(world, time_zone="Pacific/Auckland")
    assert period_of(subscription=plans.subscription, at=at(2025, 3, 1)).end == at(2025, 3, 31, 11)
    now, local_midnight = at(2025, 3, 3), at(2025, 3, 15, 11)

    def change():
        change_plan(
            subscription=plans.subscription, to_plan=plans.scale, at=local_midnight, now=now
        )

    preview = plans.preview(change, at=local_midnight, now=now)
    assert amounts(preview.running.after)[:2] == [("Starter fee", D(15)), ("Scale fee", D(160))]


def test_what_cannot_be_priced_is_said_and_not_hidden(world: World) -> None:
    plans = Plans(world)
    plans.scale.versions.update(effective_until=MARCH)
    now = at(2025, 2, 10)

    def change():
        Subscription.objects.update(plan=plans.scale)

    preview = plans.preview(change, at=now, now=now)
    assert preview.full.difference is None
    assert preview.full.difference_words == "cannot be priced"
    assert preview.full.after.problem.startswith("No published version of the plan is in force")


def test_a_refusal_in_a_preview_is_the_operations_own(world: World) -> None:
    plans = Plans(world)
    now = at(2025, 1, 20)
    cancel_subscription(subscription=plans.subscription, at=now, now=now)
    before = everything()

    def change():
        change_plan(subscription=plans.subscription, to_plan=plans.scale, at=now, now=now)

    with pytest.raises(SubscriptionOver):
        preview_change(customer=plans.acme, anchor_date=None, act=change, at=now, now=now)
    assert everything() == before


def test_an_agreed_price_is_on_the_statement_through_a_new_version_until_it_ends(
    world: World,
) -> None:
    """20 January: Starter's jobs at 0.06 from February on, until April; a new version in March."""
    plans = Plans(world)
    agreed = agree_price(
        customer=plans.acme, plan=plans.starter, starts_at=FEBRUARY, by=None,
        content={"key": "jobs", "name": "Jobs", "model": "per_unit", "meter": "jobs",
                 "amount": "0.06"},
        reason="A long contract.", now=at(2025, 1, 20),
    )  # fmt: skip
    dearer = {
        "key": "jobs", "name": "Jobs", "model": "per_unit", "meter": Meter.objects.get(),
        "amount": D("0.20"),
    }  # fmt: skip
    world.version(plans.starter, prices=(STARTER, dearer), effective_from=MARCH)
    for month in (1, 2, 3, 4):
        world.use("acme", time=at(2025, month, 10), times=10)
    end_agreed_price(agreed=agreed, ends_at=APRIL, now=at(2025, 3, 20))
    months = billed(world, until=at(2025, 5, 1))
    assert [dict(month)["Jobs"] for month in months] == [D(1), D("0.60"), D("0.60"), D(2)]


def test_a_preview_knows_what_was_agreed(world: World) -> None:
    plans = Plans(world)
    agree_price(
        customer=plans.acme, plan=plans.scale, starts_at=FEBRUARY, by=None,
        content={"key": "platform", "name": "Scale fee", "model": "flat", "amount": "200"},
        reason="To win them over.", now=at(2025, 1, 20),
    )  # fmt: skip

    def change():
        change_plan(
            subscription=plans.subscription, to_plan=plans.scale, at=FEBRUARY, now=at(2025, 1, 20)
        )

    preview = plans.preview(change, at=FEBRUARY, now=at(2025, 1, 20))
    _, february, march = preview.periods
    assert amounts(february.after) == [("Scale fee", D(200)), ("Setup", D(50))]
    assert amounts(march.after) == [("Scale fee", D(200))]
    change()
    assert billed(world, until=APRIL)[1:] == [amounts(february.after), amounts(march.after)]


def test_a_change_begins_no_second_trial_and_a_waived_setup_is_not_billed(world: World) -> None:
    """Both plans are free for 14 days; Acme began on 8 January, so its trial ends on the 22nd."""
    starter = trial_plan("starter", STARTER)
    scale = trial_plan("scale", SCALE, SETUP)
    acme = world.customer()
    subscription = subscribe(
        customer=acme, plan=starter, starts_at=at(2025, 1, 8), now=at(2025, 1, 8)
    )
    now = at(2025, 1, 26)

    def change(**said):
        change_plan(subscription=subscription, to_plan=scale, at=now, now=now, **said)

    def running(**said):
        return preview_change(
            customer=acme, anchor_date=None, act=lambda: change(**said), at=now, now=now
        ).running.after

    free, steady = ("Starter fee", D(0)), ("Starter fee", D(4))
    assert amounts(running(phases_begin_anew=True, setup_waived=True)) == [
        free, steady, ("Scale fee", D(0)),
    ]  # fmt: skip
    assert ("Setup", D(50)) in amounts(running())
    after = running(setup_waived=True)
    assert amounts(after) == [free, steady, ("Scale fee", D(60))]
    change(setup_waived=True)
    assert billed(world, until=FEBRUARY) == [amounts(after)]


def trial_plan(key, *prices):
    plan = create_plan(key=key, name=key.title())
    version = start_version(plan=plan, currency="USD")
    for said in prices:
        add_price(version=version, price=Price(**said))
    trial = Phase(key="trial", name="Trial", days=14, discount_percent=100)
    add_grants(
        version=version, grants=GrantRows(phases=[trial, Phase(key="steady", name="Steady")])
    )
    publish_version(version=version, effective_from=EVER, by=None, now=EVER)
    return plan
