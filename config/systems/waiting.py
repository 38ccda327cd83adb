"""What a run of pricing systems bills, and how it waits for workers."""

import time
from collections.abc import Callable
from typing import NamedTuple

from plans.catalogue.systems import System
from plans.models import Customer

WAIT_S = 180


class SystemsStuck(Exception):
    """The API refused what was sent, or no worker took the tasks in time."""

    code = "systems_stuck"


class Subject(NamedTuple):
    """A system, and the customer that this run bills on it."""

    system: System
    customer: Customer


def wait_until(done: Callable[[], bool], *, what: str) -> None:
    """Wait for what a worker does. Raises SystemsStuck after three minutes."""
    deadline = time.monotonic() + WAIT_S
    while not done():
        if time.monotonic() > deadline:
            raise SystemsStuck(f"No worker made {what} within {WAIT_S} seconds.")
        time.sleep(0.1)
