"""Read outcomes: one with its steps, where many stand."""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from usage.models import Outcome, OutcomeStep
from usage.outcome_amounts import Amount, amounts


class UnknownOutcome(Exception):
    """There is no outcome of this id."""

    code = "unknown_outcome"
    http_status = 404


@dataclass(frozen=True, slots=True)
class OutcomePage:
    """An outcome, what it comes to by itself, and its steps in their order."""

    outcome: Outcome
    amount: Amount
    steps: tuple[OutcomeStep, ...]


def outcome_by_id(outcome_id: int) -> Outcome:
    """Return an outcome with its contract and customer. Raises UnknownOutcome."""
    rows = Outcome.objects.select_related("contract", "version", "customer", "workspace")
    found = rows.filter(pk=outcome_id).first()
    if found is None:
        raise UnknownOutcome(f"There is no outcome {outcome_id}.")
    return found


def outcome_page(outcome_id: int) -> OutcomePage:
    """Return an outcome with all that is known of it. Raises UnknownOutcome."""
    outcome = outcome_by_id(outcome_id)
    steps = OutcomeStep.objects.filter(outcome=outcome).select_related("by").order_by("number")
    return OutcomePage(outcome, amounts([outcome])[outcome.pk], tuple(steps))


def states_of(ids: Collection[int]) -> dict[int, str]:
    """Return where outcomes stand, by id."""
    return dict(Outcome.objects.filter(pk__in=list(ids)).values_list("pk", "state"))


def who_took(step: OutcomeStep) -> str:
    """Name who took a step, or by which way it came about."""
    person: Any = step.by
    if person is not None:
        return str(person.get_full_name() or person.get_username())
    return step.who or step.get_via_display()


def plain_value(value: Decimal) -> str:
    """Return a number as text, without the zeros that its column pads it with."""
    written = f"{value:f}"
    return written.rstrip("0").rstrip(".") if "." in written else written
