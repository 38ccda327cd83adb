"""Estimates: what they rest on, how they scale, and what they come to on the customer's plan."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from billing.estimating import Estimate, estimate
from billing.models import Spend
from billing.spend.rating import rate_spend
from billing.statements.preview import NoSubscription
from plans.models import Budget, Customer, JobClass, JobClassUsage
from plans.rating import RatingError
from tests.fixtures.finished_jobs import finished_job
from tests.fixtures.world import World, at
from usage.models import Job
from usage.operations.api_keys import issue_key

START = at(2026, 11, 1)
NOW = at(2026, 11, 10, 12)


class Shop:
    """A world with a plan, some customers on it, and jobs of one class."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.job_class = JobClass.objects.create(key="enrich", name="Enrich", input_unit="record")

    def sells(self, *prices: dict[str, Any], customers: Sequence[str] = ("acme",)) -> Customer:
        plan = self.world.plan(prices=prices)
        made = [self.world.customer(key, workspaces=(f"{key}-lab",)) for key in customers]
        for customer in made:
            self.world.subscribe(customer, plan, starts_at=START)
        return made[0]

    def ran(self, customer: Customer, per_record: Sequence[str], *, records: int = 1000) -> None:
        """Let a job finish for each quantity of a record, a minute apart."""
        for place, quantity in enumerate(per_record):
            finished_job(
                customer,
                self.job_class,
                ended_at=NOW - timedelta(days=1) + timedelta(minutes=place),
                used={"work": str(D(quantity) * records)},
                input_size=str(records),
            )

    def estimate(self, customer: Customer, records: str, **said: Any) -> Estimate:
        return estimate(
            customer=customer,
            job_class=self.job_class,
            input_size=D(records),
            **{"at": NOW, **said},
        )


@pytest.fixture
def shop(world: World) -> Shop:
    return Shop(world)


def work(world: World, **said: Any) -> dict[str, Any]:
    """A price of a dollar for each unit of work, or another."""
    meter = world.meter("work", aggregation="sum", value_property="n")
    return {"key": "work", "meter": meter, "model": "per_unit", "amount": D(1), **said}


def range_of(found: Estimate) -> tuple[D, D, D]:
    return found.low, found.expected, found.high


# 20 jobs: the 10th percentile lies between the second and the third, the 90th between the
# eighteenth and the nineteenth.
HISTORY = ["0.0008", *["0.0009"] * 3, *["0.0010"] * 12, *["0.0012"] * 3, "0.003"]


def test_s25_an_estimate_before_submission(world: World, shop: Shop) -> None:
    """“Estimated cost: $45-$60 based on 50,000 records”, to the cent."""
    acme = shop.sells(work(world))
    shop.ran(acme, HISTORY)

    found = shop.estimate(acme, "50000")

    assert range_of(found) == (D("45.00"), D("50.00"), D("60.00"))
    assert (found.currency, found.basis, found.comparable) == ("USD", "customer", 20)
    assert found.quantities == (("work", (D(45), D(50), D(60))),)
    assert found.credits == ()
    assert found.stands_until == NOW + timedelta(minutes=15)


def test_percentiles_lie_between_two_jobs_in_proportion(world: World, shop: Shop) -> None:
    acme = shop.sells(work(world))
    shop.ran(acme, [str(number) for number in range(1, 21)])  # 1 to 20 a record

    # 0.1 * 21 = 2.1: a tenth of the way from the second to the third.
    assert range_of(shop.estimate(acme, "1")) == (D("2.1"), D("10.5"), D("18.9"))


def test_the_newest_jobs_alone_count(world: World, shop: Shop, monkeypatch) -> None:
    monkeypatch.setattr("usage.comparable.NEWEST", 20)
    acme = shop.sells(work(world))
    shop.ran(acme, ["9"] * 10 + ["2"] * 20)

    found = shop.estimate(acme, "1")

    assert (range_of(found), found.comparable) == ((D(2), D(2), D(2)), 20)


