"""What the tests of plans begin with: a meter, a published plan, a customer, a person."""

from datetime import UTC, datetime
from decimal import Decimal

from django.contrib.auth import get_user_model

from plans.models import Price, Tier
from plans.operations import customers, meters, publishing, reviews, subscriptions, versions
from plans.terms import terms_of

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)


def person(name="mara"):
    return get_user_model().objects.create_user(name)


def image_meter(key="images"):
    return meters.define_meter(
        key=key,
        name="Images",
        event_type="job.completed",
        aggregation="sum",
        value_property="images",
        filters={"status": ["succeeded"]},
        unit="images",
    )


def draft(plan, *, currency="USD", meter=None):
    """A version with a monthly fee and, given a meter, images in two tiers."""
    fee = Price(key="fee", name="Monthly fee", model="flat", amount=Decimal(20))
    rows = [versions.PriceRows(fee)]
    if meter is not None:
        images = Price(key="images", name="Images", model="graduated", meter=meter)
        tiers = [
            Tier(up_to=Decimal(1000), unit_amount=Decimal("0.04")),
            Tier(up_to=None, unit_amount=Decimal("0.03")),
        ]
        rows.append(versions.PriceRows(images, tiers))
    return versions.start_version(plan=plan, currency=currency, rows=rows)


def published(plan, *, effective_from=NEW_YEAR, now=NEW_YEAR, **rest):
    return publishing.publish_version(
        version=draft(plan, **rest), effective_from=effective_from, by=None, now=now
    )


def approved(version, *, author, approver, now=NEW_YEAR):
    """The version, submitted by one person and approved by another."""
    reviews.submit_version(version=version, by=author, now=now)
    return reviews.approve_version(version=version, digest=digest(version), by=approver, now=now)


def digest(version):
    return terms_of([version.pk])[version.pk].digest


def plan_in_force(key="starter", **rest):
    plan = versions.create_plan(key=key, name=key.title())
    published(plan, **rest)
    return plan


def customer(key="acme", **rest):
    return customers.create_customer(key=key, name=key.title(), **rest)


def subscribed(who, plan, *, starts_at=MARCH, now=MARCH, **rest):
    return subscriptions.subscribe(customer=who, plan=plan, starts_at=starts_at, now=now, **rest)


def everything():
    """All rows of the app, to show that a refusal changed nothing."""
    from django.apps import apps

    return {
        model.__name__: sorted(map(str, model.objects.values_list()))
        for model in apps.get_app_config("plans").get_models()
    }
