"""The dry run of a changed image-generation version over the real November: what it says is billed.

4,247 customers are rated by a real worker; then the same terms are published as another plan, the
customers put on it, and the month closed: each statement is what the dry run said, to the cent.
"""

import sys
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from billing.dry_runs.months import Months
from billing.dry_runs.operations import request_dry_run
from billing.models import DryRun, DryRunResult, Statement
from billing.tasks import dry_run
from plans.models import Plan, PlanVersion, Price, Subscription, Tier
from plans.operations.publishing import publish_version
from plans.operations.versions import add_prices, create_plan, new_version_from, start_version
from plans.terms import PriceRows, terms_of
from tests.fixtures.broker import wait_for
from tests.fixtures.traces import MAP, PLAN, find_trace, needs_trace
from usage.models import Event

pytestmark = [pytest.mark.trace, needs_trace, pytest.mark.xdist_group("trace")]

NOVEMBER = datetime(2024, 11, 1, tzinfo=UTC)
CUSTOMERS = 4_247


def said(*command, **options) -> None:
    call_command(*command, stdout=StringIO(), **options)


def import_trace() -> Plan:
    """Load the plan and import the jobs as the README says; nothing is closed yet."""
    said("load_catalogue", str(PLAN), "--publish")
    said(
        "import_jobs", str(find_trace()), "--map", str(MAP), "--create-customers",
        "--plan", "image-generation", "--starts", "2024-11-01", "--ends", "2025-01-01",
    )  # fmt: skip
    return Plan.objects.get(key="image-generation")


def changed_version(plan: Plan) -> PlanVersion:
    """Draft: fewer free images, dearer GPU time, with a minimum for images and a cap for GPU."""
    version = new_version_from(version=plan.versions.get(), by=None)
    images = version.prices.get(key="images")
    images.tiers.filter(up_to=20).update(up_to=10)
    Tier.objects.filter(price=images, up_to=None).update(unit_amount=Decimal("0.025"))
    Price.objects.filter(pk=images.pk).update(minimum=Decimal("0.10"))
    gpu = version.prices.get(key="gpu")
    gpu.rates.filter(position=1).update(unit_amount=Decimal("3.30"))
    Price.objects.filter(pk=gpu.pk).update(maximum=Decimal("5.00"))
    return version


def make_it_real(version: PlanVersion) -> None:
    """Publish the same terms as another plan from November, and put the customers on it."""
    plan = create_plan(key="image-generation-2", name="Image generation 2")
    real = start_version(plan=plan, currency=version.currency)
    rows = []
    for price in version.prices.order_by("position"):
        tiers, rates = list(price.tiers.all()), list(price.rates.order_by("position"))
        for row in (price, *tiers, *rates):
            row.pk, row._state.adding = None, True
        rows.append(PriceRows(price, tiers, rates))
    add_prices(version=real, rows=rows)
    assert digest(real) == digest(version)
    publish_version(version=real, effective_from=NOVEMBER, by=None, now=timezone.now())
    assert Subscription.objects.update(plan=plan) == CUSTOMERS


def digest(version: PlanVersion) -> str:
    return terms_of([version.pk])[version.pk].digest


def test_what_the_dry_run_says_is_what_closing_bills(
    clean_usage, celery_worker_process, capsys
) -> None:
    plan = import_trace()
    version = changed_version(plan)
    events = Event.objects.count()
    celery_worker_process(concurrency=1)

    began = time.monotonic()
    run = request_dry_run(
        version=version, plan=plan, months=Months(NOVEMBER.date(), date(2024, 11, 1)),
        by=None, now=timezone.now(),
    )  # fmt: skip
    dry_run.delay(run.pk)
    wait_for(lambda: DryRun.objects.exclude(finished_at=None).exists(), within_s=60)
    seconds = time.monotonic() - began
    run.refresh_from_db()
    with capsys.disabled():
        sys.stdout.write(
            f"\ndry run of {run.customers_done:,} customers: {seconds:.1f} s from the request to "
            f"the result; {run.old_total:.2f} becomes {run.new_total:.2f} {run.currency}\n"
        )

    assert run.failure_reason == ""
    assert (run.customers_total, run.customers_failed) == (CUSTOMERS, 0)
    assert Statement.objects.count() == 0
    assert Event.objects.count() == events

    make_it_real(version)
    said("close_period", until="2024-12-01")

    billed = dict(Statement.objects.values_list("customer_id", "total"))
    tested = dict(DryRunResult.objects.filter(run=run).values_list("customer_id", "new_amount"))
    assert len(billed) == CUSTOMERS
    assert tested == billed
    assert run.new_total == sum(billed.values()) != run.old_total
    bounded = lines_adjusted("minimum"), lines_adjusted("maximum")
    flagged = DryRunResult.objects.filter(run=run)
    assert flagged.filter(newly_at_minimum=True).count() == bounded[0] > 0
    assert flagged.filter(newly_at_maximum=True).count() == bounded[1] > 0


def lines_adjusted(kind: str) -> int:
    """Return how many statements have a line that a bound of its price changed."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(DISTINCT statement_id) FROM billing_statementline
               WHERE explanation @> jsonb_build_object('adjustments',
                     jsonb_build_array(jsonb_build_object('kind', %s::text)))""",
            [kind],
        )
        return cursor.fetchone()[0]
