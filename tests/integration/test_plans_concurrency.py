"""Two people at once: numbers stay in order, and nothing slips into a published version."""

import threading
from datetime import date
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction

from plans import locks
from plans.errors import OperationError
from plans.models import Meter, PlanVersion, Price, Subscription, VersionReview
from plans.operations.commitments import (
    CommitmentTerms,
    approve_commitment,
    draft_commitment,
    end_commitment,
)
from plans.operations.overrides import agree_price, end_agreed_price
from plans.operations.publishing import publish_version
from plans.operations.reviews import approve_version, request_changes, submit_version
from plans.operations.subscription_changes import (
    cancel_subscription,
    change_plan,
    resume_subscription,
    withdraw_subscription,
)
from plans.operations.subscriptions import end_subscription, subscribe
from plans.operations.versions import create_plan, start_version
from plans.rating.commitments import Instalment
from tests.integration.plans_fixtures import (
    APRIL,
    MARCH,
    MAY,
    NEW_YEAR,
    approved,
    customer,
    digest,
    draft,
    everything,
    image_meter,
    person,
    plan_in_force,
    subscribed,
)

pytestmark = pytest.mark.django_db(transaction=True)


def in_a_thread(work):
    """Run work on a connection of its own; return the thread and where its error will be."""
    errors = []

    def run():
        try:
            work()
        except (DatabaseError, OperationError) as error:
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


def both(*works):
    """Do works at once; return the errors of those that were refused."""
    threads = [in_a_thread(work) for work in works]
    for thread, _ in threads:
        thread.join()
    return [error for _, errors in threads for error in errors]


def test_two_approvers_at_once_approve_once():
    mara, noor, sam = person(), person("noor"), person("sam")
    version = draft(create_plan(key="a", name="A"))
    submit_version(version=version, by=mara, now=NEW_YEAR)
    read = digest(version)

    errors = both(*(
        lambda by=by: approve_version(version=version, digest=read, by=by, now=MARCH)
        for by in (noor, sam)
    ))  # fmt: skip

    assert [error.code for error in errors] == ["already_approved"]
    assert VersionReview.objects.filter(what="approved").count() == 1
    assert PlanVersion.objects.get().approved_by in {noor, sam}


def test_an_approval_and_a_request_for_changes_at_once_leave_one_story():
    mara, noor, sam = person(), person("noor"), person("sam")
    version = draft(create_plan(key="a", name="A"))
    submit_version(version=version, by=mara, now=NEW_YEAR)
    read = digest(version)

    errors = both(
        lambda: approve_version(version=version, digest=read, by=noor, now=MARCH),
        lambda: request_changes(version=version, by=sam, comment="No", now=MARCH),
    )

    version.refresh_from_db()
    assert version.is_draft
    told = list(VersionReview.objects.order_by("id").values_list("what", flat=True))
    if errors:
        assert [error.code for error in errors] == ["not_submitted"]
        assert told == ["submitted", "changes_requested"]
    else:
        assert told == ["submitted", "approved", "changes_requested"]


def test_what_is_being_written_is_part_of_what_is_submitted():
    mara = person()
    version = draft(create_plan(key="a", name="A"))
    with transaction.atomic():
        late_price(version)
        thread, errors = in_a_thread(lambda: submit_version(version=version, by=mara, now=MARCH))
        thread.join(timeout=0.5)
        assert thread.is_alive()
    thread.join()
    assert errors == []
    assert VersionReview.objects.get().digest == digest(version)
    assert version.prices.count() == 2


def test_nothing_slips_into_a_version_while_it_is_submitted():
    mara = person()
    version = draft(create_plan(key="a", name="A"))
    with transaction.atomic():
        submit_version(version=version, by=mara, now=MARCH)
        thread, errors = in_a_thread(lambda: late_price(version))
        thread.join(timeout=0.5)
    thread.join()
    assert "Version 1 is submitted and frozen" in str(errors[0])
    assert version.prices.count() == 1


