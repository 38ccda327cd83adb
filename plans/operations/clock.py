"""Move the clock of a customer to test with."""

from datetime import datetime

from django.db import transaction

from plans import locks
from plans.errors import OperationError
from plans.models import Customer


class NoTestClock(OperationError):
    """A real customer lives in real time."""

    code = "no_test_clock"
    http_status = 409


class ClockGoesBack(OperationError):
    """Time only moves on, for a test customer as for a real one."""

    code = "clock_goes_back"
    http_status = 409


@transaction.atomic
def advance_clock(*, customer: Customer, to: datetime) -> Customer:
    """Let a test customer live at a later time from now on. Raises NoTestClock, ClockGoesBack."""
    row = locks.customer(customer_id=customer.pk)
    if row.clock_at is None:
        raise NoTestClock(
            f"“{row.name}” is a real customer: only one that was made with a test clock has one."
        )
    if to < row.clock_at:
        raise ClockGoesBack(
            f"The clock of “{row.name}” stands at {row.clock_at:%Y-%m-%d %H:%M:%S} UTC and only "
            "moves on: state a later time.",
            field="at",
        )
    row.clock_at = to
    row.save(update_fields=["clock_at"])
    return row
