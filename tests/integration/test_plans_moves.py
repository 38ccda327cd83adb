"""Who stays on a version, who moves, and when: each by the customer's own zone and anchor."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from plans.models import Customer, VersionPin
from plans.operations.pins import (
    AT_ONCE,
    Move,
    MoveDateRefused,
    NotSold,
    When,
    move_subscribers,
)
from plans.operations.publishing import publish_version
from plans.operations.subscriptions import subscribe_many
from plans.subscribers import subscribers_of
from tests.integration.plans_fixtures import (
    APRIL,
    MARCH,
    MAY,
    customer,
    draft,
    plan_in_force,
    published,
    subscribed,
)
from tests.integration.test_plans_versions import refused

pytestmark = pytest.mark.django_db

JUNE = datetime(2026, 6, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def pins():
    """Who is kept on which version, from when, until when."""
    rows = VersionPin.objects.order_by("subscription__customer__key", "starts_at")
    return list(
        rows.values_list("subscription__customer__key", "version__number", "starts_at", "ends_at")
    )


def people(plan):
    """A customer by the month in UTC, one in Tokyo, and one from the 15th in Berlin."""
    subscribed(customer("acme"), plan)
    subscribed(customer("beni", time_zone="Asia/Tokyo"), plan)
    subscribed(customer("caro", time_zone="Europe/Berlin"), plan, anchor_date=date(2026, 3, 15))


def follow(plan, move, *, at=APRIL):
    version = draft(plan)
    return publish_version(version=version, effective_from=at, by=None, now=MARCH, existing=move)


def test_all_move_at_once_unless_it_is_said_otherwise():
    plan = plan_in_force()
    people(plan)
    published(plan, effective_from=APRIL, now=MARCH)
    assert pins() == []


def test_existing_subscribers_stay_and_new_ones_do_not():
    plan = plan_in_force()
    people(plan)
    subscribed(customer("gone"), plan, ends_at=APRIL)
    subscribed(customer("later"), plan, starts_at=APRIL)
    follow(plan, Move(When.NEVER))
    assert pins() == [(key, 1, APRIL, None) for key in ("acme", "beni", "caro")]


def test_each_moves_at_the_start_of_the_next_period_of_its_own():
    plan = plan_in_force()
    people(plan)
    follow(plan, Move(When.NEXT_PERIOD))
    # A period of acme's begins just then; one of beni's began nine hours before.
    assert pins() == [
        ("beni", 1, APRIL, datetime(2026, 4, 30, 15, tzinfo=UTC)),
        ("caro", 1, APRIL, datetime(2026, 4, 14, 22, tzinfo=UTC)),
    ]


def test_all_move_on_a_day_of_their_own_zones():
    plan = plan_in_force()
    people(plan)
    follow(plan, Move(When.ON_DATE, date(2026, 5, 1)))
    assert pins() == [
        ("acme", 1, APRIL, MAY),
        ("beni", 1, APRIL, datetime(2026, 4, 30, 15, tzinfo=UTC)),
        ("caro", 1, APRIL, datetime(2026, 4, 30, 22, tzinfo=UTC)),
    ]


def test_a_day_before_the_version_takes_effect_is_refused():
    plan = plan_in_force()
    people(plan)
    version = draft(plan)
    error = refused(
        MoveDateRefused, publish_version,
        version=version, effective_from=APRIL, by=None, now=MARCH,
        existing=Move(When.ON_DATE, date(2026, 3, 31)),
    )  # fmt: skip
    assert error.field == "day"
    with pytest.raises(MoveDateRefused, match="Choose the day"):
        Move(When.ON_DATE)


def test_who_is_kept_already_stays_kept():
    plan = plan_in_force()
    people(plan)
    follow(plan, Move(When.NEVER))
    subscribed(customer("dora"), plan, starts_at=APRIL)
    follow(plan, Move(When.NEVER), at=MAY)
    assert pins() == [
        ("acme", 1, APRIL, None),
        ("beni", 1, APRIL, None),
        ("caro", 1, APRIL, None),
        ("dora", 2, MAY, None),
    ]


def test_another_currency_is_another_matter():
    plan = plan_in_force()
    published(plan, currency="EUR", now=MARCH)
    subscribed(customer("acme"), plan)
    subscribed(customer("euro", currency="EUR"), plan)
    publish_version(
        version=draft(plan, currency="EUR"), effective_from=APRIL, by=None, now=MARCH,
        existing=Move(When.NEVER),
    )  # fmt: skip
    assert pins() == [("euro", 2, APRIL, None)]


# Moving later ---------------------------------------------------------------------------------


@pytest.fixture
def kept(db):
    """Three customers who stayed on version 1 when version 2 took effect in April."""
    plan = plan_in_force()
    people(plan)
    follow(plan, Move(When.NEVER))
    return plan


def second(plan):
    return plan.versions.get(number=2)


def test_moving_ends_what_kept_them(kept):
    assert move_subscribers(version=second(kept), move=AT_ONCE, now=MAY) == 3
    assert pins() == [(key, 1, APRIL, MAY) for key in ("acme", "beni", "caro")]
    assert move_subscribers(version=second(kept), move=AT_ONCE, now=MAY) == 0


def test_moving_before_it_began_leaves_nothing(kept):
    assert move_subscribers(version=second(kept), move=AT_ONCE, now=APRIL) == 3
    assert pins() == []


def test_selected_customers_move_at_their_next_period(kept):
    some = Customer.objects.filter(key__in=["beni", "caro"]).values_list("pk", flat=True)
    moved = move_subscribers(
        version=second(kept), move=Move(When.NEXT_PERIOD), customer_ids=list(some), now=MAY
    )
    assert moved == 2
    assert pins() == [
        ("acme", 1, APRIL, None),
        ("beni", 1, APRIL, datetime(2026, 5, 31, 15, tzinfo=UTC)),
        ("caro", 1, APRIL, datetime(2026, 5, 14, 22, tzinfo=UTC)),
    ]


def test_customers_move_back_to_an_older_version(kept):
    move_subscribers(version=second(kept), move=AT_ONCE, now=MAY)
    acme = Customer.objects.get(key="acme")
    first = kept.versions.get(number=1)
    assert move_subscribers(version=first, move=AT_ONCE, customer_ids=[acme.pk], now=JUNE) == 1
    assert pins()[:2] == [("acme", 1, APRIL, MAY), ("acme", 1, JUNE, None)]
    assert move_subscribers(version=first, move=AT_ONCE, customer_ids=[acme.pk], now=JUNE) == 0


def test_customers_move_early_to_a_scheduled_version():
    plan = plan_in_force()
    subscribed(customer("acme"), plan)
    version = published(plan, effective_from=MAY, now=MARCH)
    move_subscribers(version=version, move=AT_ONCE, now=APRIL)
    assert pins() == [("acme", 2, APRIL, MAY)]


def test_a_day_that_has_begun_is_refused(kept):
    for day in (date(2026, 4, 30), date(2026, 5, 1)):
        error = refused(
            MoveDateRefused, move_subscribers,
            version=second(kept), move=Move(When.ON_DATE, day), now=MAY + SECOND,
        )  # fmt: skip
        assert error.field == "day"
    refused(MoveDateRefused, move_subscribers,
            version=second(kept), move=Move(When.NEVER), now=MAY)  # fmt: skip


def test_nobody_moves_to_a_draft(kept):
    refused(NotSold, move_subscribers, version=draft(kept), move=AT_ONCE, now=MAY)


# Four thousand --------------------------------------------------------------------------------


def test_hundreds_move_in_a_fixed_number_of_queries(kept):
    def queries(move_all):
        with CaptureQueriesContext(connection) as found:
            move_all()
        return len(found)

    move, version = Move(When.NEXT_PERIOD), second(kept)
    few = queries(lambda: move_subscribers(version=version, move=move, now=MAY))
    rows = [
        Customer(key=f"c{n}", name=f"C{n}", time_zone=["UTC", "Asia/Tokyo"][n % 2])
        for n in range(400)
    ]
    Customer.objects.bulk_create(rows)
    ids = [row.pk for row in rows]
    subscribe_many(customer_ids=ids, plan=kept, starts_at=MAY)
    third = draft(kept)

    publish_version(version=third, effective_from=JUNE, by=None, now=MAY, existing=Move(When.NEVER))
    many = queries(lambda: move_subscribers(version=third, move=move, now=JUNE + SECOND))

    assert many == few
    assert VersionPin.objects.filter(starts_at=JUNE).count() == 403
    assert VersionPin.objects.filter(ends_at=datetime(2026, 7, 1, tzinfo=UTC)).count() == 201


def test_who_is_touched_is_read_in_two_queries(kept, django_assert_num_queries):
    subscribed(customer("dora"), kept, starts_at=APRIL)
    version = second(kept)
    with django_assert_num_queries(2):
        found = subscribers_of(version=version, at=MAY, search="", limit=50)
    assert found.total == 4
    assert [(each.key, each.number) for each in found.rows] == [
        ("acme", 1), ("beni", 1), ("caro", 1), ("dora", 2),
    ]  # fmt: skip
    assert found.rows[2].next_period == datetime(2026, 5, 14, 22, tzinfo=UTC)
    assert subscribers_of(version=second(kept), at=MAY, search="CAR", limit=50).total == 1
    assert len(subscribers_of(version=second(kept), at=MAY, search="", limit=2).rows) == 2
