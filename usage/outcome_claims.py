"""A claim of an outcome: what it may say, and what becomes of it; pure but for its arguments."""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from plans.contracts import Contract, ContractVersion
from plans.rating import billing_period
from plans.rating.outcomes import Assessment, assess
from usage.ingest import TEXT_LENGTH_MAX, Fault, MalformedBody, Rejection, has_nul
from usage.times import BeyondCalendar, in_utc

_LONGEST_PERIOD: Final = timedelta(days=32)


class TooManyClaims(Exception):
    """One request carries more claims than are taken at once; nothing was stored."""

    code = "too_many_outcomes"
    http_status = 413


class Claim(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One claimed result. ``subject`` is the customer's or the workspace's key.

    ``claimed_at`` is when it was claimed where it comes later than that: from a log, say. ``job``
    and ``attempt`` name the work behind it.
    """

    id: str
    contract: str
    subject: str
    happened_at: datetime
    claimed_at: datetime | None = None
    evidence: dict[str, Any] = {}
    value: Any = None
    job: str = ""
    attempt: int | None = None


class Owner(NamedTuple):
    """Who has a subject: a customer, and its workspace where it is one's."""

    customer_id: int
    workspace_id: int | None
    zone: str
    currency: str
    clock_at: datetime | None = None


class Subscribed(NamedTuple):
    """A customer's subscription to a plan."""

    plan_id: int
    starts_at: datetime
    ends_at: datetime | None
    anchor: Any


class Taken(NamedTuple):
    """A claim that can be stored: on which terms, and what the rules make of it."""

    claim: Claim
    owner: Owner
    contract: Contract
    version: ContractVersion
    assessed: Assessment
    claimed_at: datetime


class Received(NamedTuple):
    """A request's claims with their places in it, and those that could not be read."""

    claims: list[Claim]
    places: list[int]
    unreadable: list[Rejection]
    is_single: bool


_raws = msgspec.json.Decoder(list[msgspec.Raw])
_claim = msgspec.json.Decoder(Claim, float_hook=Decimal)


def read_claims(body: bytes, *, claims_max: int) -> Received:
    """Read one claim or a list of them. Raises MalformedBody, TooManyClaims."""
    try:
        is_single = not body.lstrip().startswith(b"[")
        raws = [msgspec.Raw(body)] if is_single else _raws.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MalformedBody(f"The body is not valid JSON: {error}.") from error
    if len(raws) > claims_max:
        raise TooManyClaims(
            f"The request carries {len(raws)} outcomes; at most {claims_max} are taken. Split it."
        )
    found = Received([], [], [], is_single)
    for place, raw in enumerate(raws):
        try:
            found.claims.append(_in_utc(_claim.decode(raw)))
        except BeyondCalendar as error:
            found.unreadable.append(Rejection(place, "", "time_out_of_range", str(error)))
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            said = f"The claim cannot be read: {error}."
            found.unreadable.append(Rejection(place, "", "malformed", said, _field_of(error)))
        else:
            found.places.append(place)
    return found


def _in_utc(claim: Claim) -> Claim:
    claim.happened_at = in_utc(claim.happened_at)
    if claim.claimed_at is not None:
        claim.claimed_at = in_utc(claim.claimed_at)
    return claim


def _field_of(error: Exception) -> str:
    """Return the field that a decoder's error names: `$.value`, or “missing field `id`”."""
    found = re.search(r"`\$\.([\w.]+)|field `(\w+)`", str(error))
    return next((name for name in found.groups() if name), "") if found else ""


def text_fault(claim: Claim) -> Fault | None:
    """Return what is wrong with a claim's own fields, or None."""
    for name in ("id", "contract", "subject"):
        text = getattr(claim, name)
        if not text:
            return Fault("missing_field", f"“{name}” is empty.", name)
    for name in ("id", "contract", "subject", "job"):
        if len(getattr(claim, name)) > TEXT_LENGTH_MAX:
            return Fault(
                "id_too_long", f"“{name}” has more than {TEXT_LENGTH_MAX} characters.", name
            )
    if has_nul([claim.id, claim.contract, claim.subject, claim.job, claim.evidence]):
        return Fault("invalid_data", "A string contains a NUL character.", "evidence")
    if claim.attempt is not None and not 0 < claim.attempt < 2**31:
        return Fault("invalid_data", "“attempt” counts from 1.", "attempt")
    return None


def zone_fault(claim: Claim) -> Fault | None:
    """Return the time that has no offset, or None."""
    for name in ("happened_at", "claimed_at"):
        at = getattr(claim, name)
        if at is not None and at.tzinfo is None:
            return Fault("invalid_time", f"“{name}” needs its offset, such as Z.", name)
    return None


def time_fault(claim: Claim, *, now: datetime, oldest: datetime) -> Fault | None:
    """Return what is wrong with a claim's times, or None. Nothing lies ahead."""
    claimed_at = claim.claimed_at or now
    for name, at in (("happened_at", claim.happened_at), ("claimed_at", claimed_at)):
        if not oldest <= at <= now:
            return Fault("time_out_of_range", f"“{name}” must lie in the past.", name)
    if claimed_at < claim.happened_at:
        said = "“claimed_at” cannot lie before “happened_at”."
        return Fault("invalid_time", said, "claimed_at")
    return None


def take(
    claim: Claim, *, owner: Owner, contract: Contract, subscribed: list[Subscribed], now: datetime
) -> Taken | Fault:
    """Return a claim with the terms that hold for it, or why none do."""
    if contract.customer_id not in (None, owner.customer_id):
        return Fault("unknown_contract", f"“{claim.subject}” has no such contract.", "contract")
    version = contract.version_at(claim.happened_at)
    if version is None:
        said = f"No version of “{contract.key}” is in force at that time."
        return Fault("contract_not_in_force", said, "happened_at")
    fault = _subscription_fault(claim, owner, contract, subscribed)
    if fault is not None:
        return fault
    assessed = assess(version.terms, evidence=claim.evidence, value=claim.value)
    if assessed.problems:
        first = assessed.problems[0]
        return Fault(first.code, first.message, first.field)
    return Taken(claim, owner, contract, version, assessed, claim.claimed_at or now)


def _subscription_fault(
    claim: Claim, owner: Owner, contract: Contract, subscribed: list[Subscribed]
) -> Fault | None:
    """Say why the outcome would have no price: its period began before the contract did."""
    at = claim.happened_at
    held = next(
        (
            each
            for each in subscribed
            if each.starts_at <= at and (each.ends_at is None or at < each.ends_at)
        ),
        None,
    )
    fits = held is not None and contract.plan_id in (None, held.plan_id)
    if held is None or not fits or contract.currency != owner.currency:
        said = f"“{claim.subject}” is not on the contract's plan at that time, in its currency."
        return Fault("not_on_plan", said, "subject")
    begins = contract.versions[0].starts_at
    if begins <= held.starts_at or begins <= at - _LONGEST_PERIOD:
        return None
    period = billing_period(anchor=held.anchor, zone=owner.zone, at=at)
    if begins <= max(period.start, held.starts_at):
        return None
    said = f"“{contract.key}” holds from the billing period on that begins after it did."
    return Fault("contract_not_in_force", said, "happened_at")


def digest_of(claim: Claim) -> str:
    """Return the SHA-256 of what was claimed; a time that was left out says nothing."""
    said = [
        claim.happened_at.astimezone(UTC), claim.subject, _plain(claim.evidence),
        _plain(claim.value), claim.job, claim.attempt,
    ]  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(said, order="deterministic")).hexdigest()


def _plain(value: Any) -> Any:
    """Return JSON in which 1 and 1.0 are the same number."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return value
    found = Decimal(repr(value) if isinstance(value, float) else value).normalize()
    return f"{found:f}"


def is_in_sample(contract: str, key: str, *, percent: Decimal) -> bool:
    """Say whether an outcome belongs to the sample: by its key, so that none can be chosen."""
    return share_of(contract, key) * 100 < percent


def share_of(contract: str, key: str) -> Decimal:
    """Return a number from 0 up to 1 that a key always has, spread evenly over keys."""
    found = hashlib.sha256(f"{contract}\n{key}".encode()).digest()[:8]
    return Decimal(int.from_bytes(found)) / Decimal(2**64)
