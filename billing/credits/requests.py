"""Grant, move and expire credit: at once, or above a set amount after a second person.

``UnitOfAccount.approval_above`` is the amount, for people and for services alike. Each
``request_…`` returns None where it was done at once, and the request where it waits; asked again
under its key, the same.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils.dateparse import parse_datetime

from billing.credits.granting import grant_credit
from billing.credits.moving import expire_early, transfer
from billing.models import CreditGrant, CreditPool, CreditRequest
from plans.errors import OperationError

_Kind = CreditRequest.Kind
_Status = CreditRequest.Status


class RequestKeyTaken(OperationError):
    """Something else was asked for under the key."""

    code = "request_key_taken"
    http_status = 409


class RequestDecided(OperationError):
    """The request was approved or declined before."""

    code = "request_decided"


class RequestDeclined(OperationError):
    """What was asked for under the key was declined."""

    code = "request_declined"
    http_status = 409


class OwnRequest(OperationError):
    """Who asked for it cannot approve it."""

    code = "own_request"


def request_grant(
    *,
    pool: CreditPool,
    key: str,
    amount: Decimal,
    terms: Mapping[str, Any],
    reason: str,
    now: datetime,
    by_id: int | None,
    api_key_id: int | None = None,
) -> CreditRequest | None:
    """Grant credit for a person or a service; ``terms`` are the other arguments of `grant_credit`.

    Where they do not say otherwise it takes effect when it is granted. Raises what `grant_credit`
    does, RequestKeyTaken.
    """
    return _ask(
        CreditRequest(
            kind=_Kind.GRANT, pool=pool, key=key, amount=amount, terms=_as_text(terms),
            reason=reason, requested_by_id=by_id, requested_key_id=api_key_id, requested_at=now,
        )
    )  # fmt: skip


def grant_or_ask(
    *,
    pool: CreditPool,
    key: str,
    amount: Decimal,
    terms: Mapping[str, Any],
    reason: str,
    now: datetime,
    api_key_id: int,
) -> CreditGrant | CreditRequest:
    """Grant credit for a service, once for its key; above the set amount return what waits.

    Sent again it answers the same, and once the request is approved with the grant. Raises what
    `request_grant` does, RequestDeclined.
    """
    if CreditGrant.objects.filter(pool=pool, key=key).exists():
        return grant_credit(pool=pool, key=key, amount=amount, note=reason, now=now, **terms)
    waiting = request_grant(
        pool=pool, key=key, amount=amount, terms=terms, reason=reason, now=now, by_id=None,
        api_key_id=api_key_id,
    )  # fmt: skip
    if waiting is None:
        return CreditGrant.objects.get(pool=pool, key=key)
    if waiting.status == _Status.DECLINED:
        raise RequestDeclined(
            f"“{key}” was declined: {waiting.answer} Ask for something else under its own key."
        )
    return waiting


def request_transfer(
    *,
    from_grant: CreditGrant,
    to_pool: CreditPool,
    amount: Decimal,
    key: str,
    reason: str,
    now: datetime,
    by_id: int,
) -> CreditRequest | None:
    """Move credit by hand. Raises what `transfer` does, RequestKeyTaken."""
    return _ask(
        CreditRequest(
            kind=_Kind.TRANSFER, pool=from_grant.pool, grant=from_grant, to_pool=to_pool, key=key,
            amount=amount, reason=reason, requested_by_id=by_id, requested_at=now,
        )
    )  # fmt: skip


def request_expiry(
    *, grant: CreditGrant, key: str, reason: str, now: datetime, by_id: int
) -> CreditRequest | None:
    """Let what is free of a grant expire by hand. Raises what `expire_early` does, RequestKeyTaken.

    What is free now decides whether it needs a second person; what is free then expires.
    """
    return _ask(
        CreditRequest(
            kind=_Kind.EXPIRE, pool=grant.pool, grant=grant, key=key, reason=reason,
            amount=grant.remaining - grant.held, requested_by_id=by_id, requested_at=now,
        )
    )  # fmt: skip


@transaction.atomic
def approve_credit_request(*, request: CreditRequest, now: datetime, by_id: int) -> None:
    """Approve what somebody else asked for, and do it.

    Raises OwnRequest, RequestDecided, and what the operation itself does; then nothing changed.
    """
    if request.requested_by_id == by_id:
        raise OwnRequest("You asked for this yourself: another person approves it.")
    _decide(request, status=_Status.APPROVED, approved_by_id=by_id, decided_at=now)
    _do(request, now=now, by_id=request.requested_by_id)


@transaction.atomic
def decline_credit_request(
    *, request: CreditRequest, answer: str, now: datetime, by_id: int
) -> None:
    """Decline a request, or take one's own back, with the reason. Raises RequestDecided."""
    _decide(request, status=_Status.DECLINED, declined_by_id=by_id, decided_at=now, answer=answer)


