"""What admission reads first: whose key it is, and everything else, in one look at each index."""

import re
from datetime import timedelta
from decimal import Decimal as D
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone
from msgspec import NODEFAULT
from msgspec.structs import fields

from billing.jobs.new_job import NewJob
from billing.models import Spend
from plans.models import Customer, JobClass
from tests.fixtures.jobs import Service, job_class
from tests.fixtures.world import EVER, World
from usage.models import ApiKey, Job
from usage.operations.api_keys import revoke_key

CUSTOMERS, JOBS_EACH = 200, 20


@pytest.fixture
def acme(world: World):
    """1.00 a job."""
    customer = world.customer("acme")
    jobs = world.meter("jobs", event_type="tollgate.job")
    plan = world.plan(
        prices=({"key": "jobs", "model": "per_unit", "amount": D("1.00"), "meter": jobs},)
    )
    world.subscribe(customer, plan, starts_at=EVER)
    job_class()
    return customer


def test_the_key_is_noted_as_used_by_admission(service, acme):
    before = timezone.now()
    service.admit()
    used = ApiKey.objects.get().last_used_at
    assert before <= used <= timezone.now()

    service.admit()
    assert ApiKey.objects.get().last_used_at == used
    ApiKey.objects.update(last_used_at=used - timedelta(minutes=1))
    service.admit()
    assert ApiKey.objects.get().last_used_at > used


def test_what_is_alike_in_new_jobs_is_stored_as_they_say(service, acme):
    row = Job.objects.get(public_id=service.admit())

    alike = {each.name: each.default for each in fields(NewJob) if not each.required}
    alike |= {each.name: {} for each in fields(NewJob) if each.default_factory is not NODEFAULT}
    assert len(alike) == 11
    assert {name: getattr(row, name) for name in alike} == alike


@pytest.mark.parametrize(
    "said", [{}, {"subject": "nobody"}, {"input_size": "much"}, {"key": "k" * 201}]
)
@pytest.mark.parametrize("key", ["revoked", "without scope"])
def test_who_may_not_ask_learns_nothing_else_and_changes_nothing(acme, key, said):
    service = Service()
    if key == "revoked":
        revoke_key(key_id=ApiKey.objects.get().pk, now=timezone.now())
    else:
        ApiKey.objects.update(scopes=["read"])
    Spend.objects.all().delete()

    status, body = service.ask(**said)

    refused = (401, "authentication_failed") if key == "revoked" else (403, "permission_denied")
    assert (status, body["code"]) == refused
    assert (Job.objects.count(), Spend.objects.count()) == (0, 0)


def test_a_key_of_a_job_is_found_by_itself_whatever_the_customer_has(service, acme):
    _many_jobs()
    asked: list[str] = []

    def note(execute, sql, params, many, context):
        asked.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        job = service.admit()
        service.admit(parent=job)
    alone, *_, of_parent = (_generic_plan(sql) for sql in asked if "JOIN billing_spend s" in sql)

    for plan in (alone, of_parent):
        assert "one_job_per_key" in plan
        assert "job_of_customer" not in plan
    assert "usage_job_public_id_key" in of_parent
    assert "usage_job_public_id_key" not in alone


def _many_jobs() -> None:
    """Give many customers as many jobs each as lets their index seem as good as any."""
    now = timezone.now()
    Customer.objects.bulk_create(
        Customer(key=f"c-{n}", name="C", currency="USD", time_zone="UTC") for n in range(CUSTOMERS)
    )
    kind = JobClass.objects.get()
    Job.objects.bulk_create(
        Job(
            public_id=uuid4(), customer=customer, key=f"job-{n}", job_class=kind, state="succeeded",
            estimate_low=1, estimate_expected=1, estimate_high=1, estimate_basis="class",
            estimate_comparable=1, held=0, input_size=1, held_quantities=[], admitted_at=now,
            silent_at=now, ended_at=now, settled_at=now, rated_at=now,
        )
        for customer in Customer.objects.filter(key__startswith="c-")
        for n in range(JOBS_EACH)
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _generic_plan(sql: str) -> str:
    names: list[str] = []

    def numbered(place: re.Match[str]) -> str:
        if place[1] not in names:
            names.append(place[1])
        return f"${1 + names.index(place[1])}"

    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (GENERIC_PLAN) " + re.sub(r"%\((\w+)\)s", numbered, sql))
        return "\n".join(row[0] for row in cursor.fetchall())
