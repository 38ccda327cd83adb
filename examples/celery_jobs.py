"""Celery tasks as Tollgate jobs. A service gains estimates, limits, budgets and billing by this:

    @app.task(bind=True, acks_late=True, max_retries=None)
    @billed(tollgate, job_class="render", input_size=lambda scene, **_: scene["frames"])
    def render(job, scene, *, customer):
        for frame in frames_of(scene):
            job.check()                                     # raises Stopped when the budget ends
            draw(frame)
        job.used("frames", "render.completed", frames=len(scene))

    render.delay(scene, customer="acme")

The task's id is the job's key: a task that is handed out again goes on with the same job. A refusal
that time can help is a retry at its Retry-After; any other one fails the task with NotAdmitted. An
exception fails the job: InputError by its input, any other by the provider, which is not billed.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from jobs_client import Job, NotAdmitted, Tollgate, Usage, used

HEARTBEAT_S = 30.0
logger = logging.getLogger(__name__)


class InputError(Exception):
    """What was asked for cannot be done: the job fails by its input."""


class Stopped(Exception):
    """Tollgate says that the job is to stop: its budget, with the grace amount, is used up."""


class Running:
    """A job as the task sees it: what it reports, and whether it is to go on."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.verdict = "continue"
        self._unsent: list[Usage] = []
        self._lock = threading.Lock()

    def used(self, key: str, type_: str, **data: Any) -> None:
        """Report usage, once for its key: it goes out with the next heartbeat, or at the end."""
        with self._lock:
            self._unsent.append(used(key, type_, **data))

    def check(self) -> None:
        """Raise Stopped where the job is to stop. Call it between pieces of work."""
        if self.verdict == "stop":
            raise Stopped("The budget is used up.")

    def take(self) -> list[Usage]:
        """Return what was not reported yet."""
        with self._lock:
            taken, self._unsent = self._unsent, []
        return taken

    def beat(self) -> None:
        """Send a heartbeat with what was used; what could not be sent goes with the next one."""
        taken = self.take()
        try:
            self.verdict = self.job.heartbeat(taken)
        except Exception:
            with self._lock:
                self._unsent = taken + self._unsent
            raise


def billed(
    tollgate: Tollgate,
    *,
    job_class: str,
    input_size: Callable[..., Any] = lambda *_, **__: 1,
    heartbeat_s: float = HEARTBEAT_S,
    **said: Any,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Run a bound task as a job of the customer or workspace in its argument ``customer``.

    ``input_size`` is called with the task's own arguments; ``said`` goes into the request as it is
    (`service_class`, `dimensions`).
    """

    def decorate(work: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(work)
        def run(task: Any, *args: Any, customer: str, **kwargs: Any) -> Any:
            job = _ask(
                task, tollgate, subject=customer, job_class=job_class,
                input_size=str(input_size(*args, **kwargs)), **said,
            )  # fmt: skip
            if job.has_ended:
                return None
            job.begin()
            return _work(job, lambda running: work(running, *args, customer=customer, **kwargs),
                         heartbeat_s=heartbeat_s)  # fmt: skip

        return run

    return decorate


def _ask(task: Any, tollgate: Tollgate, **asked: Any) -> Job:
    try:
        return tollgate.ask(key=f"celery:{task.request.id}", **asked)
    except NotAdmitted as refusal:
        if refusal.retry_after_s is None:
            raise
        raise task.retry(countdown=refusal.retry_after_s, exc=refusal) from refusal


def _work(job: Job, work: Callable[[Running], Any], *, heartbeat_s: float) -> Any:
    running = Running(job)
    try:
        with _heartbeats(running, every_s=heartbeat_s):
            result = work(running)
    except Stopped as stop:
        job.cancel(str(stop), running.take())
        raise
    except InputError as error:
        job.fail("input", str(error)[:1000], running.take())
        raise
    except Exception as error:
        job.fail("provider", f"{type(error).__name__}: {error}"[:1000], running.take())
        raise
    job.complete(running.take())
    return result


@contextmanager
def _heartbeats(running: Running, *, every_s: float) -> Iterator[None]:
    """Beat in a thread until the block ends; a heartbeat that fails is made up for by the next."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(every_s):
            try:
                running.beat()
            except Exception as error:  # noqa: BLE001 - the work goes on; a silent job expires
                logger.warning("A heartbeat of job %s failed: %s", running.job.id, error)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
