"""Take a step with outcomes: the state, the log and the usage event, all in one transaction."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction

from plans.contracts import event_type, terms_of_version
from plans.errors import OperationError
from plans.models import OutcomeContractVersion
from plans.rating.outcomes import RELEASED, REVERSED, STEP, VERIFIED, OutcomeTerms, quantities
from usage import outcome_sql
from usage.ingest import OWN_SOURCE
from usage.models import Outcome, StepVia
from usage.operations.ingest import store_own
from usage.outcome_states import MOVES, Action, change_of
from usage.screening import SoundRow

REASON_LENGTH_MAX = 2000
_NEED_A_REASON: frozenset[Action] = frozenset({"reject", "dispute", "uphold", "dismiss", "reverse"})
_BY_THE_CUSTOMER = frozenset({StepVia.PORTAL, StepVia.LINK})


class WrongState(OperationError):
    """The outcome does not stand where this step begins."""

    code = "wrong_state"
    http_status = 409


class WindowOver(OperationError):
    """The time to verify, or to dispute, is over."""

    code = "window_over"
    http_status = 409


class NotTheirs(OperationError):
    """The contract has someone else verify."""

    code = "not_theirs"
    http_status = 403


class ReasonMissing(OperationError):
    """Whoever decides against a claim, or on a dispute, says why."""

    code = "reason_missing"
    http_status = 422


class StepTimeRefused(OperationError):
    """The step cannot have been taken then."""

    code = "invalid_time"
    http_status = 422


class Actor(NamedTuple):
    """Who takes a step, and by which way."""

    via: StepVia
    by: AbstractBaseUser | None = None
    who: str = ""


class Moved(NamedTuple):
    """An outcome that a statement moved, and how it stood before."""

    id: int
    before: Any
    steps: int
    version_id: int
    customer_id: int
    workspace_id: int | None
    happened_at: datetime
    key: str
    value: Decimal
    has_bonus: bool
    released_at: datetime | None


class Version(NamedTuple):
    """What a step needs of a contract's version."""

    contract: str
    terms: OutcomeTerms


@transaction.atomic
def take_step(
    *,
    outcome: Outcome,
    action: Action,
    actor: Actor,
    reason: str = "",
    at: datetime | None = None,
    now: datetime,
) -> Outcome:
    """Take a step with one outcome; taken again, nothing happens.

    ``at`` is when it was taken, where it comes later than that; windows are held to it. Raises
    WrongState, WindowOver, NotTheirs, ReasonMissing, StepTimeRefused.
    """
    taken = at or now
    row = Outcome.objects.select_related("version__contract").get(pk=outcome.pk)
    if row.state == MOVES[action][1]:
        return row
    reason = reason.strip()
    if action in _NEED_A_REASON and not reason:
        raise ReasonMissing("Say why.", field="reason")
    if len(reason) > REASON_LENGTH_MAX:
        raise ReasonMissing(f"Say it in {REASON_LENGTH_MAX} characters.", field="reason")
    if not row.claimed_at <= taken <= now:
        raise StepTimeRefused("The time lies before the claim, or ahead.", field="at")
    _refuse_late(row, action, actor=actor, at=taken)
    moved = move([row.pk], action=action, actor=actor, reason=reason, at=taken, now=now)
    if not moved:
        raise _wrong_state(row, action)
    row.refresh_from_db()
    return row


def move(
    ids: Sequence[int],
    *,
    action: Action,
    actor: Actor,
    reason: str,
    at: datetime,
    now: datetime,
) -> list[Moved]:
    """Move those outcomes that stand where the action begins, and return them.

    In the caller's transaction: the usage events are stored with the states, or neither is.
    """
    begins, ends = MOVES[action]
    with connection.cursor() as cursor:
        cursor.execute(
            outcome_sql.MOVE_OUTCOMES,
            {
                "ids": list(ids), "begins": sorted(begins), "ends": ends, "at": at, "now": now,
                "what": action, "via": actor.via.value, "by": actor.by.pk if actor.by else None,
                "who": actor.who, "reason": reason,
            },
        )  # fmt: skip
        moved = [Moved(*row) for row in cursor.fetchall()]
    changes = {each.id: change_of(each.before, action=action) for each in moved}
    record([each for each in moved if changes[each.id]], changes=changes, now=now)
    return moved


