"""Two people at once: numbers stay in order, and nothing slips into a published version."""

import threading
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction

from plans.models import Meter, PlanVersion, Price
from plans.operations.publishing import publish_version
from plans.operations.versions import create_plan, start_version
from tests.integration.plans_fixtures import MARCH, NEW_YEAR, draft, image_meter

pytestmark = pytest.mark.django_db(transaction=True)


def in_a_thread(work):
    """Run work on a connection of its own; return the thread and where its error will be."""
    errors = []

    def run():
        try:
            work()
        except DatabaseError as error:
            errors.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, errors


def test_versions_started_at_once_have_numbers_of_their_own():
    plan = create_plan(key="a", name="A")
    threads = [in_a_thread(lambda: start_version(plan=plan, currency="USD"))[0] for _ in range(4)]
    for thread in threads:
        thread.join()
    assert sorted(plan.versions.values_list("number", flat=True)) == [1, 2, 3, 4]


def late_price(version):
    return Price.objects.create(
        version_id=version.pk, key="late", name="Late", model="flat", amount=Decimal(9)
    )


@pytest.mark.parametrize("by", ["operation", "update"])
def test_no_price_slips_in_while_a_version_is_published(by):
    version = draft(create_plan(key="a", name="A"))
    with transaction.atomic():
        if by == "operation":
            publish_version(version=version, effective_from=NEW_YEAR, by=None, now=MARCH)
        else:
            PlanVersion.objects.update(published_at=MARCH, effective_from=NEW_YEAR)
        thread, errors = in_a_thread(lambda: late_price(version))
        thread.join(timeout=0.5)
    thread.join()
    assert [price.key for price in version.prices.all()] == ["fee"]
    assert "Version 1 is published and frozen" in str(errors[0])


def test_no_meter_is_redefined_while_a_version_is_published():
    version = draft(create_plan(key="a", name="A"), meter=image_meter())
    with transaction.atomic():
        publish_version(version=version, effective_from=NEW_YEAR, by=None, now=MARCH)
        thread, errors = in_a_thread(lambda: Meter.objects.update(rounding="up"))
        thread.join(timeout=0.5)
    thread.join()
    assert Meter.objects.get().rounding == "none"
    assert "The meter “images” is priced by a published version" in str(errors[0])


def test_a_price_that_is_being_written_is_part_of_what_is_published():
    version = draft(create_plan(key="a", name="A"))
    with transaction.atomic():
        late_price(version)
        thread, errors = in_a_thread(
            lambda: publish_version(version=version, effective_from=NEW_YEAR, by=None, now=MARCH)
        )
        thread.join(timeout=0.5)
        assert thread.is_alive()
    thread.join()
    assert errors == []
    assert PlanVersion.objects.get().published_at == MARCH
    assert version.prices.count() == 2
