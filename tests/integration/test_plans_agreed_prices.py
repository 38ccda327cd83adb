"""Prices agreed with one customer: checked like published ones, and never in what was billed."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction

from plans.agreed import agreed_on, agreed_with
from plans.errors import OperationError
from plans.models import Phase, Plan, PlanVersion, Price, PriceOverride
from plans.operations import versions
from plans.operations.overrides import (
    AgreedDateRefused,
    AgreedPriceEnded,
    AgreedPriceInvalid,
    AlreadyAgreed,
    UnknownPrice,
    agree_price,
    end_agreed_price,
)
from plans.operations.publishing import publish_version
from plans.terms import GrantRows
from tests.integration.plans_fixtures import (
    APRIL,
    MARCH,
    MAY,
    NEW_YEAR,
    customer,
    draft,
    image_meter,
    person,
    plan_in_force,
    published,
    subscribed,
)
from tests.integration.test_plans_versions import refused

FEE = {"key": "fee", "name": "Monthly fee", "model": "flat", "amount": "15"}
IMAGES = {
    "key": "images", "name": "Images", "model": "graduated", "meter": "images",
    "tiers": [{"up_to": "1000", "unit": "0.03"}, {"up_to": None, "unit": "0.02"}],
}  # fmt: skip


@pytest.fixture
def acme(db):
    return customer()


@pytest.fixture
def starter(acme):
    plan = plan_in_force(meter=image_meter())
    subscribed(acme, plan)
    return plan


def agreed(acme, plan, content=FEE, **said):
    given = {"starts_at": APRIL, "reason": "A long contract.", "by": None, "now": MARCH, **said}
    return agree_price(customer=acme, plan=plan, content=content, **given)


def refuse(error, acme, plan, content=FEE, **said):
    given = {"starts_at": APRIL, "reason": "A long contract.", "by": None, "now": MARCH, **said}
    return refused(error, agree_price, customer=acme, plan=plan, content=content, **given)


def test_a_price_is_agreed_and_ends_once(acme, starter):
    mara = person()
    row = agreed(acme, starter, IMAGES, by=mara)
    assert (row.price_key, row.meter.key, row.content, row.created_by) == (
        "images", "images", IMAGES, mara,
    )  # fmt: skip
    refused(AgreedDateRefused, end_agreed_price, agreed=row, ends_at=APRIL, now=MARCH)
    refused(AgreedDateRefused, end_agreed_price, agreed=row, ends_at=APRIL, now=MAY)
    end_agreed_price(agreed=row, ends_at=MAY, now=APRIL)
    error = refused(AgreedPriceEnded, end_agreed_price, agreed=row, ends_at=MAY, now=APRIL)
    assert error.message == "The agreed price “images” ends on 01 May 2026 00:00 UTC already."


def test_what_was_agreed_cannot_be_rewritten(acme, starter):
    row = agreed(acme, starter)
    for change in ({"content": {}}, {"starts_at": MAY}, {"reason": "Other"}):
        with pytest.raises(DatabaseError, match="is frozen"), transaction.atomic():
            PriceOverride.objects.filter(pk=row.pk).update(**change)
    with pytest.raises(DatabaseError, match="is frozen"), transaction.atomic():
        row.delete()


@pytest.mark.parametrize(
    ("content", "field", "message"),
    [
        ({**FEE, "amount": 15.5}, "amount", "is a number with a point"),
        ({**FEE, "amount": "-1"}, "amount", "is not an amount of 0 or more"),
        ({**FEE, "discount": "5"}, "discount", "is not a field here"),
        ({**FEE, "discount_percent": "101"}, "discount_percent", "is over 100%"),
        ({**FEE, "minimum": "5", "maximum": "4"}, "minimum", "is above the maximum"),
        ({**FEE, "phases": ["trial"]}, "phases", "trial"),
        ({**IMAGES, "meter": "other"}, "meter", "There is no meter “other”"),
        ({**IMAGES, "tiers": []}, "tiers", "It is empty"),
        (
            {**IMAGES, "tiers": [{"up_to": "9", "unit": "1"}, {"up_to": "9", "unit": "1"}]},
            "tiers[1].up_to", "bounds must rise",
        ),
        ({**IMAGES, "tiers": [{"up_to": "9", "unit": "1"}]}, "tiers[0].up_to", "bound empty"),
    ],
)  # fmt: skip
def test_it_is_checked_like_a_published_price(acme, starter, content, field, message):
    error = refuse(AgreedPriceInvalid, acme, starter, content)
    found = [problem for problem in error.problems if problem.field.startswith(field)]
    assert any(message in problem.message for problem in found), error.problems


def test_it_names_a_price_that_is_listed_in_the_customers_currency(acme, starter):
    error = refuse(UnknownPrice, acme, starter, {**FEE, "key": "other"})
    assert error.message == (
        "No published version of “Starter” has a price “other” in USD. Choose one of its prices."
    )
    unlisted = versions.create_plan(key="draft", name="Draft")
    draft(unlisted)
    refuse(UnknownPrice, acme, unlisted)
    refuse(UnknownPrice, acme, plan_in_force("euro", currency="EUR"))
    refuse(UnknownPrice, acme, starter, {})


def test_it_counts_what_the_list_price_counts(acme, starter):
    image_meter("pictures")
    for content in (
        {**IMAGES, "meter": "pictures"},
        {**FEE, "key": "images"},
    ):
        error = refuse(AgreedPriceInvalid, acme, starter, content)
        assert (error.field, "The list price counts Images" in error.message) == ("meter", True)


def test_it_may_have_another_model_and_the_phases_of_its_version(acme):
    plan = versions.create_plan(key="a", name="A")
    version = draft(plan, meter=image_meter())
    trial = Phase(key="trial", name="Trial", days=14)
    versions.add_grants(
        version=version, grants=GrantRows(phases=[trial, Phase(key="steady", name="Steady")])
    )
    publish_version(version=version, effective_from=NEW_YEAR, by=None, now=NEW_YEAR)
    row = agreed(
        acme, plan,
        {"key": "images", "name": "Images", "model": "per_unit", "meter": "images",
         "amount": "0.025", "phases": ["steady"]},
    )  # fmt: skip
    assert row.content["model"] == "per_unit"


def test_it_never_reaches_into_what_was_used(acme, starter):
    error = refuse(AgreedDateRefused, acme, starter, starts_at=MARCH, now=APRIL)
    assert error.field == "starts_at"
    assert "“Acme” was on Starter since" in error.message
    refuse(AgreedDateRefused, acme, starter, ends_at=APRIL)
    refuse(AgreedDateRefused, acme, starter, starts_at=MARCH + timedelta(days=5 * 366 + 1))
    refuse(AgreedPriceInvalid, acme, starter, reason="  ")
    early = customer("early")
    agreed(early, starter, starts_at=MARCH, now=APRIL)
    agreed(acme, starter, starts_at=APRIL, now=APRIL)


def test_one_agreed_price_at_a_time(acme, starter):
    agreed(acme, starter, ends_at=MAY)
    error = refuse(AlreadyAgreed, acme, starter, starts_at=APRIL + timedelta(days=3))
    assert error.message.endswith("for “fee” at that time. End that one first.")
    agreed(acme, starter, starts_at=MAY)
    agreed(customer("other"), starter)
    agreed(acme, starter, IMAGES)


def test_it_is_shown_beside_the_list_price_with_the_difference(acme, starter):
    agreed(acme, starter, IMAGES)
    agreed(acme, starter, starts_at=MAY)
    fee, images = agreed_with(acme, now=APRIL)
    assert (images.state, fee.state) == ("holds", "scheduled")
    assert images.words.listed == "graduated: up to 1,000 at 0.04, above at 0.03"
    assert images.words.agreed == "graduated: up to 1,000 at 0.03, above at 0.02"
    assert (
        "10,000 images",
        "310.00 USD",
        "210.00 USD",
        "\N{MINUS SIGN}100.00 USD",
    ) in images.words.samples
    assert fee.words.samples == (("a period", "20.00 USD", "15.00 USD", "\N{MINUS SIGN}5.00 USD"),)


def test_a_list_of_many_takes_as_many_queries_as_one(acme, starter, django_assert_max_num_queries):
    agreed(acme, starter, IMAGES)
    for number in range(5):
        plan = plan_in_force(f"plan{number}")
        agreed(acme, plan)
    with django_assert_max_num_queries(14):
        assert len(agreed_with(acme, now=APRIL)) == 6


def test_it_survives_a_new_version_and_the_version_tells_who_has_one(acme, starter):
    row = agreed(acme, starter)
    ended = agreed(customer("ended"), starter)
    end_agreed_price(agreed=ended, ends_at=MAY, now=MARCH)
    second = published(starter, effective_from=MAY, now=MARCH)
    assert agreed_on(second, at=MAY) == [row]
    first = starter.versions.get(number=1)
    assert set(agreed_on(first, at=APRIL)) == {row, ended}
    unlike = versions.start_version(plan=starter, currency="USD")
    versions.add_price(
        version=unlike,
        price=Price(key="other", name="Other", model="flat", amount=Decimal(1)),
    )
    assert agreed_on(unlike, at=MAY) == []
    assert PlanVersion.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_of_two_agreements_at_once_one_stands(transactional_db):
    acme = customer()
    plan = Plan.objects.get(pk=plan_in_force().pk)
    ready, refusals = threading.Barrier(2), []

    def agree():
        try:
            ready.wait(timeout=30)
            agreed(acme, plan)
        except OperationError as refusal:
            refusals.append(refusal.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=agree) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert refusals == ["already_agreed"]
    assert PriceOverride.objects.count() == 1
