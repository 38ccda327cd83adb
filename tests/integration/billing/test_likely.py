"""What is remembered of alike jobs: it never changes what one of them is admitted at."""

from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from django.utils import timezone

from billing.jobs import likely
from billing.spend import standing
from plans.models import Customer, JobClass, JobClassUsage, ServiceClass
from plans.terms import GrantRows
from tests.fixtures.finished_jobs import finished_job
from tests.fixtures.jobs import Service, job_class, rate
from tests.fixtures.world import EVER, World
from usage import comparable

SEEN = ("estimate", "held", "job_class", "service_class", "input_size", "dimensions", "workspace")
REQUESTS: list[dict[str, Any]] = [
    {"subject": subject, "input_size": size, **more}
    for subject in ("acme", "lab", "other")
    for size in (1, "1.5", 10)
    for more in (
        {}, {"dimensions": {"model": "small"}}, {"dimensions": {"model": "large"}},
        {"dimensions": {"model": "large"}, "service_class": "fast"}, {"job_class": "encode"},
    )
]  # fmt: skip


@pytest.fixture
def customers(world: World) -> dict[str, Customer]:
    """Two customers on one plan: one with 20 jobs of each kind of its own, one with 3."""
    tokens = world.meter("tokens", aggregation="sum", value_property="n", dimensions=["model"])
    work = world.meter("work", aggregation="sum", value_property="n", dimensions=["class"])
    prices = (
        {"key": "tokens", "model": "matrix", "meter": tokens,
         "rates": ((["small"], "0.25"), (["large"], "2"))},
        {"key": "work", "model": "per_unit", "meter": work, "amount": D("0.10"),
         "class_dimension": "class"},
    )  # fmt: skip
    grants = GrantRows(
        service_classes=[
            ServiceClass(key="batch", name="Batch", multiplier=D(1)),
            ServiceClass(key="fast", name="Fast", multiplier=D(3)),
        ]
    )
    plan = world.plan(prices=prices, grants=grants)
    made = {
        "acme": world.customer("acme", workspaces=("lab",)),
        "other": world.customer("other"),
    }
    for customer in made.values():
        world.subscribe(customer, plan, starts_at=EVER)
    for key in ("render", "encode"):
        job_class(key)
        for model, quantity in (("small", 3), ("large", 5)):
            ran(made["acme"], key, model, quantity, times=20)
            ran(made["other"], key, model, quantity + 1, times=3)
    for customer in made.values():
        rate(customer)
    return made


def ran(customer: Customer, key: str, model: str, quantity: int, *, times: int) -> None:
    for place in range(times):
        finished_job(
            customer, JobClass.objects.get(key=key),
            ended_at=timezone.now() - timedelta(hours=2, minutes=place),
            used={"tokens": str(quantity + place), "work": "1"},
            cells={"tokens": [model], "work": ["batch"]},
            dimensions={"model": model},
        )  # fmt: skip


def forget() -> None:
    standing._rated.cache_clear()
    comparable._kept.clear()


def said(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    status, body = service.ask(dry_run=True, **request)
    assert status == 200, body
    return {name: body[name] for name in SEEN}


def test_a_job_that_is_alike_is_admitted_as_if_nothing_were_remembered(
    service: Service, customers: dict[str, Customer]
) -> None:
    alone = []
    for request in REQUESTS:
        forget()
        alone.append(said(service, request))
    assert len({str(each["estimate"]) for each in alone}) > 10

    forget()
    assert [said(service, request) for request in REQUESTS] == alone
    assert [said(service, request) for request in reversed(REQUESTS)] == alone[::-1]


def test_what_is_alike_is_estimated_once(
    service: Service, customers: dict[str, Customer], monkeypatch
) -> None:
    estimated: list[str] = []
    asked = likely.expected_of

    def noting(account: Any, request: Any, **how: Any) -> Any:
        estimated.append(account.customer)
        return asked(account, request, **how)

    monkeypatch.setattr(likely, "expected_of", noting)
    forget()
    for _ in range(3):
        assert said(service, {"subject": "acme"})["estimate"]["comparable"] == 40
    assert estimated == ["acme"]


def test_what_a_class_declares_counts_at_once(service: Service, world: World) -> None:
    work = world.meter("work", aggregation="sum", value_property="n")
    plan = world.plan(prices=({"key": "work", "model": "per_unit", "amount": D(1), "meter": work},))
    world.subscribe(acme := world.customer("acme"), plan, starts_at=EVER)
    job_class(uses={work: ("1", "2", "3")})
    rate(acme)
    assert said(service, {"subject": "acme"})["held"] == "3"
    JobClassUsage.objects.update(high=D(7))
    assert said(service, {"subject": "acme"})["held"] == "7"


def test_the_jobs_of_a_class_stay_the_same_until_one_ends(customers, monkeypatch) -> None:
    seconds = [100.0]
    monkeypatch.setattr(comparable, "monotonic", lambda: seconds[0])
    monkeypatch.setattr(comparable, "_kept", {})
    render = JobClass.objects.get(key="render")

    def newest() -> comparable.ComparableJobs:
        seconds[0] += comparable.KEPT_FOR_S + 1
        return comparable.newest_of_class(job_class_id=render.pk, at=timezone.now())

    first = newest()
    assert len(first) == 46
    assert newest() is first
    ran(customers["other"], "render", "small", 9, times=1)
    then = newest()
    assert (then is first, len(then)) == (False, 47)
    assert newest() is then