def release(*, customers: Sequence[int] | None, limit: int, now: datetime) -> int:
    """Release what was held back of outcomes that are due; return of how many."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            outcome_sql.RELEASE_OUTCOMES,
            {"now": now, "customers": None if customers is None else list(customers),
             "limit": limit},
        )  # fmt: skip
        moved = [Moved(*row) for row in cursor.fetchall()]
        record(moved, changes=dict.fromkeys((each.id for each in moved), 0), now=now)
    return len(moved)


def record(moved: Sequence[Moved], *, changes: dict[int, int], now: datetime) -> None:
    """Store the usage events of moves: +1 counts from now on, -1 no more, 0 is released."""
    if not moved:
        return
    versions = load_versions({each.version_id for each in moved})
    subjects = _subjects({each.customer_id for each in moved})
    store_own(
        [
            _event(
                each, versions[each.version_id], change=changes[each.id],
                subject=subjects[each.customer_id, each.workspace_id],
            )
            for each in moved
        ],
        now=now,
    )  # fmt: skip


def load_versions(ids: Iterable[int]) -> dict[int, Version]:
    """Return contract versions by id."""
    rows = OutcomeContractVersion.objects.filter(pk__in=set(ids)).select_related("contract")
    return {row.pk: Version(row.contract.key, terms_of_version(row)) for row in rows}


def event_row(
    *, outcome_id: int, step: int, contract: str, subject: str, happened_at: datetime,
    data: dict[str, Any],
) -> SoundRow:  # fmt: skip
    """Return the usage event of one step; it lies where the outcome happened."""
    key = f"{outcome_id}.{step}"
    return (OWN_SOURCE, key, event_type(contract), happened_at, subject, data)


def _event(moved: Moved, version: Version, *, change: int, subject: str) -> SoundRow:
    data: dict[str, Any] = {"outcome": moved.key}
    given: dict[str, Any] = {"value": moved.value, "has_bonus": moved.has_bonus}
    if change == 0:
        data[STEP] = RELEASED
        data |= quantities(version.terms, sign=1, released=True, **given)
    else:
        data[STEP] = VERIFIED if change > 0 else REVERSED
        data |= quantities(version.terms, sign=change, **given)
        if change < 0 and moved.released_at is not None:
            data |= quantities(version.terms, sign=change, released=True, **given)
    return event_row(
        outcome_id=moved.id, step=moved.steps, contract=version.contract, subject=subject,
        happened_at=moved.happened_at, data=data,
    )  # fmt: skip


def _subjects(customer_ids: Iterable[int]) -> dict[tuple[int, int | None], str]:
    with connection.cursor() as cursor:
        cursor.execute(outcome_sql.SUBJECT_KEYS, [sorted(set(customer_ids))])
        return {(customer, workspace): key for key, customer, workspace in cursor.fetchall()}


def _refuse_late(row: Outcome, action: Action, *, actor: Actor, at: datetime) -> None:
    by = terms_of_version(row.version).verification.by
    if action in ("verify", "reject"):
        if actor.via in _BY_THE_CUSTOMER and by != "customer":
            raise NotTheirs("The contract has someone else verify these outcomes.")
        if row.state == "pending" and row.verify_by is not None and at > row.verify_by:
            raise WindowOver(f"The time to verify was over on {_on(row.verify_by)}.", field="at")
    elif action == "dispute" and row.state == "verified":
        _refuse_late_dispute(row, at=at)


def _refuse_late_dispute(row: Outcome, *, at: datetime) -> None:
    if row.dispute_by is None:
        said = "The contract has no time to dispute."
    elif at > row.dispute_by:
        said = f"The time to dispute was over on {_on(row.dispute_by)}."
    else:
        return
    raise WindowOver(f"{said} Ask finance to reverse the outcome.", field="at")


def _wrong_state(row: Outcome, action: Action) -> WrongState:
    begins = " or ".join(sorted(MOVES[action][0]))
    return WrongState(f"The outcome is {row.state}: only one that is {begins} can be this.")


def _on(at: datetime) -> str:
    return f"{at:%d %B %Y %H:%M %Z}"
