"""What keeps a subscription from being changed, and what two people at once come to."""

import threading
from datetime import date, datetime, timedelta

import pytest
from django.db import connection

from plans.errors import OperationError
from plans.models import Subscription
from plans.operations.publishing import retire_version
from plans.operations.subscription_changes import (
    MAX_THOUGHT,
    SamePlan,
    SubscriptionBegun,
    SubscriptionEnding,
    SubscriptionGone,
    SubscriptionNotBegun,
    SubscriptionNotEnding,
    SubscriptionOver,
    cancel_subscription,
    change_plan,
    resume_subscription,
    withdraw_subscription,
)
from plans.operations.subscriptions import (
    AlreadySubscribed,
    CurrencyMismatch,
    NoVersionInForce,
    SubscriptionDateRefused,
)
from tests.integration.plans_fixtures import (
    APRIL,
    MARCH,
    MAY,
    NEW_YEAR,
    customer,
    plan_in_force,
    published,
    subscribed,
)
from tests.integration.test_plans_versions import refused

MID_MARCH = datetime(2026, 3, 16, tzinfo=MARCH.tzinfo)


@pytest.fixture
def acme(db):
    return customer()


def on_starter(acme, **said):
    return subscribed(acme, plan_in_force(), **said)


def held(who):
    rows = Subscription.objects.filter(customer=who).order_by("starts_at")
    return [(row.plan.key, row.starts_at, row.ends_at) for row in rows.select_related("plan")]


def test_a_change_keeps_anchor_and_phases_and_charges_the_setup(acme):
    subscription = on_starter(acme, anchor_date=date(2026, 3, 31))
    scale, top = plan_in_force("scale"), plan_in_force("top")
    second = change_plan(subscription=subscription, to_plan=scale, at=MID_MARCH, now=MID_MARCH)
    assert (second.anchor_date, second.phases_from, second.setup_waived) == (
        date(2026, 3, 31), MARCH, False,
    )  # fmt: skip
    third = change_plan(subscription=second, to_plan=top, at=APRIL, setup_waived=True, now=APRIL)
    assert (third.phases_from, third.setup_waived) == (MARCH, True)
    fourth = change_plan(
        subscription=third, to_plan=scale, at=MAY, phases_begin_anew=True, now=APRIL
    )
    assert fourth.phases_from is None
    assert held(acme) == [
        ("starter", MARCH, MID_MARCH), ("scale", MID_MARCH, APRIL), ("top", APRIL, MAY),
        ("scale", MAY, None),
    ]  # fmt: skip


def test_a_change_that_cannot_be_changes_nothing(acme):
    subscription, scale = on_starter(acme), plan_in_force("scale")
    euro = plan_in_force("euro", currency="EUR")
    late = plan_in_force("late", effective_from=MAY)

    def refuse(error, **said):
        given = {"to_plan": scale, "at": MID_MARCH, "now": MID_MARCH, **said}
        return refused(error, change_plan, subscription=subscription, **given)

    same = refuse(SamePlan, to_plan=subscription.plan)
    assert (same.field, same.message) == (
        "to_plan", "“Acme” is on Starter already. Choose another plan.",
    )  # fmt: skip
    assert refuse(CurrencyMismatch, to_plan=euro).field == "plan"
    refuse(NoVersionInForce, to_plan=late)
    refuse(SubscriptionDateRefused, at=MARCH, now=MARCH)
    refuse(SubscriptionDateRefused, at=MID_MARCH - MAX_THOUGHT - timedelta(seconds=1))
    refuse(SubscriptionDateRefused, at=MID_MARCH + timedelta(days=5 * 366 + 1))
    early = refuse(SubscriptionNotBegun, at=MID_MARCH, now=NEW_YEAR)
    assert early.message == (
        "The subscription to Starter begins on 01 March 2026 00:00 UTC. Withdraw it instead."
    )
    change_plan(subscription=subscription, to_plan=scale, at=MID_MARCH - MAX_THOUGHT, now=MID_MARCH)


def test_what_has_an_end_is_neither_changed_nor_cancelled_again(acme):
    subscription, scale = on_starter(acme), plan_in_force("scale")
    cancel_subscription(subscription=subscription, at=APRIL, now=MID_MARCH)
    error = refused(
        SubscriptionEnding, change_plan,
        subscription=subscription, to_plan=scale, at=MID_MARCH, now=MID_MARCH,
    )  # fmt: skip
    assert error.message == (
        "The subscription to Starter ends on 01 April 2026 00:00 UTC already. Take that back first."
    )
    refused(
        SubscriptionEnding, cancel_subscription,
        subscription=subscription, at=MID_MARCH, now=MID_MARCH,
    )  # fmt: skip
    refused(
        SubscriptionOver, cancel_subscription, subscription=subscription, at=APRIL, now=APRIL
    )  # fmt: skip


def test_what_has_no_end_is_not_resumed(acme):
    subscription = on_starter(acme)
    refused(
        SubscriptionNotEnding, resume_subscription,
        subscription=subscription, at=MID_MARCH, now=MID_MARCH,
    )  # fmt: skip


def test_resuming_never_reaches_into_the_past(acme):
    subscription = on_starter(acme)
    cancel_subscription(subscription=subscription, at=APRIL, now=MID_MARCH)
    for at in (APRIL - timedelta(minutes=1), APRIL, MAY - timedelta(minutes=16)):
        refused(
            SubscriptionDateRefused, resume_subscription, subscription=subscription, at=at, now=MAY
        )
    again = resume_subscription(subscription=subscription, at=MAY, now=MAY)
    assert (again.starts_at, again.phases_from, again.setup_waived) == (MAY, MARCH, True)


