"""What a run of pricing systems bills, and how it waits for workers."""

import time
from collections.abc import Callable
from typing import NamedTuple

from plans.catalogue.systems import System
from plans.models import Customer

WAIT_S = 180
NUDGE_S = 2


class SystemsStuck(Exception):
    """The API refused what was sent, or no worker took the tasks in time."""

    code = "systems_stuck"


class Subject(NamedTuple):
    """A system, and the customer that this run bills on it."""

    system: System
    customer: Customer


def wait_until(
    done: Callable[[], bool], *, what: str, nudge: Callable[[], object] | None = None
) -> None:
    """Wait for what a worker does, nudging it again and again as Beat would.

    Raises SystemsStuck after three minutes.
    """
    deadline, next_nudge = time.monotonic() + WAIT_S, 0.0
    while not done():
        if time.monotonic() > deadline:
            raise SystemsStuck(f"No worker made {what} within {WAIT_S} seconds.")
        if nudge is not None and time.monotonic() > next_nudge:
            nudge()
            next_nudge = time.monotonic() + NUDGE_S
        time.sleep(0.1)
