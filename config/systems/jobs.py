"""Run the jobs of pricing systems as services would: over HTTP, at the customer's test clock."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import httpx

from billing import tasks
from config.systems.waiting import Subject, SystemsStuck, wait_until
from plans.catalogue.systems import JobStep, System, month_after
from plans.models import Customer, Plan
from plans.operations.customers import create_customer
from plans.operations.subscriptions import subscribe
from usage.models import Job, Scope
from usage.operations.api_keys import issue_key, revoke_key

CLIENTS = 8
ADMITTED = 201


class Asked(NamedTuple):
    """What came of a request for a job: its id, or why not, and whether it says when to retry."""

    id: str
    code: str
    retry: bool


def run_all(
    subjects: Sequence[Subject], *, url: str, host: str, run: str, now: datetime
) -> dict[str, list[str]]:
    """Do every step of every system's jobs in order; return what was not as stated, by system.

    Raises SystemsStuck where the API refuses what is no request for a job.
    """
    chosen = [subject for subject in subjects if subject.system.jobs]
    if not chosen:
        return {}
    scopes = [Scope.JOBS, Scope.READ, Scope.BUDGETS, Scope.TEST]
    key, secret = issue_key(name=f"Jobs of systems, {run}", scopes=scopes, now=now)
    headers = {
        "Authorization": f"Bearer {secret}", "Host": host, "X-Forwarded-Proto": "https",
    }  # fmt: skip
    try:
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            return {
                subject.system.system: list(_Service(client, subject, run=run).play(now=now))
                for subject in chosen
            }
    finally:
        revoke_key(key_id=key.pk, now=now)


class _Service:
    """A service that runs one system's jobs, and the customer that sets its budget."""

    def __init__(self, client: httpx.Client, subject: Subject, *, run: str) -> None:
        self._client, self._run = client, run
        self._system, self._customer = subject
        self._other: Customer | None = None
        self._running: list[str] = []
        self._count = 0

    def play(self, *, now: datetime) -> Iterable[str]:
        """Do the steps; yield each difference from what they must come to."""
        for step in self._system.jobs:
            customer = self._elsewhere(now=now) if step.elsewhere else self._customer
            self._move_clock(customer, step.time)
            for difference in self._do(step, customer):
                yield f"{step.do} on {step.time:%d %B %H:%M}: {difference}"
        ids = [each.pk for each in (self._customer, self._other) if each is not None]
        unrated = Job.objects.filter(customer_id__in=ids, rated_at=None)
        wait_until(
            lambda: not unrated.exists(),
            what="ratings of jobs",
            nudge=lambda: tasks.rate_customers.delay(ids),
        )

    def _do(self, step: JobStep, customer: Customer) -> Iterable[str]:
        if step.do in ("run", "start", "ask"):
            return self._ask_for_jobs(step, customer)
        if step.do == "finish":
            jobs, self._running = self._running, []
            self._in_parallel(lambda job: self._complete(job, step), jobs)
            return []
        if step.do == "budget":
            self._put_budget(customer, step.budget)
            return []
        return self._estimate(step, customer) if step.do == "estimate" else self._alerts(step)

    def _ask_for_jobs(self, step: JobStep, customer: Customer) -> Iterable[str]:
        keys = [f"{self._run}.{self._count + number}" for number in range(step.count)]
        self._count += step.count
        at_once = step.do == "run" and not step.waits_s and not step.lasts_s
        asked = self._in_parallel(
            lambda key: self._ask(step, customer, key=key, complete=at_once),
            keys,
            clients=1 if step.one_by_one else CLIENTS,
        )
        jobs = [each.id for each in asked if each.id]
        refused = Counter(each.code for each in asked if each.code)
        if step.do == "start":
            self._running += jobs
        elif not at_once:
            self._finish(jobs, step, customer)
        if refused != Counter(step.refused):
            yield f"refused as {dict(refused)} instead of {step.refused}"
        if step.retry and not all(each.retry for each in asked if each.code):
            yield "a refusal does not say when to ask again"

    def _ask(self, step: JobStep, customer: Customer, *, key: str, complete: bool) -> Asked:
        body = {
            "subject": customer.key, "job_class": step.job_class, "input_size": step.input_size,
            "service_class": step.service_class,
        }  # fmt: skip
        dry = {"dry_run": "true"} if step.do == "ask" else {}
        answer = self._client.post(
            "/api/v1/jobs", json=body, params=dry, headers={"Idempotency-Key": key}
        )
        said = answer.json()
        if answer.status_code in (200, ADMITTED):
            if complete:
                self._complete(said["id"], step)
            return Asked("" if dry else said["id"], "", False)
        if answer.status_code not in (402, 403, 429):
            raise SystemsStuck(f"POST /api/v1/jobs answered {answer.status_code}: {answer.text}")
        return Asked("", said["code"], "Retry-After" in answer.headers)

    def _finish(self, jobs: Sequence[str], step: JobStep, customer: Customer) -> None:
        started = step.time + timedelta(seconds=step.waits_s)
        if step.waits_s:
            self._move_clock(customer, started)
        if step.waits_s or step.lasts_s:
            self._in_parallel(lambda job: self._post(f"jobs/{job}/attempts", {}), jobs)
        if step.lasts_s:
            self._move_clock(customer, started + timedelta(seconds=step.lasts_s))
        self._in_parallel(lambda job: self._complete(job, step), jobs)

    def _complete(self, job: str, step: JobStep) -> None:
        start = step.time + timedelta(seconds=step.waits_s)
        end = start + timedelta(seconds=step.lasts_s)
        usage = [
            {
                "key": str(place), "type": report.type, "data": report.data,
                **({"time": start.isoformat(), "until": end.isoformat()} if report.spans else {}),
            }
            for place, report in enumerate(step.usage)
        ]  # fmt: skip
        self._post(f"jobs/{job}/complete", {"usage": usage})

    def _put_budget(self, customer: Customer, budget: dict[str, Any]) -> None:
        answer = self._client.put(f"/api/v1/customers/{customer.key}/budget", json=budget)
        _expect_ok(answer)

    def _estimate(self, step: JobStep, customer: Customer) -> Iterable[str]:
        body = {
            "subject": customer.key, "job_class": step.job_class, "input_size": step.input_size,
        }  # fmt: skip
        found = self._post("estimates", body)
        has, wants = (found["low"], found["high"]), (step.low, step.high)
        if tuple(map(Decimal, has)) != tuple(map(Decimal, wants)):
            yield f"the estimate is {has[0]} to {has[1]} instead of {wants[0]} to {wants[1]}"

    def _alerts(self, step: JobStep) -> Iterable[str]:
        wanted = list(step.alerts)
        address = f"/api/v1/customers/{self._customer.key}/budget"
        found: list[int] = []

        def are_made() -> bool:
            found[:] = _expect_ok(self._client.get(address))["alerted_percents"]
            return len(found) >= len(wanted)

        wait_until(
            are_made,
            what=f"alerts at {wanted}",
            nudge=lambda: tasks.alert_budgets.delay([self._customer.pk]),
        )
        if found != wanted:
            yield f"alerts at {found} instead of {wanted}"

    def _elsewhere(self, *, now: datetime) -> Customer:
        """Return another customer on the same plan, for the time of this one."""
        if self._other is None:
            system = self._system
            begins = datetime(system.month.year, system.month.month, 1, tzinfo=UTC)
            self._other = create_customer(
                key=f"{self._customer.key}.other", name=f"{system.system}, another customer",
                currency=self._customer.currency, grace_hours=0, clock_at=begins,
            )  # fmt: skip
            subscribe(
                customer=self._other, plan=Plan.objects.get(key=system.plan), starts_at=begins,
                ends_at=_end_of(system), now=now,
            )  # fmt: skip
        return self._other

    def _move_clock(self, customer: Customer, to: datetime) -> None:
        self._post(f"customers/{customer.key}/clock", {"at": to.isoformat()})

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return _expect_ok(self._client.post(f"/api/v1/{path}", json=body))

    def _in_parallel(
        self, act: Callable[[str], Any], items: Sequence[str], *, clients: int = CLIENTS
    ) -> list[Any]:
        with ThreadPoolExecutor(clients) as pool:
            return list(pool.map(act, items))


def _expect_ok(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code not in (200, 201):
        raise SystemsStuck(f"{answer.url} answered {answer.status_code}: {answer.text[:500]}")
    found: dict[str, Any] = answer.json()
    return found


def _end_of(system: System) -> datetime:
    end = system.month
    for _ in system.expected:
        end = month_after(end)
    return datetime(end.year, end.month, end.day, tzinfo=UTC)
