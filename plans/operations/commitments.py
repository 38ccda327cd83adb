"""Write a commitment, approve it, and end it early."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import transaction

from plans import locks
from plans.commitments import commitment_value
from plans.errors import OperationError, Problem, refusing, validation_problems
from plans.models import Commitment, CommitmentInstalment, Customer, Meter
from plans.queries import subscriptions_in
from plans.rating.commitments import Instalment, commitment_problems
from plans.rating.periods import local_date, local_midnight


class CommitmentInvalid(OperationError):
    """The commitment cannot be billed; ``problems`` lists all that is wrong."""

    code = "commitment_invalid"


class CommitmentKeyTaken(OperationError):
    """The customer has another commitment with the key."""

    code = "commitment_key_taken"


class CommitmentFrozen(OperationError):
    """The commitment is approved: it can be ended, and not be changed."""

    code = "commitment_frozen"


class OwnCommitment(OperationError):
    """Nobody approves what they wrote."""

    code = "own_commitment"


class CommitmentOverlaps(OperationError):
    """The customer has another commitment at that time."""

    code = "commitment_overlaps"


class CommitmentStartPassed(OperationError):
    """What was used since the start has its price already."""

    code = "commitment_start_passed"


class CommitmentNotInForce(OperationError):
    """Only an approved commitment that has not ended is ended early."""

    code = "commitment_not_in_force"


class CommitmentEndRefused(OperationError):
    """The commitment cannot end on that day, or in that way."""

    code = "commitment_end_refused"


class CommitmentTerms(NamedTuple):
    """What a commitment says; amounts in the customer's currency, see ``rating.Commitment``."""

    name: str
    start: date
    instalments: Sequence[Instalment]
    kind: str = Commitment.Kind.POSTPAID
    discount_percent: Decimal = Decimal(0)
    beyond_percent: Decimal | None = None
    counts: str = Commitment.Counts.NET
    meters: Sequence[str] = ()
    measured_by: str = Commitment.MeasuredBy.TERM
    rollover_percent: Decimal = Decimal(0)
    rollover_months: int | None = None


@transaction.atomic
def draft_commitment(
    *, customer: Customer, key: str, terms: CommitmentTerms, by: AbstractBaseUser | None
) -> Commitment:
    """Write a new commitment, which is in force once another person approves it.

    Raises CommitmentInvalid, CommitmentKeyTaken.
    """
    row = Commitment(customer=customer, key=key, currency=customer.currency)
    row.author_ids = [by.pk] if by else []
    return _write(row, terms)


@transaction.atomic
def change_commitment(
    *, commitment: Commitment, terms: CommitmentTerms, by: AbstractBaseUser | None
) -> Commitment:
    """Change a draft; who does becomes one of its authors.

    Raises CommitmentFrozen, CommitmentInvalid.
    """
    row = _draft(commitment)
    if by is not None and by.pk not in row.author_ids:
        row.author_ids = [*row.author_ids, by.pk]
    return _write(row, terms)


@transaction.atomic
def delete_commitment(*, commitment: Commitment) -> None:
    """Delete a draft. Raises CommitmentFrozen."""
    _draft(commitment).delete()


@transaction.atomic
def approve_commitment(
    *, commitment: Commitment, by: AbstractBaseUser | None, now: datetime
) -> Commitment:
    """Approve a commitment that others wrote; from its start on it is in force.

    A command approves what a command wrote. Raises CommitmentFrozen, OwnCommitment,
    CommitmentInvalid, CommitmentStartPassed, CommitmentOverlaps.
    """
    locks.customer(customer_id=commitment.customer_id)
    row = _draft(commitment)
    if by is None and row.author_ids:
        raise OwnCommitment("A person wrote this commitment: another one approves it.", field="by")
    if by is not None and by.pk in row.author_ids:
        raise OwnCommitment("You wrote this commitment. Someone else must approve it.", field="by")
    _refuse_problems(row, list(row.instalments.all()))
    _refuse_billed_start(row, now=now)
    row.approved_at, row.approved_by_id = now, by.pk if by else None
    overlap = CommitmentOverlaps(
        f"“{row.customer.name}” has another commitment at that time. End that one first, or start "
        "this one after it.",
        field="start",
    )
    with refusing({"one_commitment_at_a_time": overlap}):
        row.save(update_fields=["approved_at", "approved_by"])
    return row


