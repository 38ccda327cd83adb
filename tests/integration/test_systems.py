"""`manage.py systems` on a database in use: again and again, in one month and in the next."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from billing.models import Statement
from config.systems.run import bill, month_to_bill
from config.systems.waiting import SystemsStuck
from plans.catalogue.load import load
from plans.catalogue.systems import catalogue_of, read_systems
from plans.models import Customer, Plan, PlanVersion
from plans.operations.customers import create_customer
from plans.operations.subscriptions import subscribe
from usage.models import ApiKey

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MONTH = date(2026, 9, 1)


def chosen(*names, month=MONTH):
    return [system for system in read_systems(month=month) if system.system in names]


@pytest.mark.parametrize(
    ("now", "month"),
    [
        (datetime(2026, 11, 23, tzinfo=UTC), date(2026, 8, 1)),
        (datetime(2026, 3, 1, tzinfo=UTC), date(2025, 12, 1)),
        (datetime(2026, 3, 31, tzinfo=UTC), date(2025, 12, 1)),
        (datetime(2024, 5, 1, tzinfo=UTC), date(2024, 2, 1)),
    ],
)
def test_the_month_and_the_next_are_over(now, month):
    assert month_to_bill(now) == month


@pytest.mark.django_db
def test_systems_are_loaded_for_month_after_month():
    shipped = catalogue_of(read_systems(month=MONTH))
    load(shipped, publish=True, by=None, now=NOW)
    versions = PlanVersion.objects.count()
    assert versions == sum(len(plan.versions) for plan in shipped.plans)
    load(catalogue_of(read_systems(month=MONTH)), publish=True, by=None, now=NOW)
    assert PlanVersion.objects.count() == versions

    customer = create_customer(key="c", name="C")
    plan = Plan.objects.get(key="s02")
    ends_at = datetime(2026, 10, 1, tzinfo=UTC)
    subscribe(
        customer=customer,
        plan=plan,
        starts_at=ends_at - timedelta(days=30),
        ends_at=ends_at,
        now=NOW,
    )
    load(catalogue_of(read_systems(month=date(2026, 10, 1))), publish=True, by=None, now=NOW)
    numbers = plan.versions.order_by("effective_from").values_list("number", "effective_from__day")
    assert list(numbers) == [(1, 1), (2, 15), (3, 1), (4, 15)]
    assert PlanVersion.objects.count() == versions + 2


@pytest.mark.django_db(transaction=True)
def test_a_run_bills_its_own_customers_and_says_what_differs(live_server, celery_worker_process):
    now = datetime.now(UTC)
    month = month_to_bill(now)
    celery_worker_process()
    other = create_customer(key="other", name="Other", grace_hours=0)
    systems = chosen("S02", "S20", "S23", month=month)
    load(catalogue_of(systems), publish=True, by=None, now=now)
    begins = datetime(month.year, month.month, 1, tzinfo=UTC)
    subscribe(customer=other, plan=Plan.objects.get(key="s23"), starts_at=begins, now=now)
    wrong = msgspec.structs.replace(systems[2].expected[0], total=Decimal("6417.51"))
    systems[2] = msgspec.structs.replace(systems[2], expected=(wrong, systems[2].expected[1]))

    where = {"url": live_server.url, "host": "localhost", "now": now}
    for run in ("first", "second"):
        outcomes = bill(systems, run=run, **where)
        assert [(each.system.system, each.differences) for each in outcomes] == [
            ("S02", []),
            ("S20", []),
            ("S23", ["month 1: the total: 6417.5 instead of 6417.51"]),
        ]
    assert Customer.objects.count() == 1 + 2 * 3
    assert not Statement.objects.filter(customer=other).exists()
    assert not ApiKey.objects.filter(revoked_at=None).exists()

    broken = msgspec.structs.replace(systems[0].usage[0], type="unheard.of")
    with pytest.raises(SystemsStuck, match="answered 207"):
        bill([msgspec.structs.replace(systems[0], usage=(broken, *systems[0].usage[1:]))],
             run="third", **where)  # fmt: skip
    assert not ApiKey.objects.filter(revoked_at=None).exists()