def test_what_is_remembered_of_jobs_is_read_again_when_another_has_ended(
    world: World, shop: Shop, django_assert_num_queries
) -> None:
    acme = shop.sells(work(world))
    shop.ran(acme, ["1"] * 20)
    rate_spend(customer_ids=[acme.pk], now=NOW)
    known = {"spend": Spend.objects.get(pk=acme.pk)}

    assert shop.estimate(acme, "1", **known).comparable == 20
    assert shop.estimate(acme, "2", **known).high == D(2)
    assert shop.estimate(acme, "1", **known).high == D(1)
    with django_assert_num_queries(1):  # which job was the last
        shop.estimate(acme, "1", **known)
    finished_job(acme, shop.job_class, ended_at=NOW, used={"work": "9"})
    assert shop.estimate(acme, "1", **known).comparable == 21
    # An instant before sees what had ended by then.
    assert shop.estimate(acme, "1", at=NOW - timedelta(seconds=1), **known).comparable == 20


def test_an_estimate_does_not_know_what_ends_later_or_failed(world: World, shop: Shop) -> None:
    acme = shop.sells(work(world))
    shop.ran(acme, ["1"] * 20)
    finished_job(acme, shop.job_class, ended_at=NOW + timedelta(hours=1), used={"work": "9"})
    finished_job(acme, shop.job_class, ended_at=NOW, used={"work": "9"}, state=Job.State.FAILED)

    assert shop.estimate(acme, "1").comparable == 20


def test_too_few_of_its_own_jobs_take_those_of_all_customers(world: World, shop: Shop) -> None:
    acme = shop.sells(work(world), customers=("acme", "other"))
    other = Customer.objects.get(key="other")
    shop.ran(other, ["3"] * 19)
    shop.ran(acme, ["1"] * 1)

    found = shop.estimate(acme, "10")

    assert (found.basis, found.comparable) == ("class", 20)
    assert range_of(found) == (D(30), D(30), D(30))
    shop.ran(acme, ["1"] * 19)
    assert shop.estimate(acme, "10").basis == "customer"


def test_too_few_jobs_at_all_take_what_the_class_declares(world: World, shop: Shop) -> None:
    acme = shop.sells(work(world))
    shop.ran(acme, ["7"] * 19)
    JobClassUsage.objects.create(
        job_class=shop.job_class,
        meter=acme.subscriptions.get().plan.versions.get().prices.get().meter,
        low=D("0.5"), expected=D(1), high=D(4),
    )  # fmt: skip

    found = shop.estimate(acme, "10")

    assert (found.basis, found.comparable) == ("declared", 0)
    assert range_of(found) == (D(5), D(10), D(40))


def test_few_jobs_are_better_than_nothing_and_nothing_is_said(world: World, shop: Shop) -> None:
    acme = shop.sells(work(world))

    nothing = shop.estimate(acme, "10")
    shop.ran(acme, ["7"] * 3)
    few = shop.estimate(acme, "10")

    assert (nothing.basis, nothing.comparable, range_of(nothing)) == (
        "unknown", 0, (D(0), D(0), D(0)),
    )  # fmt: skip
    assert (few.basis, few.comparable, few.high) == ("customer", 3, D(70))


def test_tiers_count_as_they_stand_now(world: World, shop: Shop) -> None:
    graduated = work(world, model="graduated", tiers=((D(100), "1"), (None, "0.1")))
    del graduated["amount"]
    acme = shop.sells(graduated)
    shop.ran(acme, ["1"] * 20)
    before = shop.estimate(acme, "50")
    world.use("acme", "work", time=at(2026, 11, 9), n=90)

    unrated = shop.estimate(acme, "50")
    rate_spend(customer_ids=[acme.pk], now=NOW)
    rated = shop.estimate(acme, "50")

    assert before.high == D(50)
    assert unrated.high == rated.high == D(14)  # 10 at 1 and 40 at 0.1