@transaction.atomic
def end_commitment(
    *,
    commitment: Commitment,
    ends_on: date,
    shortfall_due: bool,
    reason: str,
    by: AbstractBaseUser | None,
    now: datetime,
) -> Commitment:
    """End a commitment early, before a local day from today on.

    All that was still promised is due then where ``shortfall_due`` says so. Raises
    CommitmentNotInForce, CommitmentEndRefused.
    """
    locks.customer(customer_id=commitment.customer_id)
    row = locks.commitment(commitment_id=commitment.pk)
    if row.approved_at is None or row.ended_on is not None:
        raise CommitmentNotInForce(
            "Only an approved commitment is ended early, and only once: delete a draft instead."
        )
    _refuse_end(row, ends_on, shortfall_due=shortfall_due, reason=reason, now=now)
    row.ended_on = row.until_date = ends_on
    row.shortfall_due, row.end_reason = shortfall_due, reason.strip()
    row.ended_at, row.ended_by_id = now, by.pk if by else None
    row.save(
        update_fields=["ended_on", "until_date", "shortfall_due", "end_reason", "ended_at",
                       "ended_by"]
    )  # fmt: skip
    return row


def _refuse_end(
    row: Commitment, ends_on: date, *, shortfall_due: bool, reason: str, now: datetime
) -> None:
    if not reason.strip():
        raise CommitmentEndRefused("Say why the commitment ends early.", field="reason")
    if shortfall_due and row.kind == Commitment.Kind.PREPAID:
        raise CommitmentEndRefused(
            "A prepaid commitment has no shortfall: it was paid ahead.", field="shortfall_due"
        )
    today = local_date(now, zone=row.customer.time_zone)
    if ends_on < today or not row.start_date < ends_on < row.until_date:
        raise CommitmentEndRefused(
            f"Choose a day from {max(today, row.start_date)} on, after the start and before "
            f"{row.until_date}: what was used before has its price already.",
            field="ends_on",
        )


def _draft(commitment: Commitment) -> Commitment:
    row = locks.commitment(commitment_id=commitment.pk)
    if row.approved_at is not None:
        raise CommitmentFrozen("The commitment is approved: end it, and make a new one.")
    return row


def _write(row: Commitment, terms: CommitmentTerms) -> Commitment:
    """Store a draft and its instalments in place of what stood there."""
    row.name, row.kind, row.start_date = terms.name, terms.kind, terms.start
    row.discount_percent, row.beyond_percent = terms.discount_percent, terms.beyond_percent
    row.counts, row.meters, row.measured_by = terms.counts, list(terms.meters), terms.measured_by
    row.rollover_percent, row.rollover_months = terms.rollover_percent, terms.rollover_months
    instalments = [
        CommitmentInstalment(position=position, months=each.months, amount=each.amount)
        for position, each in enumerate(terms.instalments)
    ]
    _refuse_problems(row, instalments)
    row.until_date = commitment_value(row, instalments).term_end
    taken = CommitmentKeyTaken(
        f"{row.customer.name} has a commitment with the key “{row.key}”.", field="key"
    )
    with refusing({"one_commitment_per_key": taken}):
        row.save()
    row.instalments.all().delete()
    for each in instalments:
        each.commitment = row
    CommitmentInstalment.objects.bulk_create(instalments)
    return row


def _refuse_problems(row: Commitment, instalments: Sequence[CommitmentInstalment]) -> None:
    found = list(_field_problems(row))
    if not found:
        value = commitment_value(row, instalments)
        found = [
            Problem(each.code, each.field, each.message)
            for each in commitment_problems(value, currency=row.currency)
        ]
    known = set(Meter.objects.filter(key__in=row.meters).values_list("key", flat=True))
    found += [
        Problem("unknown_meter", "meters", f"There is no meter “{key}”: choose one of the list.")
        for key in row.meters
        if key not in known
    ]
    if found:
        raise CommitmentInvalid(found[0].message, field=found[0].field, problems=tuple(found))


def _field_problems(row: Commitment) -> tuple[Problem, ...]:
    try:
        row.clean_fields(exclude=["until_date", "author_ids"])
    except ValidationError as error:
        return validation_problems(error)
    return ()


def _refuse_billed_start(row: Commitment, *, now: datetime) -> None:
    starts_at = local_midnight(row.start_date, zone=row.customer.time_zone)
    today = local_midnight(
        local_date(now, zone=row.customer.time_zone), zone=row.customer.time_zone
    )
    if starts_at >= today:
        return
    if subscriptions_in(customer_ids=[row.customer_id], start=starts_at, end=now):
        raise CommitmentStartPassed(
            f"{row.start_date} has passed, and “{row.customer.name}” had a plan since: what was "
            "used then has its price already. Choose a day from today on.",
            field="start",
        )
