"""Run work as a Tollgate job: estimate, ask, report while it runs, settle. Needs httpx alone.

    TOLLGATE_URL=https://billing.example.com TOLLGATE_KEY=tg_… python jobs_client.py acme render 240

The key needs the scope `jobs`. Copy this file into a service; `celery_jobs.py` builds on it.
"""

import os
import sys
import time
from contextlib import closing
from typing import Any
from uuid import uuid4

import httpx

TRIES = 4
Usage = dict[str, Any]


class NotAdmitted(Exception):
    """The job may not run now. ``retry_after_s`` is when to ask again; None: time does not help."""

    def __init__(self, problem: dict[str, Any], *, retry_after_s: float | None) -> None:
        super().__init__(problem["detail"])
        self.code, self.rule = problem["code"], problem.get("rule", "")
        self.numbers = problem.get("numbers", {})
        self.retry_after_s = retry_after_s


class Refused(Exception):
    """Tollgate could not do what was asked; ``code`` says why, and nothing was changed."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem["detail"])
        self.code = problem["code"]


class Tollgate:
    """The API of a Tollgate, for one service with its key."""

    def __init__(self, url: str, key: str, *, timeout_s: float = 10) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        self._http = httpx.Client(base_url=f"{url}/api/v1/", headers=headers, timeout=timeout_s)

    def estimate(self, *, subject: str, job_class: str, **said: Any) -> dict[str, Any]:
        """Return low, expected and high in the customer's currency. Nothing is changed."""
        return self.post("estimates", {"subject": subject, "job_class": job_class, **said})

    def ask(self, *, subject: str, job_class: str, key: str, **said: Any) -> "Job":
        """Ask whether a job of a customer or workspace may run. Raises NotAdmitted.

        ``key`` is the service's own name for the job: asked again with it, the same job comes back.
        """
        asked = {"subject": subject, "job_class": job_class, **said}
        return Job(self, self.post("jobs", asked, key=key))

    def post(self, path: str, body: dict[str, Any], *, key: str = "") -> dict[str, Any]:
        """Post, again where the network or the server fails: with a key, that is safe."""
        headers = {"Idempotency-Key": key} if key else {}
        for left in reversed(range(TRIES)):
            try:
                answer = self._http.post(path, json=body, headers=headers)
            except httpx.TransportError:
                if not left:
                    raise
            else:
                if answer.status_code < 500 or not left:
                    return _content(answer)
            time.sleep(0.2 * 2 ** (TRIES - left))
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


class Job:
    """An admitted job. Each step has a key, so that a step sent twice happens once."""

    def __init__(self, tollgate: Tollgate, answer: dict[str, Any]) -> None:
        self._tollgate = tollgate
        self.answer = answer
        self.id: str = answer["id"]
        self.attempt = 0

    @property
    def has_ended(self) -> bool:
        """Say whether nothing more is to be done: it ended in an earlier run of the service."""
        return self.answer["state"] not in ("admitted", "running")

    def begin(self, number: int | None = None) -> None:
        """Begin the next attempt; the first one starts the job."""
        asked = {"number": number} if number else {}
        self.attempt = self._step("attempts", asked, f"begin:{number or uuid4()}")["attempt"]

    def heartbeat(self, usage: list[Usage] | None = None) -> str:
        """Report usage so far, and return `continue`, `finish` or `stop`."""
        key = f"beat:{uuid4()}"
        said = self._tollgate.post(f"jobs/{self.id}/heartbeat", {"usage": usage or []}, key=key)
        self.answer = said["job"]
        verdict: str = said["answer"]
        return verdict

    def complete(self, usage: list[Usage] | None = None) -> dict[str, Any]:
        """End the job as a success, with the last of its usage; `amount` is what it comes to."""
        return self._step("complete", {"usage": usage or []}, "complete")

    def fail(self, cause: str, reason: str, usage: list[Usage] | None = None) -> dict[str, Any]:
        """End the job as a failure by the `provider`, which is not billed, or by its `input`."""
        return self._step("fail", {"cause": cause, "reason": reason, "usage": usage or []}, "fail")

    def cancel(self, reason: str, usage: list[Usage] | None = None) -> dict[str, Any]:
        """Call the job off."""
        return self._step("cancel", {"reason": reason, "usage": usage or []}, "cancel")

    def _step(self, name: str, body: dict[str, Any], key: str) -> dict[str, Any]:
        self.answer = self._tollgate.post(f"jobs/{self.id}/{name}", body, key=f"{self.id}:{key}")
        return self.answer


def used(key: str, type_: str, **data: Any) -> Usage:
    """Return one report of usage; the key is its own within the job, so that it counts once."""
    return {"key": key, "type": type_, "data": data}


def _content(answer: httpx.Response) -> dict[str, Any]:
    if answer.is_success:
        found: dict[str, Any] = answer.json()
        return found
    is_problem = answer.headers.get("Content-Type", "").startswith("application/problem+json")
    if not is_problem:
        answer.raise_for_status()
    problem = answer.json()
    if "rule" in problem:
        wait = answer.headers.get("Retry-After")
        raise NotAdmitted(problem, retry_after_s=float(wait) if wait else None)
    raise Refused(problem)


def main(customer: str, job_class: str, frames: str) -> int:
    """Render some frames as one job, the way a service would."""
    with closing(Tollgate(os.environ["TOLLGATE_URL"], os.environ["TOLLGATE_KEY"])) as tollgate:
        likely = tollgate.estimate(subject=customer, job_class=job_class, input_size=frames)
        print(f"It will cost {likely['low']} to {likely['high']} {likely['currency']}.")
        try:
            job = tollgate.ask(
                subject=customer, job_class=job_class, key=f"render-{uuid4()}", input_size=frames
            )
        except NotAdmitted as refusal:
            print(f"Not now ({refusal.rule}): {refusal}")
            return 1
        job.begin()
        done = 0
        for frame in range(int(frames)):
            done = frame + 1  # Here the work is done.
            if done % 100 == 0 and job.heartbeat() == "stop":
                break
        answer = job.complete([used("frames", "render.completed", frames=done)])
        print(f"It came to {answer['amount']} {answer['currency']}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
