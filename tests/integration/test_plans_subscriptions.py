from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import DatabaseError, transaction

from plans.models import Customer, Subscription
from plans.operations.customers import CustomerRow, create_customers
from plans.operations.publishing import retire_version
from plans.operations.subscriptions import (
    AlreadySubscribed,
    CurrencyMismatch,
    NoVersionInForce,
    SubscriptionDateRefused,
    end_subscription,
    subscribe,
    subscribe_many,
)
from plans.operations.versions import create_plan
from plans.queries import subscriptions_in
from tests.integration.plans_fixtures import (
    APRIL,
    MARCH,
    MAY,
    NEW_YEAR,
    customer,
    draft,
    everything,
    plan_in_force,
    subscribed,
)
from tests.integration.test_plans_versions import refused

pytestmark = pytest.mark.django_db


def test_a_customer_moves_from_one_plan_to_the_next(django_assert_num_queries):
    acme, starter, scale = customer(), plan_in_force(), plan_in_force("scale")
    first = subscribed(acme, starter, starts_at=MARCH)
    end_subscription(subscription=first, ends_at=APRIL, now=MARCH)
    second = subscribed(acme, scale, starts_at=APRIL, anchor_date=date(2026, 4, 15))
    with django_assert_num_queries(1):
        rows = subscriptions_in(customer_ids=[acme.id], start=NEW_YEAR, end=MAY)
    assert [(row.subscription_id, row.plan_id, row.starts_at, row.ends_at) for row in rows] == [
        (first.id, starter.id, MARCH, APRIL),
        (second.id, scale.id, APRIL, None),
    ]
    assert rows[1].anchor_date == date(2026, 4, 15)
    in_march = subscriptions_in(customer_ids=[acme.id], start=MARCH, end=APRIL)
    assert [row.subscription_id for row in in_march] == [first.id]


def test_one_subscription_at_a_time():
    acme, starter = customer(), plan_in_force()
    subscribed(acme, starter, starts_at=MARCH, ends_at=MAY)
    for starts_at, ends_at in ((APRIL, None), (NEW_YEAR, APRIL), (NEW_YEAR, None)):
        error = refused(
            AlreadySubscribed, subscribe,
            customer=acme, plan=starter, starts_at=starts_at, ends_at=ends_at, now=MARCH,
        )  # fmt: skip
        assert error.message == (
            "“Acme” has another subscription at that time. End that one first."
        )
    subscribed(acme, starter, starts_at=MAY)
    subscribed(acme, starter, starts_at=NEW_YEAR, ends_at=MARCH)
    with pytest.raises(DatabaseError, match="one_subscription_at_a_time"), transaction.atomic():
        Subscription.objects.create(customer=acme, plan=starter, starts_at=APRIL)


def test_the_plan_bills_in_the_customers_currency():
    acme, starter = customer(currency="EUR"), plan_in_force()
    error = refused(
        CurrencyMismatch, subscribe, customer=acme, plan=starter, starts_at=MARCH, now=MARCH
    )
    assert error.code == "currency_mismatch"
    assert error.message == (
        "The plan “Starter” bills in USD, but not everyone here: “acme” in EUR."
    )


def test_a_plan_without_a_price_at_that_time_takes_no_customer():
    acme, plan = customer(), create_plan(key="a", name="A")
    draft(plan)
    refused(NoVersionInForce, subscribe, customer=acme, plan=plan, starts_at=MARCH, now=MARCH)
    scale = plan_in_force("scale", effective_from=APRIL)
    error = refused(
        NoVersionInForce, subscribe, customer=acme, plan=scale, starts_at=MARCH, now=MARCH
    )
    assert error.message == (
        "The plan “Scale” has no version in force on 01 March 2026 00:00 UTC. "
        "Publish one from then on, or choose other dates."
    )
    retire_version(version=scale.versions.get(), at=MAY, now=MARCH)
    refused(NoVersionInForce, subscribe, customer=acme, plan=scale, starts_at=APRIL, now=MARCH)
    subscribed(acme, scale, starts_at=APRIL, ends_at=MAY)


def test_dates_that_cannot_be():
    acme, starter = customer(), plan_in_force(effective_from=datetime(2020, 1, 1, tzinfo=UTC))
    refused(
        SubscriptionDateRefused, subscribe,
        customer=acme, plan=starter, starts_at=MARCH, ends_at=MARCH, now=MARCH,
    )  # fmt: skip
    error = refused(
        SubscriptionDateRefused, subscribe,
        customer=acme, plan=starter, starts_at=datetime(2021, 1, 1, tzinfo=UTC), now=MARCH,
    )  # fmt: skip
    assert error.message.startswith("A subscription cannot start more than three years back")


def test_an_end_is_never_in_the_past():
    subscription = subscribed(customer(), plan_in_force(), starts_at=MARCH)
    error = refused(
        SubscriptionDateRefused, end_subscription,
        subscription=subscription, ends_at=APRIL, now=APRIL + timedelta(seconds=1),
    )  # fmt: skip
    assert error.field == "ends_at"
    end_subscription(subscription=subscription, ends_at=MAY, now=APRIL)
    end_subscription(subscription=subscription, ends_at=APRIL, now=APRIL)
    refused(
        SubscriptionDateRefused, end_subscription,
        subscription=subscription, ends_at=MAY, now=APRIL,
    )  # fmt: skip


def test_many_are_subscribed_in_a_few_queries(django_assert_max_num_queries):
    starter = plan_in_force()
    rows = [CustomerRow(f"c{number}", f"Customer {number}") for number in range(1000)]
    ids = create_customers(rows=rows)
    early = Customer.objects.get(key="c0")
    subscribed(early, starter, starts_at=APRIL)
    with django_assert_max_num_queries(7):
        done = subscribe_many(customer_ids=ids.values(), plan=starter, starts_at=MARCH)
    assert done == set(ids.values()) - {early.id}
    assert Subscription.objects.count() == 1000
    before = everything()
    assert subscribe_many(customer_ids=ids.values(), plan=starter, starts_at=MARCH) == set()
    assert everything() == before


def test_many_in_another_currency_are_refused_together():
    starter, acme, euro = plan_in_force(), customer(), customer("euro", currency="EUR")
    error = refused(
        CurrencyMismatch, subscribe_many,
        customer_ids=[acme.id, euro.id], plan=starter, starts_at=MARCH,
    )  # fmt: skip
    assert "“euro” in EUR" in error.message


def test_currency_and_zone_are_fixed_by_the_first_subscription():
    acme = customer()
    Customer.objects.filter(pk=acme.pk).update(time_zone="Europe/Berlin")
    subscribed(acme, plan_in_force())
    before = everything()
    for change in ({"time_zone": "UTC"}, {"currency": "EUR"}):
        with pytest.raises(DatabaseError, match="are fixed by its first"), transaction.atomic():
            Customer.objects.filter(pk=acme.pk).update(**change)
    assert everything() == before
