"""A version's life: draft, published, frozen by the ORM and by SQL, followed, retired."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction

from plans.models import MatrixRate, Meter, PlanVersion, Price, Tier
from plans.operations.meters import MeterInvalid, MeterKeyTaken, define_meter
from plans.operations.publishing import (
    EffectiveDateRefused,
    NotPublished,
    VersionInUse,
    VersionInvalid,
    publish_version,
    retire_version,
)
from plans.operations.versions import (
    PlanInvalid,
    PlanKeyTaken,
    PriceKeyTaken,
    VersionFrozen,
    add_price,
    create_plan,
    new_version_from,
    start_version,
)
from plans.queries import versions_in_force
from plans.terms import terms_of
from tests.integration.plans_fixtures import (
    APRIL,
    MARCH,
    MAY,
    NEW_YEAR,
    approved,
    customer,
    draft,
    everything,
    image_meter,
    person,
    plan_in_force,
    published,
    subscribed,
)

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)


def refused(error, operation, **arguments):
    """Call an operation, expect the error, and that nothing changed; return the error."""
    before = everything()
    with pytest.raises(error) as refusal:
        operation(**arguments)
    assert everything() == before
    return refusal.value


def test_publishing_puts_a_version_into_force_and_ends_the_one_before():
    mara, noor = person(), person("noor")
    plan = create_plan(key="starter", name="Starter")
    version = approved(draft(plan), author=mara, approver=noor)
    first = publish_version(version=version, effective_from=NEW_YEAR, by=mara, now=MARCH)
    assert (first.published_at, first.published_by) == (MARCH, mara)
    second = published(plan, effective_from=APRIL, now=MARCH)

    first.refresh_from_db()
    assert first.effective_until == APRIL
    assert second.effective_until is None
    assert (first.status_at(MARCH), second.status_at(MARCH)) == ("in force", "scheduled")
    assert (first.status_at(APRIL), second.status_at(APRIL)) == ("retired", "in force")


def test_versions_in_force_in_one_query(django_assert_num_queries):
    plan = plan_in_force()
    second = published(plan, effective_from=APRIL, now=MARCH)
    draft(plan)
    other = plan_in_force("other")
    with django_assert_num_queries(1):
        rows = versions_in_force(plan_ids=[plan.id, other.id], start=MARCH, end=MAY)
    assert [(row.plan_id, row.effective_from, row.effective_until) for row in rows] == [
        (plan.id, NEW_YEAR, APRIL),
        (plan.id, APRIL, None),
        (other.id, NEW_YEAR, None),
    ]
    at_the_boundary = versions_in_force(plan_ids=[plan.id], start=APRIL, end=APRIL + SECOND)
    assert [row.version_id for row in at_the_boundary] == [second.id]
    assert versions_in_force(plan_ids=[plan.id], start=MARCH, end=APRIL)[-1].effective_from == (
        NEW_YEAR
    )


def test_numbers_count_up_within_the_plan():
    plan, other = create_plan(key="a", name="A"), create_plan(key="b", name="B")
    numbers = [start_version(plan=one, currency="USD").number for one in (plan, plan, other)]
    assert numbers == [1, 2, 1]


def test_a_new_version_copies_prices_tiers_and_rates():
    meter = define_meter(
        key="gpu", name="GPU", event_type="job", aggregation="sum", value_property="s",
        dimensions=["gpu", "region"],
    )  # fmt: skip
    plan = create_plan(key="gpu", name="GPU")
    version = draft(plan, meter=image_meter())
    add_price(
        version=version,
        price=Price(key="gpu", name="GPU", model="matrix", meter=meter, default_amount=Decimal(3)),
        rates=[
            MatrixRate(match=["a100", None], unit_amount=Decimal(4), label="A100"),
            MatrixRate(match=["a100", "eu"], unit_amount=Decimal(5)),
        ],
    )
    publish_version(version=version, effective_from=NEW_YEAR, by=None, now=MARCH)
    copy = new_version_from(version=version, by=person())

    terms = terms_of([version.id, copy.id])
    assert terms[copy.id].digest == terms[version.id].digest
    assert [price.position for price in copy.prices.order_by("position")] == [0, 1, 2]
    assert copy.prices.exclude(pk__in=version.prices.values("pk")).count() == 3
    assert (copy.number, copy.published_at, copy.created_by.username) == (2, None, "mara")
    assert version.prices.count() == 3


def test_what_cannot_be_billed_is_not_published():
    plan = create_plan(key="odd", name="Odd")
    version = start_version(plan=plan, currency="USD")
    add_price(
        version=version,
        price=Price(key="images", name="Images", model="volume", meter=image_meter()),
        tiers=[Tier(up_to=Decimal(10), unit_amount=Decimal(1))],
    )
    error = refused(
        VersionInvalid, publish_version,
        version=version, effective_from=NEW_YEAR, by=None, now=NEW_YEAR,
    )  # fmt: skip
    assert error.code == "version_invalid"
    assert [(problem.code, problem.field) for problem in error.problems] == [
        ("last_tier_not_open", "prices[0].tiers[0].up_to")
    ]
    assert "Nothing is priced above 10: leave the last tier's bound empty." in error.message


def test_a_version_without_prices_is_not_published():
    version = start_version(plan=create_plan(key="a", name="A"), currency="USD")
    error = refused(
        VersionInvalid, publish_version,
        version=version, effective_from=NEW_YEAR, by=None, now=NEW_YEAR,
    )  # fmt: skip
    assert error.problems[0].code == "no_prices"


def test_a_version_follows_the_one_before():
    plan = plan_in_force(effective_from=MARCH)
    version = draft(plan)
    for at in (NEW_YEAR, MARCH):
        error = refused(
            EffectiveDateRefused, publish_version,
            version=version, effective_from=at, by=None, now=NEW_YEAR,
        )  # fmt: skip
        assert error.message == (
            "Version 2 must take effect after version 1, which does so on 01 March 2026 00:00 UTC."
        )
        assert error.field == "effective_from"


def test_a_price_never_changes_under_what_a_customer_used():
    plan = plan_in_force()
    version = draft(plan)
    subscribed(customer(), plan, starts_at=MARCH)
    error = refused(
        EffectiveDateRefused, publish_version,
        version=version, effective_from=APRIL - SECOND, by=None, now=APRIL,
    )  # fmt: skip
    assert "has passed, and customers are subscribed to the plan" in error.message
    publish_version(version=version, effective_from=APRIL, by=None, now=APRIL)


def test_history_can_be_published_while_nobody_is_subscribed():
    plan = plan_in_force()
    second = published(plan, effective_from=MARCH, now=MAY)
    assert second.effective_from == MARCH


def test_a_plan_has_one_version_in_force_for_each_currency():
    plan = plan_in_force()
    euros = publish_version(
        version=draft(plan, currency="EUR"), effective_from=NEW_YEAR, by=None, now=MARCH
    )
    dollars = plan.versions.get(currency="USD")
    assert (dollars.effective_until, euros.effective_until) == (None, None)
    found = versions_in_force(plan_ids=[plan.id], start=MARCH, end=APRIL)
    assert [(row.version_id, row.currency) for row in found] == [
        (euros.pk, "EUR"),
        (dollars.pk, "USD"),
    ]
    following = publish_version(
        version=draft(plan, currency="EUR"), effective_from=MAY, by=None, now=MARCH
    )
    euros.refresh_from_db()
    dollars.refresh_from_db()
    assert (euros.effective_until, dollars.effective_until) == (MAY, None)
    assert following.effective_until is None


def test_a_published_version_is_frozen_for_operations():
    plan = create_plan(key="a", name="A")
    version = published(plan)
    price = Price(key="more", name="More", model="flat", amount=Decimal(1))
    error = refused(VersionFrozen, add_price, version=version, price=price)
    assert error.message == "Version 1 is published and frozen: make a new version from it."
    refused(
        VersionFrozen, publish_version,
        version=version, effective_from=MAY, by=None, now=MARCH,
    )  # fmt: skip


ORM_CHANGES = {
    "version": lambda v: PlanVersion.objects.filter(pk=v.pk).update(note="other"),
    "version deleted": lambda v: PlanVersion.objects.filter(pk=v.pk).delete(),
    "price": lambda v: v.prices.update(name="Other"),
    "price deleted": lambda v: v.prices.all().delete(),
    "price added": lambda v: Price.objects.create(
        version=v, key="x", name="X", model="flat", amount=1
    ),
    "tier": lambda v: Tier.objects.filter(price__version=v).update(unit_amount=9),
    "tier deleted": lambda v: Tier.objects.filter(price__version=v).delete(),
    "tier added": lambda v: Tier.objects.create(price=v.prices.get(key="images"), up_to=5),
    "rate added": lambda v: MatrixRate.objects.create(
        price=v.prices.get(key="images"), match=["a"], unit_amount=1
    ),
    "meter": lambda v: Meter.objects.update(rounding="up"),
}
SQL_CHANGES = {
    "version": "UPDATE plans_planversion SET currency = 'EUR'",
    "start moved": "UPDATE plans_planversion SET effective_from = effective_from + '1 day'",
    "unpublished": "UPDATE plans_planversion SET published_at = NULL, effective_from = NULL",
    "version deleted": "DELETE FROM plans_planversion",
    "price": "UPDATE plans_price SET amount = 1",
    "tier": "UPDATE plans_tier SET up_to = 5 WHERE up_to IS NOT NULL",
    "tier deleted": "DELETE FROM plans_tier",
    "meter": "UPDATE plans_meter SET filters = '{}'",
}


def _frozen():
    return published(create_plan(key="a", name="A"), meter=image_meter())


@pytest.mark.parametrize("change", ORM_CHANGES.values(), ids=ORM_CHANGES)
def test_the_database_refuses_a_change_by_the_orm(change):
    version = _frozen()
    before = everything()
    with pytest.raises(DatabaseError) as refusal, transaction.atomic():
        change(version)
    assert str(refusal.value).startswith(
        ("Version 1 is published and frozen", "The meter “images” is priced by a published version")
    )
    assert everything() == before


@pytest.mark.parametrize("statement", SQL_CHANGES.values(), ids=SQL_CHANGES)
def test_the_database_refuses_a_change_by_sql(statement):
    _frozen()
    before = everything()
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert everything() == before


def test_a_meter_may_be_renamed():
    _frozen()
    Meter.objects.update(name="Pictures")


def test_two_versions_are_never_in_force_at_once():
    plan = plan_in_force()
    second = draft(plan)
    with pytest.raises(DatabaseError, match="one_version_in_force"), transaction.atomic():
        PlanVersion.objects.filter(pk=second.pk).update(published_at=MARCH, effective_from=MARCH)


def test_a_version_is_retired_once_nobody_needs_it():
    plan = plan_in_force()
    version = plan.versions.get()
    subscription = subscribed(customer(), plan, starts_at=MARCH, ends_at=MAY)
    error = refused(VersionInUse, retire_version, version=version, at=APRIL, now=MARCH)
    assert error.message.startswith("1 subscription(s) to the plan last beyond 01 April 2026")
    assert subscription.ends_at == MAY
    assert retire_version(version=version, at=MAY, now=MARCH).effective_until == MAY
    error = refused(EffectiveDateRefused, retire_version, version=version, at=MAY, now=MARCH)
    assert error.message == "Version 1 ends on 01 May 2026 00:00 UTC already."
    later = draft(plan)
    refused(
        EffectiveDateRefused, publish_version,
        version=later, effective_from=APRIL, by=None, now=MARCH,
    )  # fmt: skip
    publish_version(version=later, effective_from=MAY, by=None, now=MARCH)


def test_a_draft_is_not_retired():
    version = draft(create_plan(key="a", name="A"))
    refused(NotPublished, retire_version, version=version, at=MAY, now=MARCH)


def test_keys_are_unique():
    plan, meter = create_plan(key="a", name="A"), image_meter()
    refused(PlanKeyTaken, create_plan, key="a", name="B")
    refused(MeterKeyTaken, image_meter)
    version = draft(plan, meter=meter)
    price = Price(key="fee", name="Second fee", model="flat", amount=Decimal(1))
    refused(PriceKeyTaken, add_price, version=version, price=price)


def test_what_a_column_cannot_hold_is_refused():
    version = draft(create_plan(key="a", name="A"))
    price = Price(key="x", name="X", model="flat", amount=Decimal(-1))
    error = refused(PlanInvalid, add_price, version=version, price=price)
    assert error.field == "prices[0].amount"
    tiny = Price(key="x", name="X", model="flat", amount=Decimal("0.0000000000001"))
    error = refused(PlanInvalid, add_price, version=version, price=tiny)
    assert error.message == (
        "prices[0].amount: Ensure that there are no more than 12 decimal places."
    )


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"aggregation": "count"}, "value_property"),
        ({"value_property": ""}, "value_property"),
        ({"aggregation": "median"}, "aggregation"),
        ({"filters": {"status": []}}, "filters.status"),
        ({"dimensions": ["gpu", "gpu"]}, "dimensions"),
        ({"rounding_multiple": Decimal(0)}, "rounding_multiple"),
    ],
)
def test_a_meter_that_cannot_be_is_refused(wrong, field):
    usual = {
        "key": "gpu", "name": "GPU", "event_type": "job", "aggregation": "sum",
        "value_property": "seconds",
    }  # fmt: skip
    error = refused(MeterInvalid, define_meter, **(usual | wrong))
    assert field in {problem.field for problem in error.problems}
