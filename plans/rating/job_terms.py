"""What terms say of jobs: which attempts are billed, and what a hold binds to."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from plans.rating.money import ZERO

BillAttempts = Literal["successful", "all"]
AboveHold = Literal["charge", "cap", "block"]
HoldAt = Literal["low", "expected", "high"]


@dataclass(frozen=True, slots=True)
class JobTerms:
    """How jobs are billed and held.

    Of a job that succeeds its successful attempt is billed, or all of them. Failures by the
    provider never are; those by the input, cancelled jobs and silent ones are billed for what they
    reported where the terms say so. ``above_hold`` says what a job costs beyond its hold: all of it
    (``charge``), no more than the hold (``cap``), or all of it while no further job is admitted
    until it is paid for (``block``). A running job may go beyond a budget by `grace_amount`.
    Service credits for late starts come to at most `late_start_most` in a period.
    """

    bill_attempts: BillAttempts = "successful"
    bill_input_failures: bool = False
    bill_cancelled: bool = True
    bill_expired: bool = True
    hold_at: HoldAt = "high"
    above_hold: AboveHold = "charge"
    grace_amount: Decimal = ZERO
    late_start_most: Decimal | None = None


USUAL_JOBS: Final = JobTerms()
