"""Claim, verify and dispute the outcomes of pricing systems, as services and finance would."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import httpx

from config.systems.waiting import Subject, SystemsStuck, wait_until
from plans.catalogue.systems import Claims, System
from plans.models import OutcomeContract, Plan
from plans.operations.contracts import create_contract, publish_contract
from usage import tasks
from usage.models import Outcome, Scope, StepVia
from usage.operations.api_keys import issue_key, revoke_key
from usage.operations.outcome_steps import Actor, take_step

BATCH = 1000
_BY_API = frozenset({"verify", "reject", "dispute"})
_REASON = "As the pricing system states."


def publish(systems: Sequence[System], *, now: datetime) -> None:
    """Put the systems' contracts into force; those that are there must say the same.

    Raises SystemsStuck, and what publishing a contract raises.
    """
    for system in systems:
        plan = Plan.objects.get(key=system.plan)
        begins = datetime(system.month.year, system.month.month, 1, tzinfo=UTC)
        for contract in system.contracts:
            known = OutcomeContract.objects.filter(key=contract.key).first()
            if known is None:
                version = create_contract(
                    key=contract.key, name=contract.name, currency="USD", plan=plan,
                    content=contract.content,
                )  # fmt: skip
                publish_contract(version=version, effective_from=begins, by=None, now=now)
            elif not known.versions.filter(
                content=contract.content, effective_from__lte=begins
            ).exists():
                raise SystemsStuck(f"The contract {contract.key} is there with other terms.")


class Sender:
    """Sends what happened to outcomes, in the order of its time within what was closed before."""

    def __init__(self, *, url: str, host: str, run: str, now: datetime) -> None:
        self._url, self._host, self._run, self._now = url, host, run, now
        self._ids: dict[str, int] = {}

    def send(self, subjects: Sequence[Subject]) -> None:
        """Claim all outcomes, each twice, and take the steps before anything is closed."""
        chosen = [subject for subject in subjects if subject.system.outcomes]
        if not chosen:
            return
        claims = self._all_claims(chosen)
        with self._client() as client:
            while batch := list(islice(claims, BATCH)):
                self._claim(client, batch, accepted=len(batch))
                self._claim(client, batch, accepted=0)
            self._take_steps(client, chosen, closed=0)
        self._settle([each for each in chosen if not _goes_on(each.system)])

    def go_on(self, subjects: Sequence[Subject]) -> None:
        """Take the steps that come after a month was closed."""
        with self._client() as client:
            self._take_steps(client, subjects, closed=1)
        self._settle(subjects)

    def _client(self) -> "_KeyedClient":
        return _KeyedClient(url=self._url, host=self._host, run=self._run, now=self._now)

    def _all_claims(self, subjects: Sequence[Subject]) -> Iterator[dict[str, Any]]:
        for system, customer in subjects:
            for place, claims in enumerate(system.outcomes):
                for number in range(claims.count):
                    at = claims.time + timedelta(seconds=number * claims.every_s)
                    yield {
                        "id": self._key(system, place, number),
                        "contract": claims.contract,
                        "subject": customer.key,
                        "happened_at": at.isoformat(),
                        "claimed_at": at.isoformat(),
                        "evidence": claims.evidence,
                        **({} if claims.value is None else {"value": claims.value}),
                    }

    def _key(self, system: System, place: int, number: int) -> str:
        return f"{self._run}.{system.system}.{place}.{number}"

    def _claim(self, client: httpx.Client, batch: list[dict[str, Any]], *, accepted: int) -> None:
        answer = client.post("/api/v1/outcomes", json=batch)
        if answer.status_code != 200 or answer.json()["accepted"] != accepted:
            raise SystemsStuck(
                f"POST /api/v1/outcomes answered {answer.status_code}: {answer.text[:500]}"
            )
        self._ids |= {each["id"]: each["outcome"] for each in answer.json()["outcomes"]}

    def _take_steps(
        self, client: httpx.Client, subjects: Sequence[Subject], *, closed: int
    ) -> None:
        for system, _ in subjects:
            for place, claims in enumerate(system.outcomes):
                ids = [
                    self._ids[self._key(system, place, number)] for number in range(claims.count)
                ]
                self._take_steps_of(client, claims, ids, closed=closed)

    def _take_steps_of(
        self, client: httpx.Client, claims: Claims, ids: Sequence[int], *, closed: int
    ) -> None:
        for step in claims.steps:
            for outcome in ids if step.closed == closed else ():
                if step.do in _BY_API:
                    said = {"reason": _REASON, "at": step.time.isoformat()}
                    answer = client.post(f"/api/v1/outcomes/{outcome}/{step.do}", json=said)
                    if answer.status_code != 200:
                        raise SystemsStuck(f"{answer.url} answered {answer.text[:500]}")
                else:
                    take_step(
                        outcome=Outcome.objects.get(pk=outcome), action=step.do,
                        actor=Actor(StepVia.STAFF, who="finance"), reason=_REASON, at=step.time,
                        now=self._now,
                    )  # fmt: skip

    def _settle(self, subjects: Sequence[Subject]) -> None:
        """Let time do its part, as Beat does: silence after the window decides."""
        ids = [customer.pk for _, customer in subjects]
        tasks.settle_outcomes.delay(ids)
        due = Outcome.objects.filter(
            customer_id__in=ids, state="pending", verify_by__lte=self._now
        ).exclude(verify_by=None)
        wait_until(lambda: not due.exists(), what="decisions of silence")


def _goes_on(system: System) -> bool:
    """Say whether steps follow what is closed: what they decide must not be decided by silence."""
    return system.months_at_first < len(system.expected)


class _KeyedClient(httpx.Client):
    """A client with an API key for its length."""

    def __init__(self, *, url: str, host: str, run: str, now: datetime) -> None:
        self._key, secret = issue_key(
            name=f"Outcomes of systems, {run}", scopes=[Scope.OUTCOMES], now=now
        )
        self._now = now
        headers = {
            "Authorization": f"Bearer {secret}",
            "Host": host,
            "X-Forwarded-Proto": "https",
        }
        super().__init__(base_url=url, headers=headers, timeout=60)

    def __exit__(self, *said: Any) -> None:
        super().__exit__(*said)
        revoke_key(key_id=self._key.pk, now=self._now)
