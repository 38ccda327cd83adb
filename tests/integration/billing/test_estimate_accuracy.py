"""How often jobs came to something within their estimate, and the page that says so."""

from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.urls import reverse
from django.utils import timezone

from billing.models import Spend
from billing.queries.accuracy import ClassAccuracy, accuracy_by_class
from plans.models import Customer, JobClass
from tests.fixtures.finished_jobs import finished_job
from usage.models import Job

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def customer(key: str) -> Customer:
    return Customer.objects.create(key=key, name=key.title())


def job_class(key: str) -> JobClass:
    return JobClass.objects.create(key=key, name=key.title())


def came_to(
    owner: Customer, kind: JobClass, amount: str | None, *, comparable: int = 20, **said: object
) -> Job:
    """Store a job that was estimated at 1 to 3 and came to something."""
    given = {"ended_at": NOW - timedelta(days=1), "estimate_basis": "customer", **said}
    return finished_job(
        owner, kind, used={}, amount=None if amount is None else D(amount), estimate_low=D(1),
        estimate_expected=D(2), estimate_high=D(3), estimate_comparable=comparable, **given,
    )  # fmt: skip


def test_the_ends_of_a_range_are_in_it_and_only_jobs_with_enough_before_them_count() -> None:
    acme, other, render = customer("acme"), customer("other"), job_class("render")
    for amount in ("1", "2", "3", "0.99", "3.01"):
        came_to(acme, render, amount)
    came_to(other, render, "5", estimate_basis="class")
    came_to(acme, render, "9", comparable=19)
    came_to(acme, render, "9", estimate_basis="declared")
    came_to(acme, render, None)
    came_to(acme, render, "9", state=Job.State.FAILED)
    came_to(acme, render, "9", ended_at=NOW - timedelta(days=31))

    (found,) = accuracy_by_class(now=NOW)
    (of_acme,) = accuracy_by_class(now=NOW, customer_id=acme.pk)

    assert found == ClassAccuracy(
        key="render", name="Render", inside=3, below=1, above=2, width=D(1)
    )
    assert (found.jobs, found.percent, found.verdict) == (6, D("50.0"), "too narrow")
    assert (of_acme.inside, of_acme.below, of_acme.above) == (3, 1, 1)


def test_classes_come_by_their_jobs_in_one_query(django_assert_num_queries) -> None:
    acme = customer("acme")
    for key, count in (("few", 1), ("many", 3)):
        kind = job_class(key)
        for _ in range(count):
            came_to(acme, kind, "2")

    with django_assert_num_queries(1):
        found = accuracy_by_class(now=NOW)

    assert [(each.key, each.jobs, each.verdict) for each in found] == [
        ("many", 3, "too wide"),
        ("few", 1, "too wide"),
    ]


def test_finance_sees_spend_and_accuracy(client, staff) -> None:
    acme, render = customer("acme"), job_class("render")
    for amount in ("1", "2", "3", "3", "5"):
        came_to(acme, render, amount)
    Spend.objects.create(customer=acme, spent=D("12.5"), held=D(3), rated_at=NOW, problem="Odd.")
    client.force_login(staff("Support"))

    listed = client.get(reverse("admin:billing_spend_changelist")).content.decode()
    page = client.get(reverse("admin:billing_spend_accuracy")).content.decode()

    assert "$12.50" in listed
    assert "$3.00" in listed
    assert "Odd." in listed
    assert "Render" in page
    assert "80.0%" in page
    assert "100.0% of what was expected" in page


def test_strangers_see_neither(client, staff) -> None:
    client.force_login(staff())

    for name in ("changelist", "accuracy"):
        assert client.get(reverse(f"admin:billing_spend_{name}")).status_code == 403
