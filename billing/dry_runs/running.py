"""Run a dry run: claim it, rate its customers chunk by chunk, and end it."""

import logging
import time
from datetime import datetime, timedelta
from typing import NamedTuple

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
from billing.statements.operations import ClaimLost

logger = logging.getLogger(__name__)

CHUNK = 1000
ABANDONED_MAX = 50


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
    customers_max = max(1, chunk // sample.months.count)
    while customers := tested_after(sample, after=reached, limit=customers_max):
        reached = customers[-1].customer_id
        _rate_chunk(run, customers)
        if clock.elapsed_s > seconds_max:
            release_dry_run(run)
            return True
    finish_dry_run(run, now=clock.at)
    return False


def _rate_chunk(run: DryRun, customers: list[Tested]) -> None:
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
