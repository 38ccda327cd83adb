"""Take in the customers that imported jobs name: create those that are missing, subscribe them."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from django.core.exceptions import ValidationError

from plans.models import Plan
from plans.models.fields import validate_key
from plans.operations.customers import CustomerRow, create_customers
from plans.operations.subscriptions import subscribe_many
from plans.queries import customers_of_subjects, never_subscribed, published_versions


class PlanTerm(NamedTuple):
    """The plan that customers are put on, and from when to when."""

    plan: Plan
    starts_at: datetime
    ends_at: datetime | None = None


class Newcomers(NamedTuple):
    """What is done about customers without a row, or without a subscription; nothing unless said.

    ``create`` makes a customer of each unknown key, named by it, billed in the plan's currency (US
    dollars without a plan) by UTC. ``term`` subscribes each customer that never had a subscription.
    """

    create: bool = False
    term: PlanTerm | None = None


def receive(newcomers: Newcomers, *, keys: Collection[str]) -> dict[str, str]:
    """Create and subscribe the customers of these keys; return why a key cannot be a customer's.

    Raises NoVersionInForce, CurrencyMismatch, SubscriptionDateRefused.
    """
    if not newcomers.create and newcomers.term is None:
        return {}
    refused: dict[str, str] = {}
    known = customers_of_subjects(keys=[key for key in keys if "\0" not in key])
    if newcomers.create:
        missing = sorted(set(keys) - known.keys())
        refused = {key: reason for key in missing if (reason := _refusal(key))}
        known |= _create([key for key in missing if key not in refused], term=newcomers.term)
    if newcomers.term is not None:
        subscribe(newcomers.term, customer_ids=list(known.values()))
    return refused


def subscribe(term: PlanTerm, *, customer_ids: Collection[int]) -> None:
    """Subscribe those that never were; with nobody to subscribe this only checks the term.

    Raises NoVersionInForce, CurrencyMismatch, SubscriptionDateRefused.
    """
    subscribe_many(
        customer_ids=never_subscribed(customer_ids=customer_ids),
        plan=term.plan,
        starts_at=term.starts_at,
        ends_at=term.ends_at,
    )


def _create(keys: Collection[str], *, term: PlanTerm | None) -> dict[str, int]:
    if not keys:
        return {}
    currency = "USD" if term is None else published_versions(plan_id=term.plan.pk)[-1].currency
    rows = [CustomerRow(key=key, name=key, currency=currency) for key in keys]
    return create_customers(rows=rows)


def _refusal(key: str) -> str:
    try:
        validate_key(key)
    except ValidationError as error:
        return f"no customer can have this key: {' '.join(error.messages)}"
    return ""