def _ask(wanted: CreditRequest) -> CreditRequest | None:
    """Do what one person may do alone; store what needs a second one."""
    most = wanted.pool.unit.approval_above
    if most is None or wanted.amount <= most:
        _do(wanted, now=wanted.requested_at, by_id=wanted.requested_by_id)
        return None
    try:
        with transaction.atomic():
            _do(wanted, now=wanted.requested_at, by_id=wanted.requested_by_id)
            raise _TakenBack
    except _TakenBack:
        return _stored(wanted)


class _TakenBack(Exception):
    """What was tried is to leave nothing behind."""


def _stored(wanted: CreditRequest) -> CreditRequest:
    under_key = {"pool": wanted.pool, "kind": wanted.kind, "key": wanted.key}
    values = {
        name: getattr(wanted, name)
        for name in (
            "grant_id", "to_pool_id", "amount", "terms", "reason", "requested_by_id",
            "requested_key_id", "requested_at",
        )
    }  # fmt: skip
    found, is_new = CreditRequest.objects.get_or_create(**under_key, defaults=values)
    same = ("grant_id", "to_pool_id", "amount", "terms")
    if not is_new and any(getattr(found, name) != values[name] for name in same):
        raise RequestKeyTaken(
            f"Something else was asked for under “{wanted.key}”: give this a key of its own.",
            field="key",
        )
    return found


def _decide(request: CreditRequest, **values: Any) -> None:
    waiting = CreditRequest.objects.filter(pk=request.pk, status=_Status.REQUESTED)
    if not waiting.update(**values):
        raise RequestDecided("This was approved or declined already.")


def _do(request: CreditRequest, *, now: datetime, by_id: int | None) -> None:
    said: dict[str, Any] = {"key": request.key, "now": now, "by_id": by_id}
    if request.kind == _Kind.GRANT:
        terms = {"effective_at": now, **_parsed(request.terms)}
        grant_credit(pool=request.pool, amount=request.amount, note=request.reason, **terms, **said)
        return
    assert request.grant is not None
    if request.kind == _Kind.TRANSFER:
        assert request.to_pool is not None
        transfer(
            from_grant=request.grant, to_pool=request.to_pool, amount=request.amount,
            reason=request.reason, **said,
        )  # fmt: skip
        return
    expire_early(grant=request.grant, reason=request.reason, **said)


def _as_text(terms: Mapping[str, Any]) -> dict[str, Any]:
    """Return a grant's terms as they are stored: times and amounts are text."""
    return {
        name: value.isoformat()
        if isinstance(value, datetime)
        else str(value)
        if isinstance(value, Decimal)
        else value
        for name, value in terms.items()
    }


def _parsed(terms: Mapping[str, Any]) -> dict[str, Any]:
    """Return a grant's terms, which are stored as text, as values."""
    times = {
        name: terms[name] and parse_datetime(terms[name])
        for name in ("effective_at", "expires_at")
        if name in terms
    }
    return {**terms, **times, "cost": Decimal(terms.get("cost") or 0)}
