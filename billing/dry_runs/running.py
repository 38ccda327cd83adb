"""Run a dry run: claim it, rate its customers chunk by chunk, and end it."""

import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import DatabaseError, connection
from django.db.models import Q

from billing.dry_runs.comparing import VersionChanged, compare
from billing.dry_runs.operations import (
    fail_dry_run,
    finish_dry_run,
    release_dry_run,
    sample_of,
    start_dry_run,
    store_outcomes,
)
from billing.dry_runs.outcome import Outcome
from billing.dry_runs.sample import Tested, tested_after
from billing.locks import claim_dry_run
from billing.models import DryRun
from billing.runs import no_cycle_search
from billing.statements.operations import ClaimLost

logger = logging.getLogger(__name__)

CHUNK = 1000
ABANDONED_MAX = 50
TRIED_FOR = timedelta(days=1)
_GIVEN_UP = "It could not be finished within a day. Start another dry run."


class Clock(NamedTuple):
    """The instant at which a task started, by which later ones are told."""

    now: datetime
    started_s: float

    @property
    def elapsed_s(self) -> float:
        """Return the seconds since."""
        return time.monotonic() - self.started_s

    @property
    def at(self) -> datetime:
        """Return the present instant."""
        return self.now + timedelta(seconds=self.elapsed_s)


def run_dry_run(
    *, run_id: int, now: datetime, seconds_max: float = 600, chunk: int = CHUNK
) -> bool:
    """Work on a dry run until it is finished or the time is up; return whether work is left.

    Safe to run twice and at the same time: the run is claimed, and what is done is not done again.
    """
    clock = Clock(now, time.monotonic())
    run = claim_dry_run(run_id=run_id, now=now)
    if run is None:
        return False
    try:
        if now - run.requested_at > TRIED_FOR:
            fail_dry_run(run, code="given_up", reason=_GIVEN_UP, now=now)
            return False
        return _run(run, clock=clock, seconds_max=seconds_max, chunk=chunk)
    except ClaimLost as error:
        logger.warning("dry run %s was given up: %s", run_id, error)
    except VersionChanged as error:
        fail_dry_run(run, code=error.code, reason=error.message, now=clock.at)
    return False


def abandoned_runs(*, now: datetime) -> list[int]:
    """Return the ids of the oldest dry runs that are not finished and that no worker has."""
    free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    unfinished = DryRun.objects.filter(free, finished_at=None)
    return list(unfinished.order_by("id").values_list("id", flat=True)[:ABANDONED_MAX])


def _run(run: DryRun, *, clock: Clock, seconds_max: float, chunk: int) -> bool:
    start_dry_run(run, now=clock.now)
    sample, reached = sample_of(run), run.reached_customer_id
    customers_max = max(1, chunk // sample.months.length)
    while customers := tested_after(sample, after=reached, limit=customers_max):
        reached = customers[-1].customer_id
        _isolating_failures(run, customers)
        if clock.elapsed_s > seconds_max:
            release_dry_run(run)
            return True
    finish_dry_run(run, now=clock.at)
    return False


def _isolating_failures(run: DryRun, customers: Sequence[Tested]) -> None:
    """Do a chunk at once; if it fails as a whole, halve it until the bad one stands alone."""
    try:
        with no_cycle_search():
            _rate(run, customers)
    except (DatabaseError, ArithmeticError, LookupError, ValueError, TypeError) as error:
        if connection.in_atomic_block and connection.needs_rollback:
            raise
        if len(customers) == 1:
            logger.exception("customer %s failed in dry run %s", customers[0].key, run.pk)
            _store_failed(run, customers[0], error)
            return
        middle = len(customers) // 2
        _isolating_failures(run, customers[:middle])
        _isolating_failures(run, customers[middle:])


def _rate(run: DryRun, customers: Sequence[Tested]) -> None:
    with_periods = [customer for customer in customers if customer.periods]
    rated = [customer for customer in with_periods if customer.currency == run.currency]
    outcomes: list[Outcome] = []
    if rated:
        outcomes = compare(
            rated,
            plan_id=run.plan_id,
            version_id=run.version_id,
            terms_digest=run.terms_digest,
        )
    store_outcomes(
        run,
        outcomes,
        done=len(customers),
        of_other_currency=len(with_periods) - len(rated),
        reached=customers[-1].customer_id,
    )


def _store_failed(run: DryRun, customer: Tested, error: Exception) -> None:
    failed = Outcome(
        customer_id=customer.customer_id,
        old_amount=None,
        new_amount=None,
        error_code="failed",
        error_reason=f"{type(error).__name__}: {error}",
    )
    store_outcomes(run, [failed], done=1, of_other_currency=0, reached=customer.customer_id)