def test_a_customer_who_went_to_another_plan_is_not_resumed_beside_it(acme):
    subscription, scale = on_starter(acme), plan_in_force("scale")
    change_plan(subscription=subscription, to_plan=scale, at=MID_MARCH, now=MID_MARCH)
    refused(AlreadySubscribed, resume_subscription, subscription=subscription, at=APRIL, now=APRIL)


def test_a_later_subscription_is_taken_back_first(acme):
    subscription, scale = on_starter(acme), plan_in_force("scale")
    cancel_subscription(subscription=subscription, at=APRIL, now=MID_MARCH)
    later = subscribed(acme, scale, starts_at=MAY)
    error = refused(
        AlreadySubscribed, resume_subscription,
        subscription=subscription, at=MID_MARCH, now=MID_MARCH,
    )  # fmt: skip
    assert error.message.endswith("begins later. Take that one back first.")
    withdraw_subscription(subscription=later, now=MID_MARCH)
    resume_subscription(subscription=subscription, at=MID_MARCH, now=MID_MARCH)
    assert held(acme) == [("starter", MARCH, None)]


def test_a_chain_of_changes_is_taken_back_from_its_end(acme):
    starter, scale, top = on_starter(acme), plan_in_force("scale"), plan_in_force("top")
    second = change_plan(subscription=starter, to_plan=scale, at=APRIL, now=MID_MARCH)
    refused(
        SubscriptionNotBegun, change_plan,
        subscription=second, to_plan=top, at=MAY, now=MID_MARCH,
    )  # fmt: skip
    refused(SubscriptionBegun, withdraw_subscription, subscription=second, now=APRIL)


def test_nobody_is_resumed_onto_a_plan_that_is_no_longer_sold(acme):
    starter = plan_in_force()
    subscription = subscribed(acme, starter)
    cancel_subscription(subscription=subscription, at=APRIL, now=MID_MARCH)
    retire_version(version=starter.versions.get(), at=MAY, now=MID_MARCH)
    refused(
        NoVersionInForce, resume_subscription,
        subscription=subscription, at=MID_MARCH, now=MID_MARCH,
    )  # fmt: skip
    published(starter, effective_from=MAY, now=MID_MARCH)
    resume_subscription(subscription=subscription, at=MID_MARCH, now=MID_MARCH)


# Two people at once ---------------------------------------------------------------------------


def at_once(*works):
    """Run all at the same moment on connections of their own; return the refusals by place."""
    ready = threading.Barrier(len(works))
    refusals = {}

    def run(place, work):
        try:
            ready.wait(timeout=30)
            work()
        except OperationError as refusal:
            refusals[place] = refusal
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return refusals


@pytest.mark.django_db(transaction=True)
def test_of_many_changes_at_once_one_is_done_and_the_others_are_told(transactional_db):
    who = customer()
    subscription = on_starter(who)
    plans = [plan_in_force(f"plan{number}") for number in range(4)]
    refusals = at_once(
        *(
            lambda plan=plan: change_plan(
                subscription=subscription, to_plan=plan, at=APRIL, now=MID_MARCH
            )
            for plan in plans
        )
    )
    assert len(refusals) == 3
    assert {refusal.code for refusal in refusals.values()} == {"subscription_ending"}
    (winner,) = set(range(4)) - refusals.keys()
    assert held(who) == [("starter", MARCH, APRIL), (f"plan{winner}", APRIL, None)]


@pytest.mark.django_db(transaction=True)
def test_of_a_change_and_a_cancellation_at_once_one_is_done(transactional_db):
    who = customer()
    subscription, scale = on_starter(who), plan_in_force("scale")
    refusals = at_once(
        lambda: change_plan(subscription=subscription, to_plan=scale, at=MID_MARCH, now=MID_MARCH),
        lambda: cancel_subscription(subscription=subscription, at=APRIL, now=MID_MARCH),
    )
    ((loser, refusal),) = refusals.items()
    assert refusal.code == ("subscription_over" if loser == 1 else "subscription_ending")
    assert held(who) == (
        [("starter", MARCH, MID_MARCH), ("scale", MID_MARCH, None)]
        if loser == 1
        else [("starter", MARCH, APRIL)]
    )


@pytest.mark.django_db(transaction=True)
def test_of_two_resumptions_after_the_end_one_is_done(transactional_db):
    who = customer()
    subscription = on_starter(who)
    cancel_subscription(subscription=subscription, at=APRIL, now=MID_MARCH)

    def resume():
        resume_subscription(subscription=subscription, at=MAY, now=MAY)

    ((_, refusal),) = at_once(resume, resume).items()
    assert refusal.code == "already_subscribed"
    assert held(who) == [("starter", MARCH, APRIL), ("starter", MAY, None)]


@pytest.mark.django_db(transaction=True)
def test_what_is_taken_back_cannot_be_withdrawn_too(transactional_db):
    who = customer()
    subscription, scale = on_starter(who), plan_in_force("scale")
    second = change_plan(subscription=subscription, to_plan=scale, at=APRIL, now=MID_MARCH)
    refusals = at_once(
        lambda: resume_subscription(subscription=subscription, at=MID_MARCH, now=MID_MARCH),
        lambda: withdraw_subscription(subscription=second, now=MID_MARCH),
    )
    assert set(refusals) <= {1}
    assert {refusal.code for refusal in refusals.values()} <= {SubscriptionGone.code}
    assert held(who) == [("starter", MARCH, None)]
    refused(SubscriptionGone, withdraw_subscription, subscription=second, now=MID_MARCH)