def test_a_change_of_plan_counts_from_its_instant(world: World, shop: Shop) -> None:
    acme = shop.sells(work(world))
    shop.ran(acme, ["1"] * 20)
    rate_spend(customer_ids=[acme.pk], now=NOW)
    plan = acme.subscriptions.get().plan
    meter = plan.versions.get().prices.get().meter
    price = {"key": "work", "meter": meter, "model": "per_unit", "amount": D(2)}
    world.version(plan, prices=(price,), effective_from=NOW + timedelta(minutes=5))

    assert shop.estimate(acme, "10").high == D(10)
    assert shop.estimate(acme, "10", at=NOW + timedelta(minutes=5)).high == D(20)


def test_an_estimate_stands_no_longer_than_its_terms(world: World, shop: Shop) -> None:
    acme = shop.sells(work(world))

    found = shop.estimate(acme, "10", at=at(2026, 11, 30, 23, 50))

    assert found.stands_until == at(2026, 12, 1)


def test_jobs_that_use_several_meters_are_priced_as_a_whole(world: World, shop: Shop) -> None:
    """Jobs use much of one meter or much of the other: their cost never varies."""
    gpu = world.meter("gpu", aggregation="sum", value_property="n")
    acme = shop.sells(
        work(world), {"key": "gpu", "meter": gpu, "model": "per_unit", "amount": D(1)}
    )
    for place in range(20):
        much = {"work": "9", "gpu": "1"} if place % 2 else {"work": "1", "gpu": "9"}
        finished_job(acme, shop.job_class, ended_at=NOW - timedelta(minutes=place + 1), used=much)

    found = shop.estimate(acme, "1")

    assert range_of(found) == (D(10), D(10), D(10))
    assert dict(found.quantities)["gpu"] == (D(1), D(5), D(9))


def test_values_that_are_known_beforehand_set_the_rate_and_the_jobs(
    world: World, shop: Shop
) -> None:
    tokens = world.meter("tokens", aggregation="sum", value_property="n", dimensions=["model"])
    matrix = {
        "key": "tokens", "model": "matrix", "meter": tokens,
        "rates": ((["small"], "1"), (["large"], "10")),
    }  # fmt: skip
    acme = shop.sells(matrix)

    def ran(model: str, quantity: str, times: int) -> None:
        for place in range(times):
            finished_job(
                acme, shop.job_class, ended_at=NOW - timedelta(minutes=place + 1),
                used={"tokens": quantity}, cells={"tokens": [model]}, dimensions={"model": model},
            )  # fmt: skip

    ran("small", "2", 20)
    few = shop.estimate(acme, "1", dimensions={"model": "large"})
    ran("large", "3", 20)
    many = shop.estimate(acme, "1", dimensions={"model": "large"})

    assert (few.high, few.comparable) == (D(20), 20)  # as small ones did, at the large rate
    assert (many.high, many.comparable) == (D(30), 20)


def test_a_service_class_multiplies(world: World, shop: Shop) -> None:
    from plans.models import ServiceClass
    from plans.terms import GrantRows

    meter = world.meter("work", aggregation="sum", value_property="n", dimensions=["class"])
    classes = GrantRows(
        service_classes=[
            ServiceClass(key="batch", name="Batch", multiplier=D(1)),
            ServiceClass(key="fast", name="Fast", multiplier=D(3)),
        ]
    )
    price = {
        "key": "work", "meter": meter, "model": "per_unit", "amount": D(1),
        "class_dimension": "class",
    }  # fmt: skip
    acme = world.customer("acme")
    world.subscribe(acme, world.plan(prices=(price,), grants=classes), starts_at=START)
    for place in range(20):
        finished_job(
            acme, shop.job_class, ended_at=NOW - timedelta(minutes=place + 1), used={"work": "2"},
            cells={"work": ["batch"]},
        )  # fmt: skip

    assert shop.estimate(acme, "1").high == D(2)
    assert shop.estimate(acme, "1", service_class="fast").high == D(6)
    with pytest.raises(RatingError, match="add the class to the plan"):
        shop.estimate(acme, "1", service_class="slow")


