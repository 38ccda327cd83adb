"""What Beat and workers run for usage. Each is safe to run twice, and beside another."""

from celery import shared_task
from django.utils import timezone

from usage.operations import outcome_deadlines, partitions, quarantine, rollup

SECONDS_MAX = 240


@shared_task
def roll_up() -> None:
    """Add the events that were stored since the last run to the rollups."""
    report = rollup.roll_up(now=timezone.now(), seconds_max=SECONDS_MAX)
    if not report.is_caught_up:
        roll_up.delay()


@shared_task
def keep_partitions() -> None:
    """Make the event tables of this month and the next three."""
    partitions.keep_partitions(now=timezone.now())


@shared_task
def replay_quarantine() -> None:
    """Store the quarantined events whose customer or type is known by now."""
    quarantine.replay(now=timezone.now())


@shared_task
def settle_outcomes(customer_ids: list[int] | None = None) -> None:
    """Decide outcomes whose window is over, and release what was held back."""
    report = outcome_deadlines.settle_due(now=timezone.now(), customers=customer_ids)
    if not report.is_done:
        settle_outcomes.delay(customer_ids)
