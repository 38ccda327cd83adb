"""Agree on a price of a plan with one customer, and end that."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from plans import locks
from plans.agreed import listing_version
from plans.catalogue.document import read_contents
from plans.catalogue.dump import grants_content
from plans.catalogue.load import stored_now
from plans.catalogue.problems import CatalogueInvalid
from plans.errors import OperationError, Problem, refusing
from plans.models import Customer, Plan, PlanVersion, PriceOverride
from plans.operations.subscriptions import MAX_AHEAD
from plans.queries import subscriptions_in
from plans.terms import PriceRows, grant_rows, with_terms

_PRICE: Final = "plans[0].prices[0]"
_NAMED_BY_PRICES: Final = frozenset({"phases", "service_classes"})


class UnknownPrice(OperationError):
    """No published version of the plan has a price of that key in the customer's currency."""

    code = "unknown_price"


class AgreedPriceInvalid(OperationError):
    """The price cannot be billed; ``problems`` lists all that is wrong, by its own fields."""

    code = "agreed_price_invalid"


class AgreedDateRefused(OperationError):
    """The agreed price cannot begin, or end, at that time."""

    code = "agreed_date_refused"


class AlreadyAgreed(OperationError):
    """Another price was agreed with the customer for that time."""

    code = "already_agreed"


class AgreedPriceEnded(OperationError):
    """The agreed price has an end already."""

    code = "agreed_price_ended"


@transaction.atomic
def agree_price(
    *,
    customer: Customer,
    plan: Plan,
    content: Mapping[str, Any],
    starts_at: datetime,
    ends_at: datetime | None = None,
    reason: str,
    by: AbstractBaseUser | None,
    now: datetime,
) -> PriceOverride:
    """Agree on a price over ``[starts_at, ends_at)``, in place of the plan's with the same key.

    ``content`` is the price as a catalogue document states it, in the customer's currency; it must
    read the same meter as the price that it stands in for. It holds for every billing period, or
    part of one, that begins in that time, in whichever version. A start in the past is accepted
    only where the customer was not on the plan since then. Raises UnknownPrice, AgreedPriceInvalid,
    AgreedDateRefused, AlreadyAgreed.
    """
    locks.customer(customer_id=customer.pk)
    rows = checked_price(customer=customer, plan=plan, content=content, at=starts_at)
    if not reason.strip():
        raise AgreedPriceInvalid("Say why this customer has another price.", field="reason")
    _refuse_dates(customer, plan, starts_at=starts_at, ends_at=ends_at, now=now)
    agreed = PriceOverride(
        customer=customer,
        plan=plan,
        price_key=rows.price.key,
        content=dict(content),
        meter=rows.price.meter,
        starts_at=starts_at,
        ends_at=ends_at,
        reason=reason.strip(),
        created_by_id=by.pk if by else None,
    )
    refusal = AlreadyAgreed(
        f"Another price is agreed with “{customer.name}” for “{rows.price.key}” at that time. End "
        "that one first.",
        field="starts_at",
    )
    with refusing({"one_override_at_a_time": refusal}):
        agreed.save(force_insert=True)
    return agreed


def checked_price(
    *, customer: Customer, plan: Plan, content: Mapping[str, Any], at: datetime
) -> PriceRows:
    """Return an agreed price as rows, checked as a published one is, within its version's terms.

    Raises UnknownPrice, AgreedPriceInvalid.
    """
    key = str(content.get("key", ""))
    listing = listing_version(plan=plan, currency=customer.currency, price_key=key, at=at)
    if listing is None:
        raise UnknownPrice(
            f"No published version of “{plan.name}” has a price “{key}” in {customer.currency}. "
            "Choose one of its prices.",
            field="key",
        )
    version = with_terms(PlanVersion.objects.filter(pk=listing.pk)).get()
    rows = _read(version, content)
    listed = next(price for price in version.prices.all() if price.key == key)
    meter = rows.price.meter
    if (meter.pk if meter else None) != listed.meter_id:
        counts = listed.meter.name if listed.meter else "nothing"
        raise AgreedPriceInvalid(
            f"The list price counts {counts}, and so must the agreed one: else usage would have no "
            "price.",
            field="meter",
        )
    return rows


def _read(version: PlanVersion, content: Mapping[str, Any]) -> PriceRows:
    """Read a price as the only one of its version, whose phases and classes it may name."""
    plan: Plan = version.plan
    document: dict[str, Any] = {"key": plan.key, "name": plan.name, "currency": version.currency}
    granted = grants_content(grant_rows(version))
    document |= {name: rows for name, rows in granted.items() if name in _NAMED_BY_PRICES}
    document["prices"] = [dict(content)]
    try:
        catalogue = read_contents([("", {"plans": [document]})], stored=stored_now())
    except CatalogueInvalid as error:
        problems = tuple(_problem(problem) for problem in error.problems)
        listed = " ".join(f"{each.field}: {each.message}" for each in problems)
        raise AgreedPriceInvalid(
            f"The price cannot be agreed on. {listed}", problems=problems
        ) from error
    return catalogue.plans[0].versions[0].rows[0]


def _problem(problem: Problem) -> Problem:
    return problem._replace(field=problem.field.removeprefix(_PRICE).removeprefix("."))


@transaction.atomic
def end_agreed_price(*, agreed: PriceOverride, ends_at: datetime, now: datetime) -> PriceOverride:
    """End an agreed price at a time from now on; periods that begin then have the list price.

    Raises AgreedPriceEnded, AgreedDateRefused.
    """
    assert agreed.customer_id is not None, "a contract's prices end with its version"
    locks.customer(customer_id=agreed.customer_id)
    row = locks.price_override(override_id=agreed.pk)
    if row.ends_at is not None:
        raise AgreedPriceEnded(
            f"The agreed price “{row.price_key}” ends on {_on(row.ends_at)} already."
        )
    if ends_at < now or ends_at <= row.starts_at:
        raise AgreedDateRefused(
            "An agreed price can end neither in the past, which may have been billed, nor before "
            f"it begins on {_on(row.starts_at)}.",
            field="ends_at",
        )
    row.ends_at = ends_at
    row.save(update_fields=["ends_at"])
    return row


def _refuse_dates(
    customer: Customer, plan: Plan, *, starts_at: datetime, ends_at: datetime | None, now: datetime
) -> None:
    if ends_at is not None and ends_at <= starts_at:
        raise AgreedDateRefused("An agreed price ends after it begins.", field="ends_at")
    if starts_at > now + MAX_AHEAD:
        raise AgreedDateRefused(
            f"{_on(starts_at)} is more than five years ahead. Choose an earlier time.",
            field="starts_at",
        )
    if starts_at < now and _was_on(customer, plan, start=starts_at, end=now):
        raise AgreedDateRefused(
            f"{_on(starts_at)} has passed, and “{customer.name}” was on {plan.name} since: what "
            "was used then has its price already. Choose a time from now on.",
            field="starts_at",
        )


def _was_on(customer: Customer, plan: Plan, *, start: datetime, end: datetime) -> bool:
    held = subscriptions_in(customer_ids=[customer.pk], start=start, end=end)
    return any(each.plan_id == plan.pk for each in held)


def _on(at: datetime) -> str:
    return f"{at:%d %B %Y %H:%M %Z}"
