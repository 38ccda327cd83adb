"""Runs over many customers: claim, load, build, store, and go on when one of them fails.

A run is bounded in chunk and in time; what it leaves is still due and the next run finds it. A
customer that cannot be billed is parked with the reason, shown to finance, and tried again when a
person says so or once a day; success clears it.
"""

import gc
import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import DatabaseError, connection

from billing.credits.drawing import CreditMoved
from billing.locks import Claimed, Scope, claim_due, claim_stale, claim_to_finalise
from billing.models import Statement
from billing.statements.build import build
from billing.statements.facts import Loaded, load_facts
from billing.statements.freshness import Drafted, find_stale
from billing.statements.operations import (
    Built,
    ClaimLost,
    finalise,
    send_to_review,
    store_drafts,
    take_back_to_draft,
)
from billing.statements.packs import with_packs
from plans import rating
from plans.overrides import TermsBook

logger = logging.getLogger(__name__)

CHUNK = 1000
REFRESH_AFTER = timedelta(hours=6)
EVERYONE = Scope()


@dataclass(slots=True)
class RunReport:
    """What a run did, counted in statements; ``finished`` says that nothing was left to do."""

    drafted: int = 0
    finalised: int = 0
    sent_to_review: int = 0
    parked: int = 0
    finished: bool = False

    def add(self, other: "RunReport") -> None:
        """Add another report's counts to this one."""
        self.drafted += other.drafted
        self.finalised += other.finalised
        self.sent_to_review += other.sent_to_review
        self.parked += other.parked


class Failure(NamedTuple):
    """Why a statement could not be built."""

    code: str
    reason: str


def draft_due(
    *, now: datetime, seconds_max: float = 600, scope: Scope = EVERYONE, chunk: int = CHUNK
) -> RunReport:
    """Draft every statement that is due, chunk by chunk, until none is left or the time is up."""
    return _run(
        lambda: claim_due(now=now, limit=chunk, scope=scope),
        lambda claimed: _draft(claimed, now=now),
        seconds_max=seconds_max,
    )


def refresh_drafts(
    *,
    now: datetime,
    older_than: timedelta = REFRESH_AFTER,
    seconds_max: float = 600,
    scope: Scope = EVERYONE,
) -> RunReport:
    """Build drafts in their grace time again, with the usage that has come since."""
    return _run(
        lambda: claim_stale(now=now, older_than=older_than, limit=CHUNK, scope=scope),
        lambda claimed: _draft(claimed, now=now),
        seconds_max=seconds_max,
    )


def finalise_due(
    *, now: datetime, seconds_max: float = 600, scope: Scope = EVERYONE, chunk: int = CHUNK
) -> RunReport:
    """Finalise every draft whose grace time is over; those that need a person go to review."""
    return _run(
        lambda: claim_to_finalise(now=now, limit=chunk, scope=scope),
        lambda claimed: _finalise(claimed, now=now),
        seconds_max=seconds_max,
    )


def retry_parked(*, statement_ids: Collection[int] | None = None) -> int:
    """Let parked statements (all, or those named) be claimed again; return how many.

    The reason stays until a success clears it, so that nobody loses sight of it meanwhile.
    """
    parked = Statement.objects.exclude(parked_at=None)
    if statement_ids is not None:
        parked = parked.filter(id__in=statement_ids)
    return parked.update(parked_at=None, claimed_until=None)


def _run(
    claim: Callable[[], list[Claimed]],
    work: Callable[[Sequence[Claimed]], RunReport],
    *,
    seconds_max: float,
) -> RunReport:
    report = RunReport()
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        claimed = claim()
        if not claimed:
            report.finished = True
            break
        with no_cycle_search():
            report.add(_isolating_failures(work, claimed))
    return report


