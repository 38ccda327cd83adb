"""Outcomes as a customer sees them: what is expected and not billed, contested, and to decide."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Count, Q

from billing.wording import Money, moment
from plans.contract_previews import amount_of
from plans.contracts import naming_of, terms_of_version
from plans.models import Customer, OutcomeContractVersion
from usage.models import Outcome
from usage.outcome_amounts import amounts

PER_PAGE = 50
_SUMMED_MAX = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRow:
    """One outcome in words; ``actions`` are what the customer may do with it now."""

    id: int
    key: str
    contract: str
    happened: str
    state: str
    state_words: str
    amount: Money
    until: str
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeList:
    """A page of outcomes, those to decide first, and the sums of what is not billed yet."""

    rows: tuple[OutcomeRow, ...]
    pending: tuple[Money, ...]
    pending_count: int
    contested: tuple[Money, ...]
    contested_count: int
    after: int | None


def outcome_list(*, customer: Customer, now: datetime, after: int | None = None) -> OutcomeList:
    """Return a customer's outcomes, the latest first, and what is expected and contested."""
    rows = Outcome.objects.filter(customer=customer).order_by("-id")
    if after is not None:
        rows = rows.filter(id__lt=after)
    found = list(rows.select_related("version__contract", "contract")[: PER_PAGE + 1])
    counts = Outcome.objects.filter(customer=customer).aggregate(
        pending=Count("id", filter=Q(state="pending")),
        disputed=Count("id", filter=Q(state="disputed")),
    )
    return OutcomeList(
        rows=outcome_rows(found[:PER_PAGE], zone=customer.time_zone, now=now),
        pending=_sums(customer, "pending"),
        pending_count=counts["pending"],
        contested=_sums(customer, "disputed"),
        contested_count=counts["disputed"],
        after=found[PER_PAGE - 1].pk if len(found) > PER_PAGE else None,
    )


def outcome_rows(
    outcomes: Sequence[Outcome], *, zone: str, now: datetime
) -> tuple[OutcomeRow, ...]:
    """Return outcomes, read with their version's contract, in words."""
    found = amounts(outcomes)
    return tuple(
        OutcomeRow(
            id=outcome.pk,
            key=outcome.key,
            contract=outcome.contract.name,
            happened=moment(outcome.happened_at, zone=zone),
            state=outcome.state,
            state_words=outcome.get_state_display(),
            amount=Money(found[outcome.pk].amount, found[outcome.pk].currency),
            until=_until(outcome, zone=zone),
            actions=_actions(outcome, now=now),
        )
        for outcome in outcomes
    )


def asked_of(
    *, customer_id: int, first: int, last: int, now: datetime
) -> tuple[Customer, tuple[OutcomeRow, ...]]:
    """Return a customer and those outcomes of a range of ids that wait for its word."""
    customer = Customer.objects.get(pk=customer_id)
    rows = Outcome.objects.filter(
        customer=customer, id__gte=first, id__lte=last, state="pending",
        version__content__verification__by="customer",
    )  # fmt: skip
    found = list(rows.select_related("version__contract", "contract").order_by("id")[:PER_PAGE])
    return customer, outcome_rows(found, zone=customer.time_zone, now=now)


def _sums(customer: Customer, state: str) -> tuple[Money, ...]:
    """Return what outcomes of a state come to, contract by contract, in each currency."""
    rows = Outcome.objects.filter(customer=customer, state=state).order_by("version_id")
    grouped: dict[int, list[tuple[Decimal, bool]]] = {}
    for version, value, bonus in rows.values_list("version_id", "value", "has_bonus")[:_SUMMED_MAX]:
        grouped.setdefault(version, []).append((value, bonus))
    versions = OutcomeContractVersion.objects.filter(pk__in=grouped).select_related("contract")
    sums: dict[str, Decimal] = {}
    for version_row in versions:
        naming = naming_of(version_row.contract)
        amount = amount_of(terms_of_version(version_row), naming, outcomes=grouped[version_row.pk])
        sums[naming.currency] = sums.get(naming.currency, Decimal(0)) + amount
    return tuple(Money(amount, currency) for currency, amount in sorted(sums.items()))


def _until(outcome: Outcome, *, zone: str) -> str:
    at = {"pending": outcome.verify_by, "verified": outcome.dispute_by}.get(outcome.state)
    return "" if at is None else moment(at, zone=zone)


def _actions(outcome: Outcome, *, now: datetime) -> tuple[str, ...]:
    said = terms_of_version(outcome.version).verification.by
    if outcome.state == "pending" and said == "customer":
        return ("verify", "reject") if outcome.verify_by and now <= outcome.verify_by else ()
    if outcome.state == "verified" and outcome.dispute_by and now <= outcome.dispute_by:
        return ("dispute",)
    return ()
