"""A job's units are held, then rated: at no moment both, and at no moment neither."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.db import connection
from django.utils import timezone

from billing.spend import rating
from billing.spend.rating import rate_spend
from billing.spend.values import segments_from
from tests.fixtures.jobs import Service, job_class, job_of, rate, service, spend_of
from tests.fixtures.world import EVER, World

__all__ = ["service"]

INCLUDED = 3


@pytest.fixture
def acme(world: World):
    meter = world.meter("jobs", event_type="tollgate.job")
    price = {"key": "jobs", "model": "per_unit", "amount": D("0.10"), "meter": meter,
             "allowance": D(INCLUDED), "overage": "refuse"}  # fmt: skip
    job_class()
    customer = world.customer("acme")
    world.subscribe(customer, world.plan(prices=(price,)), starts_at=EVER)
    rate(customer)
    return customer


@contextmanager
def somebody_writes() -> Iterator[None]:
    """Keep a transaction open that has written: the horizon stays below all that comes later."""
    other = connection.copy()
    other.set_autocommit(False)
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()")
        yield
    finally:
        other.close()


def finish_a_job(service: Service) -> str:
    job = service.admit()
    assert service.post(f"jobs/{job}/complete")[0] == 200
    return job


def units(customer) -> tuple[D, D]:
    """Return the units that are rated, and those that are held."""
    row = spend_of(customer)
    cells = [cell for part in segments_from(row.usage) for use in part.usage for cell in use.cells]
    held = [D(quantity) for _, _, quantity in row.pending]
    return sum((quantity for _, quantity in cells), D(0)), sum(held, D(0))


def test_a_reading_ends_the_holds_of_all_jobs_that_it_counts(acme, service) -> None:
    """Three are included: though others write without a pause, the third job is admitted."""
    with somebody_writes():
        for done in range(1, INCLUDED + 1):
            job = finish_a_job(service)
            rate_spend(customer_ids=[acme.pk], now=timezone.now())
            assert units(acme) == (D(done), D(0))
            assert job_of(job).rated_at is not None
        status, body = service.ask()
        assert (status, body["code"]) == (402, "allowance_used_up")
        assert body["numbers"]["used"] == "3"


def test_an_older_reading_changes_nothing_though_its_horizon_is_the_same(acme, service) -> None:
    finish_a_job(service)
    old, none = rating._read([acme.pk], now=timezone.now())
    finish_a_job(service)
    rate_spend(customer_ids=[acme.pk], now=timezone.now())
    same = {acme.pk: old[acme.pk]._replace(horizon=spend_of(acme).horizon)}
    rating._write(same, none, now=timezone.now())
    assert units(acme) == (D(2), D(0))


def test_a_job_that_ended_after_the_instant_of_a_reading_stays_held(acme, service) -> None:
    job = finish_a_job(service)
    before = job_of(job).ended_at
    rate_spend(customer_ids=[acme.pk], now=before)
    assert units(acme) == (D(0), D(1))
    assert job_of(job).rated_at is None
    rate_spend(customer_ids=[acme.pk], now=before + timedelta(microseconds=1))
    assert units(acme) == (D(1), D(0))