@contextmanager
def no_cycle_search() -> Iterator[None]:
    """Keep Python from searching a chunk's many small values for cycles, which they do not have.

    The search takes a quarter of a run's processor time; what is left is collected after it.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _isolating_failures(
    work: Callable[[Sequence[Claimed]], RunReport], claimed: Sequence[Claimed]
) -> RunReport:
    """Do a chunk at once; if it fails as a whole, halve it until the bad one stands alone."""
    try:
        return work(claimed)
    except ClaimLost as error:
        logger.warning("a chunk was given up: %s", error)
        return RunReport()
    except (DatabaseError, ArithmeticError, LookupError, ValueError, TypeError) as error:
        if connection.in_atomic_block and connection.needs_rollback:
            raise
        if len(claimed) == 1:
            logger.exception("statement %s failed", claimed[0].period.id)
            return park(
                {claimed[0].period.id: Failure("failed", f"{type(error).__name__}: {error}")}
            )
    middle = len(claimed) // 2
    report = _isolating_failures(work, claimed[:middle])
    report.add(_isolating_failures(work, claimed[middle:]))
    return report


def _draft(claimed: Sequence[Claimed], *, now: datetime) -> RunReport:
    loaded = _load(claimed, now=now)
    built, failures = _build(claimed, loaded=loaded)
    if built:
        store_drafts(built, loaded=loaded, claimed=claimed, now=now)
    report = park(failures)
    report.drafted = len(built)
    return report


def _load(claimed: Sequence[Claimed], *, now: datetime) -> Loaded:
    periods = [item.period for item in claimed]
    return with_packs(load_facts(periods), periods=periods, now=now)


def _build(claimed: Sequence[Claimed], *, loaded: Loaded) -> tuple[list[Built], dict[int, Failure]]:
    book = TermsBook(loaded.terms, loaded.agreed)
    terms, agreed = book.terms, book.agreed
    failures = {ref: Failure(error.code, str(error)) for ref, error in loaded.errors.items()}
    built: list[Built] = []
    for item in claimed:
        facts = loaded.facts.get(item.period.id)
        if facts is None:
            continue
        try:
            built.append(Built(item.period, facts, build(facts, terms=terms, agreed=agreed)))
        except rating.RatingError as error:
            failures[item.period.id] = Failure(error.code, str(error))
    return built, failures


def _finalise(claimed: Sequence[Claimed], *, now: datetime) -> RunReport:
    """Bring the drafts up to date, and finalise them or send them to review.

    An approved statement is finalised as the person saw it; what came later is adjusted later.
    """
    failures = _bring_up_to_date([item for item in claimed if not item.approved], now=now)
    current = [item for item in claimed if item.period.id not in failures]
    to_review = [item for item in current if item.needs_approval]
    to_finalise = [item for item in current if not item.needs_approval]
    if to_review:
        send_to_review(to_review)
    finalised = _finalise_chunk(to_finalise, now=now) if to_finalise else 0
    report = park(failures)
    report.finalised, report.sent_to_review = finalised, len(to_review)
    return report


def _finalise_chunk(claimed: Sequence[Claimed], *, now: datetime) -> int:
    """Finalise a chunk; where credit moved, one by one, and what it moved of stays a draft.

    A draft is built again by the next run. What was approved on other credit is approved anew.
    """
    try:
        finalise(claimed, now=now)
    except CreditMoved as error:
        if len(claimed) == 1:
            logger.warning("statement %s waits: %s", claimed[0].period.id, error)
            take_back_to_draft(claimed)
            return 0
        return sum(_finalise_chunk([item], now=now) for item in claimed)
    return len(claimed)


def _bring_up_to_date(drafts: Sequence[Claimed], *, now: datetime) -> dict[int, Failure]:
    """Build the stale drafts again; the others stand: the same facts give the same lines."""
    if not drafts:
        return {}
    stale = find_stale([Drafted(item.period, item.facts, item.horizon) for item in drafts])
    changed = [item for item in drafts if item.period.id in stale]
    if not changed:
        return {}
    return _build_again(changed, now=now)


def _build_again(changed: Sequence[Claimed], *, now: datetime) -> dict[int, Failure]:
    loaded = _load(changed, now=now)
    built, failures = _build(changed, loaded=loaded)
    if built:
        store_drafts(built, loaded=loaded, claimed=changed, now=now, release=False)
    return failures


_PARK = """
UPDATE billing_statement s
SET parked_at = now(), parked_code = f.code, parked_reason = f.reason, claimed_until = NULL
FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS f(id, code, reason) WHERE s.id = f.id
"""


def park(failures: dict[int, Failure]) -> RunReport:
    """Set statements aside with the reason, by id; the run goes on without them."""
    if failures:
        codes = [failure.code for failure in failures.values()]
        reasons = [failure.reason for failure in failures.values()]
        with connection.cursor() as cursor:
            cursor.execute(_PARK, [list(failures), codes, reasons])
    return RunReport(parked=len(failures))
