"""Write outcome contracts, have them approved, and put them into force."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import transaction

from plans import locks
from plans.contracts import event_type, naming_of, prices_of_version
from plans.errors import OperationError, Problem, refusing, validation_problems
from plans.models import (
    Customer,
    Meter,
    OutcomeContract,
    OutcomeContractReview,
    OutcomeContractVersion,
    Plan,
    PriceOverride,
)
from plans.models.meters import Aggregation
from plans.models.reviews import ReviewStep
from plans.operations.meters import define_meter
from plans.operations.subscriptions import MAX_AHEAD
from plans.queries import subscribers_after, subscriptions_in
from plans.rating.outcome_document import read_terms
from plans.rating.outcomes import STEP, FeePrice


class ContractInvalid(OperationError):
    """What was said about a contract cannot be; ``problems`` lists all of it."""

    code = "contract_invalid"


class ContractKeyTaken(OperationError):
    """Another contract has the key."""

    code = "contract_key_taken"


class ContractFrozen(OperationError):
    """The version is submitted, approved or published; nothing in it changes."""

    code = "contract_frozen"


class ContractStep(OperationError):
    """The version is not where this step begins."""

    code = "contract_step"


class OwnContract(OperationError):
    """Nobody approves what they wrote or submitted."""

    code = "own_contract"


class ContractDateRefused(OperationError):
    """The version cannot take effect then."""

    code = "contract_date_refused"


@transaction.atomic
def create_contract(
    *,
    key: str,
    name: str,
    currency: str,
    content: Mapping[str, Any],
    plan: Plan | None = None,
    customer: Customer | None = None,
    note: str = "",
    by: AbstractBaseUser | None = None,
) -> OutcomeContractVersion:
    """Make a contract for a plan or for one customer, with its first version as a draft.

    Raises ContractInvalid, ContractKeyTaken.
    """
    if customer is not None:
        currency = customer.currency
    contract = OutcomeContract(key=key, name=name, currency=currency, plan=plan, customer=customer)
    _refuse_invalid(contract)
    refusal = ContractKeyTaken(f"There is another contract with the key “{key}”.", field="key")
    with refusing({"plans_outcomecontract_key_key": refusal}):
        contract.save(force_insert=True)
    return _start(contract, content, note=note, by=by)


@transaction.atomic
def start_contract_version(
    *,
    contract: OutcomeContract,
    content: Mapping[str, Any],
    note: str = "",
    after: Collection[OutcomeContractVersion] = (),
    by: AbstractBaseUser | None = None,
) -> OutcomeContractVersion:
    """Make a new version as a draft; ``after`` are drafts of the same document before it.

    Raises ContractInvalid, and ContractStep beside any other draft.
    """
    locks.contract(contract_id=contract.pk)
    others = contract.versions.exclude(pk__in=[version.pk for version in after])
    if others.filter(published_at=None).exists():
        raise ContractStep("Another version is being written. Publish or discard that one first.")
    return _start(contract, content, note=note, by=by)


@transaction.atomic
def save_contract_version(
    *,
    version: OutcomeContractVersion,
    content: Mapping[str, Any],
    note: str = "",
    by: AbstractBaseUser | None,
) -> OutcomeContractVersion:
    """Write a draft; who does is one of its authors. Raises ContractFrozen, ContractInvalid."""
    row = _open(version, by=by)
    _refuse_content(row.contract, content)
    row.content, row.note = dict(content), note.strip()
    row.save(update_fields=["content", "note", "author_ids"])
    return row


@transaction.atomic
def discard_contract_version(*, version: OutcomeContractVersion) -> None:
    """Delete a draft, and the contract with it where it has no other. Raises ContractFrozen."""
    row = _open(version, by=None)
    contract = row.contract
    if OutcomeContractReview.objects.filter(version=row).exists():
        raise ContractFrozen("What was submitted once stays on record. Change the draft instead.")
    row.delete()
    if not contract.versions.exists():
        contract.delete()


@transaction.atomic
def submit_contract(
    *, version: OutcomeContractVersion, by: AbstractBaseUser, comment: str = "", now: datetime
) -> OutcomeContractVersion:
    """Submit a draft for approval; who does is one of its authors.

    Raises ContractFrozen, ContractInvalid.
    """
    row = _open(version, by=by)
    _refuse_content(row.contract, row.content)
    row.submitted_at, row.submitted_by_id = now, by.pk
    row.save(update_fields=["submitted_at", "submitted_by", "author_ids"])
    _note(row, ReviewStep.SUBMITTED, by=by, comment=comment, now=now)
    return row


@transaction.atomic
def approve_contract(
    *, version: OutcomeContractVersion, by: AbstractBaseUser, comment: str = "", now: datetime
) -> OutcomeContractVersion:
    """Approve what was submitted by others. Raises ContractStep, OwnContract."""
    row = locks.contract_version(version_id=version.pk)
    if row.submitted_at is None or row.approved_at is not None or row.published_at is not None:
        raise ContractStep(f"Version {row.number} is not waiting for an approval.")
    if by.pk in row.author_ids:
        raise OwnContract(
            f"You had a part in version {row.number}. Someone else must approve it.", field="by"
        )
    row.approved_at, row.approved_by_id = now, by.pk
    row.save(update_fields=["approved_at", "approved_by"])
    _note(row, ReviewStep.APPROVED, by=by, comment=comment, now=now)
    return row


@transaction.atomic
def return_contract(
    *, version: OutcomeContractVersion, by: AbstractBaseUser, comment: str, now: datetime
) -> OutcomeContractVersion:
    """Make a submitted or approved version a draft again, by an author or by who reviews it.

    Raises ContractStep, and ContractInvalid without a comment.
    """
    if not comment.strip():
        raise ContractInvalid("Say what is to be changed.", field="comment")
    row = locks.contract_version(version_id=version.pk)
    if row.submitted_at is None or row.published_at is not None:
        raise ContractStep(f"Version {row.number} is not submitted: there is nothing to return.")
    own = by.pk in row.author_ids
    row.submitted_at = row.submitted_by_id = row.approved_at = row.approved_by_id = None
    row.save(update_fields=["submitted_at", "submitted_by", "approved_at", "approved_by"])
    what = ReviewStep.WITHDRAWN if own else ReviewStep.CHANGES_REQUESTED
    _note(row, what, by=by, comment=comment, now=now)
    return row


@transaction.atomic
def publish_contract(
    *,
    version: OutcomeContractVersion,
    effective_from: datetime,
    by: AbstractBaseUser | None,
    now: datetime,
) -> OutcomeContractVersion:
    """Freeze a version and put it into force at a time; the one before ends then.

    Its rules hold for outcomes that happen from then on, its fee for each billing period, or part
    of one, that begins from then on. A time in the past is accepted only while nobody it concerns
    was subscribed since. Raises ContractStep, ContractInvalid, ContractDateRefused.
    """
    contract = locks.contract(contract_id=version.contract_id)
    row = locks.contract_version(version_id=version.pk)
    if row.published_at is not None or (
        row.approved_at is None and (by is not None or row.author_ids)
    ):
        raise ContractStep(
            f"Version {row.number} is published or not approved: it is submitted by who wrote it, "
            "approved by someone else, and published once."
        )
    _refuse_content(contract, row.content)
    previous = (
        OutcomeContractVersion.objects.filter(contract=contract, published_at__isnull=False)
        .order_by("effective_from")
        .last()
    )
    _refuse_date(contract, effective_from, previous=previous, now=now)
    if previous is not None:
        _end(previous, at=effective_from)
    row.published_at, row.effective_from = now, effective_from
    row.published_by_id = by.pk if by else None
    row.save(update_fields=["published_at", "published_by", "effective_from"])
    for found in prices_of_version(row):
        _add_price(row, found, by=by)
    return row


def _start(
    contract: OutcomeContract, content: Mapping[str, Any], *, note: str,
    by: AbstractBaseUser | None,
) -> OutcomeContractVersion:  # fmt: skip
    _refuse_content(contract, content)
    last = contract.versions.order_by("number").values_list("number", flat=True).last()
    return OutcomeContractVersion.objects.create(
        contract=contract,
        number=(last or 0) + 1,
        content=dict(content),
        note=note.strip(),
        author_ids=[by.pk] if by else [],
    )


def _open(
    version: OutcomeContractVersion, *, by: AbstractBaseUser | None
) -> OutcomeContractVersion:
    """Lock a draft, and make the person one of its authors."""
    row = locks.contract_version(version_id=version.pk)
    if not row.is_draft:
        raise ContractFrozen(
            f"Version {row.number} is submitted or published, and frozen. Make a new version from "
            "it, or withdraw it."
        )
    if by is not None and by.pk not in row.author_ids:
        row.author_ids = [*row.author_ids, by.pk]
    return row


def _refuse_invalid(contract: OutcomeContract) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        contract.clean_fields()
    except ValidationError as error:
        problems = validation_problems(error)
    if (contract.plan_id is None) == (contract.customer_id is None):
        said = "A contract is for a plan, or for one customer: choose one of them."
        problems += (Problem("contract_for_whom", "plan", said),)
    _refuse(problems)


def _refuse_content(contract: OutcomeContract, content: Mapping[str, Any]) -> None:
    _, found = read_terms(content, naming=naming_of(contract))
    _refuse(tuple(Problem(each.code, each.field, each.message) for each in found))


def _refuse(problems: tuple[Problem, ...]) -> None:
    if problems:
        listed = " ".join(f"{each.field}: {each.message}" for each in problems)
        raise ContractInvalid(f"The contract cannot be. {listed}", problems=problems)


def _refuse_date(
    contract: OutcomeContract,
    effective_from: datetime,
    *,
    previous: OutcomeContractVersion | None,
    now: datetime,
) -> None:
    if previous is not None and effective_from <= (previous.effective_from or now):
        raise ContractDateRefused(
            f"Version {previous.number} takes effect on {_on(previous.effective_from or now)}; a "
            "new one must do so later.",
            field="effective_from",
        )
    if effective_from > now + MAX_AHEAD:
        raise ContractDateRefused(
            f"{_on(effective_from)} is more than five years ahead. Choose an earlier time.",
            field="effective_from",
        )
    if effective_from < now and _concerned(contract, start=effective_from, end=now):
        raise ContractDateRefused(
            f"{_on(effective_from)} has passed, and customers were subscribed since: their periods "
            "may have been billed. Choose a time from now on.",
            field="effective_from",
        )


def _concerned(contract: OutcomeContract, *, start: datetime, end: datetime) -> bool:
    if contract.customer_id is not None:
        return bool(subscriptions_in(customer_ids=[contract.customer_id], start=start, end=end))
    assert contract.plan_id is not None
    return subscribers_after(plan_id=contract.plan_id, currency=contract.currency, at=start) > 0


def _end(version: OutcomeContractVersion, *, at: datetime) -> None:
    version.effective_until = at
    version.save(update_fields=["effective_until"])
    for price in PriceOverride.objects.filter(contract_version=version).order_by("pk"):
        price.ends_at = at
        price.save(update_fields=["ends_at"])


def _add_price(
    version: OutcomeContractVersion, found: FeePrice, *, by: AbstractBaseUser | None
) -> None:
    contract, starts_at = version.contract, version.effective_from
    assert starts_at is not None
    PriceOverride.objects.create(
        customer=contract.customer,
        plan=contract.plan,
        currency=contract.currency,
        contract_version=version,
        price_key=found.price.key,
        content={"contract": contract.key, "version": version.number},
        meter=_meter(contract, found),
        starts_at=starts_at,
        reason=f"The outcome contract “{contract.name}”, version {version.number}.",
        created_by_id=by.pk if by else None,
    )


def _meter(contract: OutcomeContract, found: FeePrice) -> Meter:
    """Return the meter that adds a measure up; the contract's versions share it."""
    key = found.price.meter
    assert key is not None
    meter = Meter.objects.filter(key=key, event_type=event_type(contract.key)).first()
    if meter is not None:
        return meter
    return define_meter(
        key=key,
        name=f"{contract.name}: {found.measure.replace('_', ' ')}",
        event_type=event_type(contract.key),
        aggregation=Aggregation.SUM,
        value_property=found.measure,
        dimensions=[STEP],
        unit=found.price.unit,
    )


def _note(
    row: OutcomeContractVersion,
    what: ReviewStep,
    *,
    by: AbstractBaseUser,
    comment: str,
    now: datetime,
) -> None:
    OutcomeContractReview.objects.create(
        version=row, what=what, by_id=by.pk, at=now, comment=comment.strip()
    )


def _on(at: datetime) -> str:
    return f"{at:%d %B %Y %H:%M %Z}"
