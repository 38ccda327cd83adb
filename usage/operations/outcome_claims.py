"""Take claims of outcomes: once each, whole batches in a few statements."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from django.db import connection, transaction

from plans.contracts import Contract, contracts_by_key
from plans.models import Subject
from plans.queries import subscriptions_in
from plans.rating import local_midnight
from plans.rating.outcomes import STEP, VERIFIED, quantities
from usage import outcome_sql
from usage.ingest import CONFLICT, UNKNOWN_SUBJECT, Fault, Rejection
from usage.limits import accepted_span
from usage.operations.ingest import store_own
from usage.operations.outcome_steps import event_row
from usage.operations.partitions import ensure_partitions, month_of
from usage.outcome_claims import (
    Claim,
    Owner,
    Subscribed,
    Taken,
    TooManyClaims,
    digest_of,
    is_in_sample,
    take,
    text_fault,
    time_fault,
)

CLAIMS_MAX: Final = 1000


class ClaimReport(NamedTuple):
    """What became of claims: ids by place of what is stored, and the places of duplicates."""

    stored: dict[int, int]
    duplicates: frozenset[int]
    rejected: tuple[Rejection, ...]


class _Decision(NamedTuple):
    """How a claim begins: its state, why, and until when what may happen."""

    state: str
    reason: str
    is_sampled: bool
    verify_by: datetime | None
    dispute_by: datetime | None
    release_at: datetime | None


def claim_outcomes(claims: Sequence[Claim], *, who: str = "", now: datetime) -> ClaimReport:
    """Store the claims that are new, decide by rule what can be, and tell of each other one.

    A claim is new unless its customer's contract had one under the same id: with the same content
    it is a duplicate, with other content a `conflict`. What the rules verify is a usage event at
    once, in the same transaction. Raises TooManyClaims.
    """
    if len(claims) > CLAIMS_MAX:
        raise TooManyClaims(f"At most {CLAIMS_MAX} outcomes are taken at once. Split the batch.")
    if not claims:
        return ClaimReport({}, frozenset(), ())
    taken, faults = _sort_out(claims, now=now)
    first, repeats = _first_of_each(taken)
    if first:
        ensure_partitions({month_of(each.claim.happened_at) for each in first.values()})
    rows = [_row(place, each) for place, each in first.items()]
    with transaction.atomic():
        stored = _insert(rows, first, who=who, now=now)
    known = [*repeats.items(), *((n, first[n]) for n in first if n not in stored)]
    same, conflicts = _compare(known)
    rejected = [Rejection(n, claims[n].id, *fault) for n, fault in faults.items()]
    said = "An outcome with this id, but with other content, is claimed already."
    rejected += [Rejection(n, claims[n].id, CONFLICT, said, "id") for n in conflicts]
    return ClaimReport({**stored, **same}, frozenset(same), tuple(sorted(rejected)))


def _sort_out(
    claims: Sequence[Claim], *, now: datetime
) -> tuple[dict[int, Taken], dict[int, Fault]]:
    oldest = accepted_span(now=now).oldest
    faults = {}
    for place, claim in enumerate(claims):
        fault = text_fault(claim) or time_fault(claim, now=now, oldest=oldest)
        if fault is not None:
            faults[place] = fault
    sound = [(place, claim) for place, claim in enumerate(claims) if place not in faults]
    contracts = contracts_by_key({claim.contract for _, claim in sound})
    owners = _owners({claim.subject for _, claim in sound})
    held = _subscriptions(owners.values(), [claim.happened_at for _, claim in sound])
    taken: dict[int, Taken] = {}
    for place, claim in sound:
        found = _take(claim, contracts, owners, held, now=now)
        if isinstance(found, Fault):
            faults[place] = found
        else:
            taken[place] = found
    return taken, faults


def _take(
    claim: Claim,
    contracts: dict[str, Contract],
    owners: dict[str, Owner],
    held: dict[int, list[Subscribed]],
    *,
    now: datetime,
) -> Taken | Fault:
    owner, contract = owners.get(claim.subject), contracts.get(claim.contract)
    if owner is None:
        said = f"No customer or workspace has the key “{claim.subject}”."
        return Fault(UNKNOWN_SUBJECT, said, "subject")
    if contract is None:
        said = f"There is no published contract “{claim.contract}”."
        return Fault("unknown_contract", said, "contract")
    subscribed = held.get(owner.customer_id, [])
    return take(claim, owner=owner, contract=contract, subscribed=subscribed, now=now)


def _owners(keys: set[str]) -> dict[str, Owner]:
    rows = Subject.objects.filter(key__in=keys).values_list(
        "key", "customer_id", "workspace_id", "customer__time_zone", "customer__currency"
    )
    return {
        key: Owner(customer, workspace, zone, currency)
        for key, customer, workspace, zone, currency in rows
    }


def _subscriptions(
    owners: Iterable[Owner], times: Sequence[datetime]
) -> dict[int, list[Subscribed]]:
    ids = {owner.customer_id for owner in owners}
    if not ids:
        return {}
    found: dict[int, list[Subscribed]] = {}
    end = max(times) + timedelta.resolution
    for row in subscriptions_in(customer_ids=ids, start=min(times), end=end):
        subscribed = Subscribed(row.plan_id, row.starts_at, row.ends_at, row.anchor_date)
        found.setdefault(row.customer_id, []).append(subscribed)
    return found


def _first_of_each(taken: dict[int, Taken]) -> tuple[dict[int, Taken], dict[int, Taken]]:
    """Return the first claim under each key, and the rest."""
    first: dict[int, Taken] = {}
    repeats: dict[int, Taken] = {}
    seen = set()
    for place, each in taken.items():
        key = _key(each)
        (repeats if key in seen else first)[place] = each
        seen.add(key)
    return first, repeats


def _key(taken: Taken) -> tuple[int, int, str]:
    return (taken.contract.id, taken.owner.customer_id, taken.claim.id)


def _row(place: int, taken: Taken) -> dict[str, Any]:
    claim, decision = taken.claim, _decide(taken)
    is_decided = decision.state != "pending"
    return {
        "n": place,
        "contract": taken.contract.id,
        "version": taken.version.id,
        "key": claim.id,
        "customer": taken.owner.customer_id,
        "workspace": taken.owner.workspace_id,
        "happened": claim.happened_at,
        "claimed": taken.claimed_at,
        "evidence": claim.evidence,
        "value": taken.assessed.value,
        "bonus": taken.assessed.has_bonus,
        "sampled": decision.is_sampled,
        "job": claim.job,
        "attempt": claim.attempt,
        "digest": digest_of(claim),
        "state": decision.state,
        "steps": 1 + is_decided,
        "decided": taken.claimed_at if is_decided else None,
        "verify_by": decision.verify_by,
        "dispute_by": decision.dispute_by,
        "release": decision.release_at,
        "reason": decision.reason,
    }


def _decide(taken: Taken) -> _Decision:
    """Return how a claim begins: no success is rejected, a rule verifies, all else waits."""
    terms, at = taken.version.terms, taken.claimed_at
    if not taken.assessed.is_success:
        return _Decision("rejected", taken.assessed.reason, False, None, None, None)
    said = terms.verification
    sampled = said.by == "sample" and is_in_sample(
        taken.contract.key, taken.claim.id, percent=said.sample_percent
    )
    is_rest = said.by == "sample" and not sampled
    if said.by == "rule" or (is_rest and not said.apply_rate):
        dispute_by = at + timedelta(days=terms.dispute_days) if terms.dispute_days else None
        held = terms.fee.holdback_days
        release_at = at + timedelta(days=held) if held else None
        return _Decision("verified", "", False, None, dispute_by, release_at)
    verify_by = at + timedelta(hours=said.window_hours)
    if is_rest:
        month_end = _month_end(taken.claim.happened_at, zone=taken.owner.zone)
        verify_by = max(verify_by, month_end + timedelta(hours=said.window_hours))
    return _Decision("pending", "", sampled, verify_by, None, None)


def _month_end(at: datetime, *, zone: str) -> datetime:
    local = at.astimezone(ZoneInfo(zone)).date().replace(day=1)
    return local_midnight((local + timedelta(days=32)).replace(day=1), zone=zone)


_encoder = msgspec.json.Encoder(decimal_format="number")


def _json(rows: Sequence[dict[str, Any]]) -> str:
    return _encoder.encode(rows).decode()


def _insert(
    rows: Sequence[dict[str, Any]], taken: dict[int, Taken], *, who: str, now: datetime
) -> dict[int, int]:
    """Store the rows that are new with their events; return their ids by place."""
    if not rows:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(outcome_sql.INSERT_OUTCOMES, [_json(rows), now, now, who[:200]])
        new = {(contract, customer, key): pk for pk, contract, customer, key in cursor.fetchall()}
    stored = {
        row["n"]: new[row["contract"], row["customer"], row["key"]]
        for row in rows
        if (row["contract"], row["customer"], row["key"]) in new
    }
    verified = [
        (taken[row["n"]], stored[row["n"]])
        for row in rows
        if row["n"] in stored and row["state"] == "verified"
    ]
    store_own([_event(each, outcome_id=pk) for each, pk in verified], now=now)
    return stored


def _event(taken: Taken, *, outcome_id: int) -> Any:
    measured = quantities(
        taken.version.terms,
        value=taken.assessed.value,
        has_bonus=taken.assessed.has_bonus,
        sign=1,
    )
    return event_row(
        outcome_id=outcome_id,
        step=2,
        contract=taken.contract.key,
        subject=taken.claim.subject,
        happened_at=taken.claim.happened_at,
        data={"outcome": taken.claim.id, STEP: VERIFIED, **measured},
    )


def _compare(known: Sequence[tuple[int, Taken]]) -> tuple[dict[int, int], list[int]]:
    """Return the ids of what was claimed before in the same words, and the places of the rest."""
    if not known:
        return {}, []
    asked = [
        {
            "n": place, "contract": each.contract.id, "customer": each.owner.customer_id,
            "key": each.claim.id, "digest": digest_of(each.claim),
        }
        for place, each in known
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(outcome_sql.KNOWN_OUTCOMES, [_json(asked)])
        rows = cursor.fetchall()
    same = {place: pk for place, pk, is_same in rows if is_same}
    return same, sorted(place for place, _, is_same in rows if not is_same)
