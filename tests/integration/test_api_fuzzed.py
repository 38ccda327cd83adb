"""Whatever is sent to the API, it answers as its OpenAPI document says, and never with a 500.

Requests as the document allows them and as it does not, over a world in which they find something.
`API_EXAMPLES` sends so many of both kinds to each operation, 8 unless it is set.
"""

import os
from collections import Counter
from decimal import Decimal as D
from typing import Any

import schemathesis
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks

from billing.credits.granting import define_credit_unit, grant_credit, open_pool
from config.wsgi import application
from plans.models import Plan
from tests.fixtures.jobs import Service, job_class, job_grants, rate
from tests.fixtures.outcomes import claim, contract
from tests.fixtures.world import EVER, World, at
from usage.models import Job, Outcome, Scope
from usage.operations.api_keys import issue_key

EXAMPLES = int(os.environ.get("API_EXAMPLES", "8"))
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
SETTINGS = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class Known:
    """A world of which the API can tell something, and the words that name what is in it."""

    def __init__(self, world: World) -> None:
        now = timezone.now()
        acme = world.customer("acme", workspaces=("lab",))
        clocked = world.customer("clocked", clock_at=at(2026, 3, 10))
        plan = _plan(world)
        for customer in (acme, clocked):
            world.subscribe(customer, plan, starts_at=EVER)
        unit = define_credit_unit(code="TOKN", name="Tokens", decimals=2)
        pool = open_pool(customer=acme, key="main", name="Main", unit=unit)
        grant_credit(
            pool=pool, key="g", source="promotion", amount=D(100), effective_at=EVER, now=now
        )
        contract(plan=plan)
        claim("o1", "o2", "o3", at=now)
        world.use("acme", time=at(2026, 2, 3), times=7)
        world.close(now=at(2026, 3, 4))
        _, secret = issue_key(name="all", scopes=list(Scope), now=now)
        self.secrets = [secret] * 12
        self.secrets += [issue_key(name=s, scopes=[s], now=now)[1] for s in Scope]
        service = Service()
        jobs = [service.admit(subject) for subject in ("acme", "lab", "acme")]
        service.post(f"jobs/{jobs[0]}/complete")
        service.post(f"jobs/{jobs[1]}/attempts")
        rate(acme)
        self.words: dict[str, list[Any]] = {
            "key": ["acme", "clocked", "lab"],
            "subject": ["acme", "lab", "clocked"],
            "customer": ["acme", "clocked"],
            "workspace": ["lab"],
            "job_class": ["render"],
            "job_id": [str(job.public_id) for job in Job.objects.order_by("pk")],
            "parent": [jobs[2]],
            "outcome_id": list(Outcome.objects.order_by("pk").values_list("pk", flat=True)),
            "number": [each.number for each in world.statements("acme")],
            "pool": ["main"],
            "contract": ["support"],
            "type": ["jobs"],
            "time": [now.isoformat()],
            "features": [[], ["gpu"]],
            "service_class": [""],
        }


def _plan(world: World) -> Plan:
    meter, own = world.meter(), world.meter("own", event_type="tollgate.job")
    job_class(uses={meter: ("1", "2", "3")})
    return world.plan(
        prices=(
            {"key": "jobs", "model": "per_unit", "amount": D("0.10"), "meter": meter},
            {"key": "own", "model": "per_unit", "amount": D("0.25"), "meter": own},
        ),
        grants=job_grants(limits=(("jobs_per_day", "40", ""),), features=("gpu",)),
    )


def test_the_api_answers_as_it_says(world: World) -> None:
    known = Known(world)
    schema = schemathesis.openapi.from_wsgi("/api/schema/?format=json", application)
    answers: Counter[int] = Counter()
    wrong = []
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in GenerationMode:
            try:
                send(operation, mode=mode, known=known, answers=answers)
            except FailureGroup as failures:
                wrong += [f"{operation.label}: {each}" for each in failures.exceptions]
    assert not wrong, "\n".join(wrong)
    assert {200, 201, 204, 401, 403, 404, 409, 422} <= set(answers)


def send(operation: Any, *, mode: GenerationMode, known: Known, answers: Counter[int]) -> None:
    """Send examples to an operation, and check each answer."""

    @SETTINGS
    @given(
        case=operation.as_strategy(generation_mode=mode),
        which=st.integers(0, 3),
        secret=st.sampled_from(["", "wrong", *known.secrets]),
    )
    def try_it(case: Any, which: int, secret: str) -> None:
        name_known(case, known.words, which)
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        answer = case.call_and_validate(headers=headers, checks=CHECKS)
        answers[answer.status_code] += 1

    try_it()


def name_known(case: Any, words: dict[str, list[Any]], which: int) -> None:
    """Let three of four requests name what there is, where they name anything."""
    if which == 3:
        return
    for place in (case.path_parameters, case.query, case.body):
        for said in place if isinstance(place, list) else [place]:
            for name in words.keys() & said.keys() if isinstance(said, dict) else ():
                said[name] = words[name][which % len(words[name])]
