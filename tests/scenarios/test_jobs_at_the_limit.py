"""Jobs beyond what a plan includes: the customer is moved on, or packs are bought."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.db import connection
from django.utils import timezone

from billing.jobs.admitting import admit
from billing.jobs.asking import JobRequest
from billing.models import CreditPurchase
from plans.models import Plan, Subscription
from tests.fixtures.jobs import Service, job_class, rate, service, spend_of
from tests.fixtures.world import EVER, World
from usage.models import Job

__all__ = ["service"]


def _jobs(world: World, **said):
    meter = world.meter("jobs", event_type="tollgate.job")
    job_class()
    return {"key": "jobs", "model": "per_unit", "amount": D(0), "meter": meter, **said}


@pytest.fixture
def acme(world: World):
    price = _jobs(world)
    world.plan("best", prices=({**price, "allowance": D(20)},))
    for key, included, above in (("better", 10, "best"), ("good", 3, "better")):
        up = {"overage": "upgrade", "upgrade_to": Plan.objects.get(key=above)}
        world.plan(key, prices=({**price, "allowance": D(included), **up},))
    customer = world.customer("acme")
    world.subscribe(customer, Plan.objects.get(key="good"), starts_at=EVER)
    return customer


def _plans(customer) -> list[str]:
    rows = Subscription.objects.filter(customer=customer).order_by("starts_at")
    return list(rows.values_list("plan__key", flat=True))


@pytest.mark.django_db(transaction=True)
def test_the_job_beyond_the_allowance_moves_the_customer_on(acme, service: Service) -> None:
    for _ in range(3):
        status, body = service.ask()
        assert (status, "upgraded_to" in body) == (201, False)
    status, body = service.ask(dry_run=True)
    assert (status, body["upgraded_to"], body["id"]) == (200, "better", None)
    assert (_plans(acme), Job.objects.count()) == (["good"], 3)

    status, body = service.ask(key="fourth")
    assert (status, body["upgraded_to"]) == (201, "better")
    assert service.ask(key="fourth") == (200, body)
    assert _plans(acme) == ["good", "better"]
    row = Subscription.objects.get(plan__key="better")
    assert (row.upgraded_from.plan.key, row.upgraded_beyond) == ("good", D(3))
    assert Job.objects.latest("pk").version.plan.key == "better"
    assert service.ask()[1].get("upgraded_to") is None


@pytest.mark.django_db(transaction=True)
def test_jobs_at_once_upgrade_once(acme) -> None:
    rate(acme)

    def ask(number: int) -> str:
        try:
            asked = JobRequest(subject="acme", job_class="render")
            answer = admit(request=asked, key=f"k{number}", now=timezone.now())
            return str(answer.body.get("upgraded_to", ""))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        moved = list(pool.map(ask, range(10)))
    assert sorted(moved) == [""] * 9 + ["better"]
    assert _plans(acme) == ["good", "better"]
    assert spend_of(acme).running == Job.objects.count() == 10


@pytest.mark.django_db(transaction=True)
def test_an_upgrade_that_is_impossible_refuses_the_job(acme, service: Service) -> None:
    for _ in range(3):
        service.admit()
    later = timezone.now() + timedelta(days=300)
    Subscription.objects.filter(customer=acme).update(ends_at=later)
    status, body = service.ask()
    assert (status, body["code"], body["numbers"]["reason"]) == (
        402, "upgrade_refused", "subscription_ending",
    )  # fmt: skip
    assert (_plans(acme), Job.objects.count(), spend_of(acme).running) == (["good"], 3, 3)


@pytest.mark.django_db(transaction=True)
def test_packs_are_bought_as_jobs_need_them_and_no_more_than_the_plan_sells(
    world: World, service: Service
) -> None:
    packs = {"pack_size": D(2), "pack_amount": D(5), "packs_most": 2}
    price = _jobs(world, allowance=D(3), overage="packs", **packs)
    plan = world.plan(prices=(price,))
    acme = world.customer("acme")
    world.subscribe(acme, plan, starts_at=EVER)
    bought = []
    for number in range(7):
        if number == 3:
            assert service.ask(dry_run=True)[0] == 200
            assert not CreditPurchase.objects.exists()
        service.admit()
        bought.append(CreditPurchase.objects.count())
    assert bought == [0, 0, 0, 1, 1, 2, 2]
    status, body = service.ask()
    assert (status, body["code"]) == (402, "packs_used_up")
    assert (CreditPurchase.objects.count(), Job.objects.count()) == (2, 7)
