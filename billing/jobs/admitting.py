"""Admit a job: decide under the customer's lock, hold what it may cost, count it; or refuse.

The estimate is made before the lock; so is a rating where the row of spend does not know the terms
in force. Most jobs are decided on what was read then, too: the one statement that writes them takes
the lock, and writes only if the row is still the one that was read. Where it is not, or credit,
packs or an upgrade come into it, one statement reads again under the lock before one writes. Where
others have just written to the customer's row in between, the first reading takes the lock.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import uuid4

from django.db import transaction

from billing.jobs.answers import admission_again, job_answer
from billing.jobs.asking import JobRequest, digest_of
from billing.jobs.contention import is_contended, note_contention
from billing.jobs.credit import free_credit, hold_credit
from billing.jobs.errors import KeyReused, NotAdmitted, WrongState
from billing.jobs.likely import Likely, likely_of
from billing.jobs.money import is_fresh, standing_anew, standing_for
from billing.jobs.moving import UPGRADES_MOST, after_upgrade, move_on
from billing.jobs.new_job import NewJob
from billing.jobs.own_usage import version_terms
from billing.jobs.pack_units import buy_packs, prices_selling
from billing.jobs.reading import Account, read_account
from billing.jobs.rules import (
    Windows,
    by_price,
    limits_of,
    load_of,
    money_of,
    windows,
)
from billing.jobs.steps import answer_of
from billing.jobs.writing import write
from billing.spend.margin import Standing
from billing.spend.pending import Priced, price_pending
from billing.spend.rating import rate_spend
from plans import rating
from plans.rating.money import ZERO, minus
from usage.admission import Admitted, Deferred, Refused, Request, decide
from usage.job_quantities import Cell, added, read, stored
from usage.models import JobStep
from usage.operations.api_keys import PresentedKey, note_use

_OVER = ("succeeded", "failed", "cancelled", "expired")


class Answer(NamedTuple):
    """A job as it was admitted; ``is_new`` unless the same request was answered before."""

    body: dict[str, Any]
    is_new: bool


class _Asked(NamedTuple):
    """A request with what is likely to come of it, its key and its digest."""

    request: JobRequest
    likely: Likely
    key: str
    digest: str


def admit(
    *,
    request: JobRequest,
    key: str,
    now: datetime,
    by: PresentedKey | None = None,
    dry_run: bool = False,
) -> Answer:
    """Admit a job once for its key, or say why not; a dry run decides the same and changes nothing.

    ``now`` is the real time: customers to test with are asked at their own. ``by`` is the API key
    that asks, where it is not known yet that it may. Asked again with the same key and request, the
    answer is the first one's.
    Raises KeyNotAccepted, NotAdmitted, KeyReused, UnknownSubject, UnknownJobClass, UnknownJob,
    NotSubscribed, WrongState of the parent, CannotBePriced.
    """
    digest = digest_of(request)
    if not dry_run and is_contended(request.subject):
        answer = _admit_locked(request, key=key, digest=digest, by=by, now=now)
        if answer is not None:
            return answer
    before = _read(request, key=key, now=now, by=by, lock=False)
    if before.known_digest is not None:
        return _known(before, digest=digest)
    now = before.at
    fresh = is_fresh(before, at=now)
    if not dry_run and not fresh:
        rate_spend(customer_ids=[before.customer_id], now=now)
        before = _read(request, key=key, now=now, lock=False)
        fresh = is_fresh(before, at=now)
    likely = likely_of(before, request, fresh=fresh, now=now)
    asked = _Asked(request, likely, key, digest)
    if not dry_run:
        answer = _admit_as_read(before, asked, now=now)
        if answer is not None:
            return answer
    with transaction.atomic():
        account = before if dry_run else _read(request, key=key, now=now, lock=True)
        if account.known_digest is not None:
            return _known(account, digest=digest)
        return _decide(account, asked, now=now, dry_run=dry_run)


def _admit_locked(
    request: JobRequest, *, key: str, digest: str, by: PresentedKey | None, now: datetime
) -> Answer | None:
    """Admit a job on one reading under the lock; None where the customer has to be rated first."""
    with transaction.atomic():
        account = _read(request, key=key, now=now, by=by, lock=True)
        if account.known_digest is not None:
            return _known(account, digest=digest)
        if not is_fresh(account, at=account.at):
            return None
        likely = likely_of(account, request, fresh=True, now=account.at)
        asked = _Asked(request, likely, key, digest)
        return _decide(account, asked, now=account.at, dry_run=False)


def _read(
    request: JobRequest, *, key: str, now: datetime, lock: bool, by: PresentedKey | None = None
) -> Account:
    account = read_account(
        subject=request.subject,
        job_class=request.job_class,
        key=key,
        parent=request.parent,
        at=now,
        by=by,
        lock=lock,
    )
    if account.api_key_id is not None:
        note_use(key_id=account.api_key_id, last_used_at=account.api_key_used_at, now=now)
    if account.known_digest is None and account.parent_state in _OVER:
        raise WrongState(
            f"The parent job is {account.parent_state}: it takes no more steps.",
            state=account.parent_state or "",
        )
    return account


def _known(account: Account, *, digest: str) -> Answer:
    admission = (
        JobStep.objects.filter(job=account.known_id, key="admit")
        .select_related("job__customer", "job__workspace", "job__job_class", "job__parent")
        .first()
    )
    if account.known_digest != digest or admission is None:
        raise KeyReused("This Idempotency-Key was used for another job: use a key for each job.")
    now = answer_of(admission.job)
    return Answer(admission_again(now, admission.answer["body"]), is_new=False)


def _admit_as_read(account: Account, asked: _Asked, *, now: datetime) -> Answer | None:
    """Admit a job on what was read without a lock, if it is still so; None where that is not so.

    None, too, where more than the row of spend decides, or where the job is not admitted.
    """
    weighed = _weigh(account, asked, standing=asked.likely.standing, now=now)
    alone = not weighed.credit and not prices_selling(weighed.standing, weighed.of_bounded)
    if not alone or not isinstance(weighed.decision, Admitted):
        return None
    job, body = _admitted(account, asked, weighed, now=now)
    if _stored(job, account, weighed, body, as_read=True):
        return Answer(body, is_new=True)
    note_contention(asked.request.subject)
    return None


def _decide(account: Account, asked: _Asked, *, now: datetime, dry_run: bool) -> Answer:
    """Decide under the lock, and write; a dry run does neither lock nor write."""
    request, key = asked.request, asked.key
    standing = standing_for(account, at=now)
    weighed = _weigh(account, asked, standing=standing, now=now)
    moved_to = ""
    for _ in range(UPGRADES_MOST):
        outgrown = weighed.decision
        if not isinstance(outgrown, Refused) or not outgrown.upgrade_to:
            break
        now = after_upgrade(account, now=now)
        account = _read(request, key=key, now=now, lock=not dry_run)
        if moved_to or is_fresh(account, at=now):
            moved_to = move_on(account, outgrown, now=now)
            account = _read(request, key=key, now=now, lock=not dry_run)
        weighed = _weigh(account, asked, standing=standing_anew(account, at=now), now=now)
    if not isinstance(weighed.decision, Admitted):
        raise NotAdmitted(weighed.decision, now=now)
    buy_packs(account, weighed.standing, by_price=weighed.of_bounded, now=now)
    job, body = _admitted(account, asked, weighed, now=now)
    if moved_to:
        body["upgraded_to"] = moved_to
    if dry_run:
        _pin(job, account, asked, weighed, now=now)
        transaction.set_rollback(True)
        return Answer({**body, "id": None}, is_new=True)
    ends = not weighed.credit and not moved_to
    _stored(job, account, weighed, body, ends=ends)
    _pin(job, account, asked, weighed, now=now)
    return Answer(body, is_new=True)


def _pin(
    job: NewJob, account: Account, asked: _Asked, weighed: "_Weighed", *, now: datetime
) -> None:
    hold_credit(
        customer_id=account.customer_id,
        amounts=weighed.credit,
        key=f"job:{job.public_id}",
        job_class=asked.request.job_class,
        workspace_id=account.workspace_id,
        now=now,
    )


def _stored(
    job: NewJob,
    account: Account,
    weighed: "_Weighed",
    body: dict[str, Any],
    *,
    as_read: bool = False,
    ends: bool = False,
) -> bool:
    return write(
        job, account, weighed.priced, weighed.pending, weighed.hours,
        job_class=body["job_class"], body=body, as_read=as_read, ends=ends,
    )  # fmt: skip


class _Weighed(NamedTuple):
    """What is decided on a job, and on what."""

    decision: Admitted | Deferred | Refused
    standing: Standing
    priced: Priced
    quantities: dict[Cell, Decimal]
    pending: dict[Cell, Decimal]
    hours: Windows
    terms: rating.Terms
    credit: Mapping[str, Decimal]
    of_bounded: Mapping[str, Decimal]
    """What the job would use of each price beyond whose allowance not everything is rated."""


def _weigh(account: Account, asked: _Asked, *, standing: Standing, now: datetime) -> _Weighed:
    request = asked.request
    quantities, pending, priced = _priced(account, asked.likely, standing=standing)
    hours = windows(now, zone=account.zone)
    terms = version_terms(account.version_id).terms
    credit = _credit_needed(account, priced, standing=standing)
    of_bounded = by_price(quantities, standing.bounded)
    decision = decide(
        request=Request(
            job_class=request.job_class,
            service_class=request.service_class,
            features=request.features,
            amount=max(ZERO, minus(priced.amount, account.held)),
            credit=credit,
            quantities=of_bounded,
        ),
        limits=limits_of(account, terms, standing, at=now),
        load=load_of(account, hours),
        money=money_of(
            account,
            hours,
            at=now,
            period_ends_at=max(segment.whole_end for segment in standing.segments),
            credit=free_credit(account.customer_id, credit, request.job_class, now=now),
        ),
    )
    return _Weighed(
        decision, standing, priced, quantities, pending, hours, terms, credit, of_bounded
    )


def _priced(
    account: Account, likely: Likely, *, standing: Standing
) -> tuple[dict[Cell, Decimal], dict[Cell, Decimal], Priced]:
    """Return at which quantities the job is held, all that is pending with it, and its price."""
    quantities, before = likely.quantities, read(account.pending)
    pending = added(before, quantities)
    priced = price_pending(standing, pending)
    if priced.unpriced and price_pending(standing, quantities).unpriced:
        quantities = likely.loose
        pending = added(before, quantities)
        priced = price_pending(standing, pending)
    return quantities, pending, priced


def _admitted(
    account: Account, asked: _Asked, weighed: _Weighed, *, now: datetime
) -> tuple[NewJob, dict[str, Any]]:
    """Return the job and its answer, neither stored."""
    held = max(ZERO, minus(weighed.priced.amount, account.held))
    job = _job(account, asked, weighed, held=held, now=now)
    parent = asked.request.parent
    body = job_answer(
        job,
        customer=account.customer,
        workspace=account.workspace,
        job_class=asked.request.job_class,
        currency=account.currency,
        parent=str(parent) if parent else None,
    )
    return job, body


def _credit_needed(account: Account, after: Priced, *, standing: Standing) -> Mapping[str, Decimal]:
    """Return what a job adds to the credit that pending jobs use, by unit."""
    if not after.credits:
        return {}
    before = price_pending(standing, read(account.pending)).credits
    more = {
        unit: minus(quantity, before.get(unit, ZERO)) for unit, quantity in after.credits.items()
    }
    return {unit: quantity for unit, quantity in more.items() if quantity > 0}


def _job(
    account: Account, asked: _Asked, weighed: _Weighed, *, held: Decimal, now: datetime
) -> NewJob:
    request, found = asked.request, asked.likely.estimate
    return NewJob(
        public_id=uuid4(),
        key=asked.key,
        request_digest=asked.digest,
        customer_id=account.customer_id,
        workspace_id=account.workspace_id,
        parent_id=account.parent_id,
        job_class_id=account.class_id,
        service_class=request.service_class,
        input_size=request.input_size,
        dimensions=request.dimensions,
        estimate_low=found.low,
        estimate_expected=found.expected,
        estimate_high=found.high,
        estimate_basis=found.basis,
        estimate_comparable=found.comparable,
        held=held,
        version_id=account.version_id,
        held_quantities=stored(weighed.quantities),
        promised_start_at=_promised(weighed.terms, request.service_class, now=now),
        admitted_at=now,
        silent_at=now + timedelta(seconds=account.silence_seconds),
    )


def _promised(terms: rating.Terms, service_class: str, *, now: datetime) -> datetime | None:
    for one in terms.service_classes:
        if one.key == service_class and one.start_within_minutes is not None:
            return now + timedelta(minutes=one.start_within_minutes)
    return None
