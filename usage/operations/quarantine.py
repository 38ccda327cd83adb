"""Take events out of quarantine: by storing them after all, or by a person's word."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, transaction

from plans.errors import OperationError
from usage import sql
from usage.ingest import CloudEvent, Fault, Rejection, read_event
from usage.locks import lock_waiting
from usage.models import QuarantinedEvent
from usage.operations.ingest import ingest

_PER_BATCH = 500
_PER_RUN = 100_000


class NotWaiting(OperationError):
    """The event is no longer in quarantine: it was replayed or dismissed."""

    code = "not_waiting"


class ReasonMissing(OperationError):
    """A dismissal needs a reason."""

    code = "reason_missing"


class ReplayReport(NamedTuple):
    """How many events were stored (or had been already), and how many stay in quarantine."""

    replayed: int
    waiting: int


def replay(
    *, now: datetime, ids: Sequence[int] | None = None, events_max: int = _PER_RUN
) -> ReplayReport:
    """Send quarantined events through the ingest again: these, or all whose cause is mended.

    One that is stored now, or was in the meantime with the same content, leaves the quarantine;
    any other stays, with the reason of this attempt. Runs may overlap: each claims what it takes.
    """
    replayed = waiting = after = 0
    while replayed + waiting < events_max:
        chosen = _candidates(ids, after=after)
        if not chosen:
            break
        after = chosen[-1]
        with transaction.atomic():
            done, left = _replay_batch(chosen, now=now)
        replayed += done
        waiting += left
    return ReplayReport(replayed, waiting)


def dismiss(*, quarantined_id: int, reason: str, by: Any, now: datetime) -> None:
    """Take an event out of quarantine for good: it is not billed, and the reason is kept.

    `by` is the user who says so. Raises ReasonMissing and NotWaiting.
    """
    if not dismiss_many(ids=[quarantined_id], reason=reason, by=by, now=now):
        raise NotWaiting("The event is no longer in quarantine.")


def dismiss_many(*, ids: Sequence[int], reason: str, by: Any, now: datetime) -> int:
    """Dismiss those of these events that still wait; return their number. Raises ReasonMissing."""
    if not reason.strip():
        raise ReasonMissing("Say why the events are dismissed.", field="reason")
    return QuarantinedEvent.objects.filter(pk__in=ids, replayed_at=None, dismissed_at=None).update(
        dismissed_at=now, dismissed_reason=reason.strip(), dismissed_by=by
    )


def _candidates(ids: Sequence[int] | None, *, after: int) -> list[int]:
    with connection.cursor() as cursor:
        if ids is None:
            cursor.execute(sql.REPLAYABLE, [after, _PER_BATCH])
        else:
            cursor.execute(sql.WAITING_OF, [list(ids), after, _PER_BATCH])
        return [pk for (pk,) in cursor.fetchall()]


def _replay_batch(ids: Sequence[int], *, now: datetime) -> tuple[int, int]:
    """Replay those of these events that nobody else has claimed."""
    rows = lock_waiting(ids=ids)
    faults: dict[int, Fault] = {}
    events: list[CloudEvent] = []
    owners: list[int] = []
    for pk, payload in rows:
        found = read_event(payload.encode())
        if isinstance(found, CloudEvent):
            events.append(found)
            owners.append(pk)
        else:
            faults[pk] = found
    for rejection in ingest(events, now=now).rejected:
        faults[owners[rejection.index]] = _as_fault(rejection)
    done = [pk for pk, _ in rows if pk not in faults]
    QuarantinedEvent.objects.filter(pk__in=done).update(replayed_at=now)
    for pk, fault in faults.items():
        QuarantinedEvent.objects.filter(pk=pk).update(code=fault.code, reason=fault.detail)
    return len(done), len(faults)


def _as_fault(rejection: Rejection) -> Fault:
    return Fault(rejection.code, rejection.detail, rejection.field)
