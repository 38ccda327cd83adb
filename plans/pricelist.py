"""The price list as finance reads it: versions and prices in words, and what waits."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db.models import Count, Exists, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from plans import rating
from plans.examples import Example, examples
from plans.models import MatrixRate, Plan, PlanVersion, Price, Subscription
from plans.terms import PriceRows, price_value, terms_of
from plans.words import summary


class PriceCard(NamedTuple):
    """A price in words: what it costs, what samples come to, and what is wrong with it."""

    price: Price
    summary: str
    examples: Sequence[Example]
    problems: Sequence[rating.Problem]


def price_card(price: Price, *, currency: str) -> PriceCard:
    """Return a stored price in words. A price that cannot be rated has problems, no examples."""
    value = price_value(PriceRows(price, list(price.tiers.all()), _in_order(price)))
    problems = rating.problems(value)
    if problems:
        return PriceCard(price, "", (), problems)
    found = examples(value, currency=currency)
    return PriceCard(price, summary(value, currency=currency), found, ())


def price_cards(version: PlanVersion) -> list[PriceCard]:
    """Return a version's prices in words, in their order, in three queries."""
    prices = (
        Price.objects.filter(version=version)
        .select_related("meter")
        .prefetch_related("tiers", "rates")
        .order_by("position", "pk")
    )
    return [price_card(price, currency=version.currency) for price in prices]


def publishing_problems(version: PlanVersion) -> tuple[rating.Problem, ...]:
    """Return what keeps a draft from being published, its fields as ``prices[0].amount``."""
    terms = terms_of([version.pk])[version.pk].terms
    found = rating.problems_in_terms(terms)
    if not terms.prices:
        return (*found, rating.Problem("no_prices", "prices", "Add a price: there is none yet."))
    return found


def version_before(version: PlanVersion) -> PlanVersion | None:
    """Return the plan's published version that takes effect last, which a new one succeeds."""
    published = PlanVersion.objects.filter(plan_id=version.plan_id, published_at__isnull=False)
    return published.order_by("-effective_from").first()


def plans_listed(plans: QuerySet[Plan], *, now: datetime) -> QuerySet[Plan]:
    """Annotate plans: ``in_force`` version's number, ``drafts`` and ``subscribers`` now."""
    versions = PlanVersion.objects.filter(plan=OuterRef("pk"))
    in_force = versions.filter(effective_from__lte=now).exclude(effective_until__lte=now)
    drafts = versions.filter(published_at=None)
    subscribed = Subscription.objects.filter(plan=OuterRef("pk"), starts_at__lte=now)
    return plans.annotate(
        in_force=Subquery(in_force.order_by("-effective_from").values("number")[:1]),
        drafts=_counted(drafts),
        subscribers=_counted(subscribed.exclude(ends_at__lte=now)),
        is_published=Exists(versions.filter(published_at__isnull=False)),
    )


def plans_on_sale(*, currency: str) -> QuerySet[Plan]:
    """Return the plans that have a published version in a currency, by name."""
    published = PlanVersion.objects.filter(
        plan=OuterRef("pk"), published_at__isnull=False, currency=currency
    )
    return Plan.objects.filter(Exists(published)).order_by("name")


def drafts_waiting() -> QuerySet[PlanVersion]:
    """Return the drafts with prices, oldest first: they wait for publication."""
    priced = Price.objects.filter(version=OuterRef("pk"))
    rows = PlanVersion.objects.filter(Exists(priced), published_at=None)
    return rows.select_related("plan", "created_by").order_by("created_at")


def _counted(rows: QuerySet[PlanVersion] | QuerySet[Subscription]) -> Coalesce:
    counted = rows.order_by().values("plan").annotate(rows=Count("pk")).values("rows")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


def _in_order(price: Price) -> list[MatrixRate]:
    return sorted(price.rates.all(), key=lambda rate: (rate.position, rate.pk))