def test_publishing_twice_at_once_publishes_once():
    mara, noor = person(), person("noor")
    version = approved(draft(create_plan(key="a", name="A")), author=mara, approver=noor)

    errors = both(*(
        lambda at=at: publish_version(version=version, effective_from=at, by=noor, now=NEW_YEAR)
        for at in (MARCH, APRIL)
    ))  # fmt: skip

    assert [error.code for error in errors] == ["version_frozen"]
    assert PlanVersion.objects.get().effective_from in {MARCH, APRIL}


# What a customer has one of at a time ---------------------------------------------------------


def subscribing(acme):
    plan = plan_in_force()
    return lambda: subscribe(customer=acme, plan=plan, starts_at=MARCH, now=MARCH)


def ending(acme):
    row = subscribed(acme, plan_in_force())
    return lambda: end_subscription(subscription=row, ends_at=MAY, now=APRIL)


def changing(acme):
    row, scale = subscribed(acme, plan_in_force()), plan_in_force("scale")
    return lambda: change_plan(subscription=row, to_plan=scale, at=MAY, now=APRIL)


def cancelling(acme):
    row = subscribed(acme, plan_in_force())
    return lambda: cancel_subscription(subscription=row, at=MAY, now=APRIL)


def resuming(acme):
    row = subscribed(acme, plan_in_force())
    cancel_subscription(subscription=row, at=MAY, now=APRIL)
    return lambda: resume_subscription(subscription=row, at=APRIL, now=APRIL)


def withdrawing(acme):
    row = subscribed(acme, plan_in_force(), starts_at=MAY)
    return lambda: withdraw_subscription(subscription=row, now=APRIL)


def agreed(acme, plan):
    fee = {"key": "fee", "name": "Monthly fee", "model": "flat", "amount": "15"}
    return agree_price(
        customer=acme, plan=plan, content=fee, starts_at=MAY, reason="A long contract.",
        by=None, now=APRIL,
    )  # fmt: skip


def agreeing(acme):
    plan = plan_in_force()
    return lambda: agreed(acme, plan)


def ending_what_is_agreed(acme):
    row = agreed(acme, plan_in_force())
    return lambda: end_agreed_price(agreed=row, ends_at=MAY.replace(month=6), now=APRIL)


def promised(acme):
    terms = CommitmentTerms(
        name="Annual", start=date(2026, 5, 1), instalments=[Instalment(12, Decimal(9000))]
    )
    return draft_commitment(customer=acme, key="annual", terms=terms, by=None)


def approving_a_commitment(acme):
    row = promised(acme)
    return lambda: approve_commitment(commitment=row, by=None, now=APRIL)


def ending_a_commitment(acme):
    row = approve_commitment(commitment=promised(acme), by=None, now=APRIL)
    return lambda: end_commitment(
        commitment=row, ends_on=date(2026, 6, 1), shortfall_due=False, reason="They move on.",
        by=None, now=APRIL,
    )  # fmt: skip


@pytest.mark.parametrize(
    "prepare",
    [
        subscribing, ending, changing, cancelling, resuming, withdrawing, agreeing,
        ending_what_is_agreed, approving_a_commitment, ending_a_commitment,
    ],
)  # fmt: skip
def test_what_a_customer_has_one_of_is_written_under_its_lock(prepare):
    """Else two at once wait for each other's rows, and one is ended as a deadlock."""
    acme = customer()
    work = prepare(acme)
    before = everything()
    with transaction.atomic():
        locks.customer(customer_id=acme.pk)
        thread, errors = in_a_thread(work)
        thread.join(timeout=0.5)
        assert thread.is_alive()
        assert everything() == before
    thread.join()
    assert errors == []
    assert everything() != before


def test_of_many_subscribed_at_once_one_is_and_the_others_are_told():
    acme = customer()
    work = subscribing(acme)
    for _ in range(20):
        errors = both(*[work] * 4)
        assert [error.code for error in errors] == ["already_subscribed"] * 3
        withdraw_subscription(subscription=Subscription.objects.get(), now=NEW_YEAR)
