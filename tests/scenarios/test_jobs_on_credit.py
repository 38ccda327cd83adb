"""Jobs on a plan in credits: pinned at admission, drawn once their usage is rated, never twice."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.db import connection
from django.utils import timezone

from billing.credits.granting import define_credit_unit, grant_credit, open_pool
from billing.credits.queries import balance_of
from billing.jobs.admitting import admit
from billing.jobs.asking import JobRequest
from billing.jobs.drawn import draw_for_jobs
from billing.jobs.errors import NotAdmitted
from billing.jobs.settling import complete
from billing.ledger.checks import check_ledger
from billing.models import Hold
from plans.models import CreditUnit
from tests.fixtures.jobs import job_class, rate
from tests.fixtures.world import EVER, World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pool(world: World):
    """1,000 credits of Acme, on whose plan a job costs 100."""
    unit = CreditUnit.objects.create(code="TOKN", name="Token credits")
    meter = world.meter("jobs", event_type="tollgate.job")
    price = {
        "key": "jobs", "name": "Jobs", "model": "per_unit", "meter": meter, "amount": D(100),
        "credit_unit": unit,
    }  # fmt: skip
    plan = world.plan(prices=(price,))
    job_class()
    customer = world.customer("acme")
    world.subscribe(customer, plan, starts_at=EVER)
    counted = define_credit_unit(code="TOKN", name="Token credits")
    pool = open_pool(customer=customer, key="main", name="Main", unit=counted)
    now = timezone.now() - timedelta(days=1)
    grant_credit(pool=pool, key="g", source="promotion", amount=D(1000), effective_at=now, now=now)
    return pool


def ask(number: int) -> str:
    """Ask for a job; return its id, or the code of the refusal."""
    request = JobRequest(subject="acme", job_class="render")
    try:
        return admit(request=request, key=f"k{number}", now=timezone.now()).body["id"]
    except NotAdmitted as error:
        return error.code
    finally:
        connection.close()


def test_ten_of_thirty_are_admitted_and_a_thousand_credits_are_drawn_once(pool) -> None:
    with ThreadPoolExecutor(6) as clients:
        answers = list(clients.map(ask, range(30)))
    jobs = [each for each in answers if each != "not_enough_credit"]
    assert (len(jobs), answers.count("not_enough_credit")) == (10, 20)
    now = timezone.now()
    assert balance_of(pool_id=pool.pk, at=now)[:3] == (D(1000), D(1000), D(0))

    for job in jobs[:4]:
        complete(job_id=job, reports=[], key="", at=None, now=timezone.now())
    rate(pool.customer)
    now = timezone.now()
    assert draw_for_jobs(customer_ids=[pool.customer_id], now=now) == 4
    assert balance_of(pool_id=pool.pk, at=now)[:3] == (D(600), D(600), D(0))
    assert draw_for_jobs(customer_ids=[pool.customer_id], now=now) == 0

    for job in jobs[4:]:
        complete(job_id=job, reports=[], key="", at=None, now=timezone.now())
    rate(pool.customer)
    now = timezone.now()
    assert draw_for_jobs(customer_ids=[pool.customer_id], now=now) == 6
    assert balance_of(pool_id=pool.pk, at=now)[:3] == (D(0), D(0), D(0))
    assert not Hold.objects.filter(status="pending").exists()
    assert ask(31) == "not_enough_credit"
    assert list(check_ledger()) == []


def test_usage_that_is_drawn_before_it_is_rated_pins_nothing_any_more(pool) -> None:
    """Of three jobs one is rated and another settled since: what is drawn is of both."""
    first, second, _ = (ask(number) for number in range(3))
    complete(job_id=first, now=timezone.now())
    rate(pool.customer)
    complete(job_id=second, now=timezone.now())
    now = timezone.now()
    assert draw_for_jobs(customer_ids=[pool.customer_id], now=now) == 2
    assert balance_of(pool_id=pool.pk, at=now)[:3] == (D(800), D(100), D(700))
    assert list(check_ledger()) == []