def test_jobs_that_the_plan_cannot_price_are_left_out(world: World, shop: Shop) -> None:
    tokens = world.meter("tokens", aggregation="sum", value_property="n", dimensions=["model"])
    matrix = {"key": "tokens", "model": "matrix", "meter": tokens, "rates": ((["small"], "1"),)}
    acme = shop.sells(matrix)
    for place in range(22):
        finished_job(
            acme, shop.job_class, ended_at=NOW - timedelta(minutes=place + 1),
            used={"tokens": "2"}, cells={"tokens": ["small" if place < 20 else "odd"]},
        )  # fmt: skip

    found = shop.estimate(acme, "1")

    assert (found.high, found.comparable) == (D(2), 20)


def test_a_customer_without_a_subscription_gets_none(world: World, shop: Shop) -> None:
    with pytest.raises(NoSubscription):
        shop.estimate(world.customer("acme"), "1")


@pytest.fixture
def ask():
    _, secret = issue_key(name="jobs", scopes=["jobs"], now=NOW)
    _, reader = issue_key(name="reader", scopes=["read"], now=NOW)

    def post(body: Any, *, may: bool = True) -> Any:
        return Client().post(
            "/api/v1/estimates",
            body,
            content_type="application/json",
            headers={"authorization": f"Bearer {secret if may else reader}"},
        )

    return post


def test_services_ask_for_estimates(world: World, shop: Shop, ask) -> None:
    acme = shop.sells(work(world))
    shop.ran(acme, HISTORY)
    Job.objects.update(ended_at=timezone.now() - timedelta(days=1))
    lab = acme.workspaces.get()
    Budget.objects.create(customer=acme, workspace=lab, amount=D(50))
    Budget.objects.create(customer=acme, amount=D(60))

    answer = ask({"subject": "acme-lab", "job_class": "enrich", "input_size": "50000"})

    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert (body["low"], body["expected"], body["high"]) == ("45.00", "50.00", "60.00")
    assert (body["basis"], body["comparable"], body["currency"]) == ("customer", 20, "USD")
    assert (body["subject"], body["input_size"]) == ("acme-lab", "50000")
    assert body["quantities"] == [{"meter": "work", "low": "45", "expected": "50", "high": "60"}]
    assert [(one["workspace"], one["left"]) for one in body["over_budgets"]] == [
        ("acme-lab", "50.00")
    ]

    # Rated, and with what other jobs of the customer hold.
    rate_spend(customer_ids=[acme.pk], now=timezone.now())
    Spend.objects.update(held=5)
    body = ask({"subject": "acme-lab", "job_class": "enrich", "input_size": "50000"}).json()
    assert [(one["workspace"], one["held"], one["left"]) for one in body["over_budgets"]] == [
        ("acme-lab", "0.00", "50.00"), ("", "5.00", "55.00"),
    ]  # fmt: skip
    assert (body["low"], body["high"]) == ("45.00", "60.00")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"subject": "nobody", "job_class": "enrich"}, 404, "unknown_subject"),
        ({"subject": "acme", "job_class": "nothing"}, 404, "unknown_job_class"),
        ({"subject": "acme"}, 422, "invalid"),
        ({"subject": "acme", "job_class": "enrich", "input_size": "-1"}, 422, "invalid"),
        ({"subject": "acme", "job_class": "enrich", "dimensions": {"a": [1]}}, 422, "invalid"),
        ({"subject": "stranger", "job_class": "enrich"}, 409, "no_subscription"),
    ],
)
def test_bad_questions_are_refused(world: World, shop: Shop, ask, body, status, code) -> None:
    shop.sells(work(world))
    world.customer("stranger")

    answer = ask(body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer["Content-Type"] == "application/problem+json"


def test_a_key_without_the_scope_is_refused(world: World, shop: Shop, ask) -> None:
    assert ask({"subject": "acme", "job_class": "enrich"}, may=False).status_code == 403
