"""Agreed prices as people read them: beside the list price, with what samples cost on either."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from plans import rating
from plans.models import Customer, Plan, PlanVersion, Price, PriceOverride
from plans.overrides import agreed_prices
from plans.queries import published_versions, versions_in_force
from plans.rating.agreed import with_agreed
from plans.terms import VersionTerms, terms_of
from plans.words import money, summary


class SampleRow(NamedTuple):
    """A sample quantity, what it costs on the list and as agreed, and the difference, in words."""

    quantity: str
    listed: str
    agreed: str
    difference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideTheList:
    """A price as agreed, in words, beside the list price, which is "" where there is none."""

    listed: str
    agreed: str
    samples: tuple[SampleRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedRow:
    """One agreed price of a customer; ``state`` is ``scheduled``, ``holds`` or ``over``."""

    override: PriceOverride
    name: str
    state: str
    words: BesideTheList


def listing_version(
    *, plan: Plan, currency: str, price_key: str, at: datetime
) -> PlanVersion | None:
    """Return the published version that lists a price: the one in force at a time, or the last."""
    versions = [row for row in published_versions(plan_id=plan.pk) if row.currency == currency]
    listing = set(
        Price.objects.filter(version__in=versions, key=price_key).values_list(
            "version_id", flat=True
        )
    )
    found = [row for row in versions if row.pk in listing]
    in_force = [row for row in found if row.status_at(at) == "in force"]
    return next(reversed(in_force or found), None)


def beside_the_list(
    agreed: rating.Price, *, terms: rating.Terms | None, currency: str
) -> BesideTheList:
    """Return an agreed price beside the price of its key in a version's terms."""
    listed = next(
        (price for price in (terms.prices if terms else ()) if price.key == agreed.key), None
    )
    if terms is None or listed is None:
        return BesideTheList(listed="", agreed=summary(agreed, currency=currency), samples=())
    alone = rating.Terms(currency=currency, prices=(listed,), service_classes=terms.service_classes)
    compared = rating.compare(alone, with_agreed(alone, [agreed]))
    effects = compared.changed[0].effects if compared.changed else ()
    return BesideTheList(
        listed=summary(listed, currency=currency),
        agreed=summary(agreed, currency=currency),
        samples=tuple(_sample(effect, currency) for effect in effects),
    )


def agreed_with(customer: Customer, *, now: datetime) -> list[AgreedRow]:
    """Return the prices agreed with a customer, the latest first, beside the list prices of now."""
    rows = list(
        PriceOverride.objects.filter(customer=customer, contract_version=None)
        .select_related("plan", "created_by")
        .order_by("-starts_at", "price_key")
    )
    plans = {row.plan_id for row in rows if row.plan_id is not None}
    in_force = _terms_now(plans, currency=customer.currency, now=now)
    values = agreed_prices([row.pk for row in rows])
    found = []
    for row in rows:
        known, value = in_force.get(row.plan_id or 0), values[row.pk].price
        words = beside_the_list(
            value, terms=known.terms if known else None, currency=customer.currency
        )
        found.append(
            AgreedRow(override=row, name=value.name, state=_state(row, now=now), words=words)
        )
    return found


def agreed_on(version: PlanVersion, *, at: datetime) -> Sequence[PriceOverride]:
    """Return the agreed prices, now or to come, that stand in for prices of a version."""
    keys = Price.objects.filter(version=version).values("key")
    return list(
        PriceOverride.objects.filter(
            plan_id=version.plan_id, price_key__in=keys, customer__currency=version.currency
        )
        .exclude(ends_at__lte=at)
        .select_related("customer")
        .order_by("price_key", "customer__name", "starts_at")
    )


def _terms_now(plan_ids: Iterable[int], *, currency: str, now: datetime) -> dict[int, VersionTerms]:
    wanted = set(plan_ids)
    if not wanted:
        return {}
    found = versions_in_force(plan_ids=wanted, start=now, end=now + timedelta.resolution)
    versions = {row.plan_id: row.version_id for row in found if row.currency == currency}
    terms = terms_of(versions.values())
    return {plan: terms[version] for plan, version in versions.items()}


def _state(row: PriceOverride, *, now: datetime) -> str:
    if row.starts_at > now:
        return "scheduled"
    return "over" if row.ends_at is not None and row.ends_at <= now else "holds"


def _sample(effect: rating.Effect, currency: str) -> SampleRow:
    amounts = [
        "" if amount is None else money(amount, currency=credit or currency)
        for amount, credit in (
            (effect.before, effect.before_credit),
            (effect.after, effect.after_credit),
        )
    ]
    difference = effect.problem
    if effect.difference is not None:
        sign = "+" if effect.difference > 0 else "\N{MINUS SIGN}" if effect.difference < 0 else ""
        difference = (
            f"{sign}{money(abs(effect.difference), currency=effect.after_credit or currency)}"
        )
    return SampleRow(effect.sample, amounts[0], amounts[1], difference)
