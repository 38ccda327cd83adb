"""What a version would have billed: exact amounts, new bounds, failures, and nothing written.

The world is that of `tests.fixtures.dry_runs`.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing import tasks
from billing.dry_runs.months import Months
from billing.dry_runs.operations import (
    CustomersRefused,
    MonthsRefused,
    NobodySubscribed,
    VersionNotReady,
    request_dry_run,
    store_outcomes,
)
from billing.dry_runs.running import abandoned_runs, run_dry_run
from billing.locks import claim_dry_run
from billing.models import DryRun, DryRunResult, Statement
from billing.statements.operations import ClaimLost
from plans.models import Customer, PlanVersion, Price, Subscription
from plans.operations.drafts import delete_draft
from plans.operations.publishing import publish_version
from plans.operations.subscriptions import end_subscription
from plans.operations.versions import create_plan
from plans.terms import terms_of
from tests.fixtures.broker import wait_for
from tests.fixtures.dry_runs import APRIL, MARCH, NOW, draft, per_job, results, try_out
from tests.fixtures.world import at


def test_old_and_new_amounts_and_who_is_newly_bounded(jobs, dearer):
    run = try_out(dearer)

    assert results(run) == {
        "acme": (Decimal(100), Decimal(50), False, True, ""),
        "blue": (Decimal(10), Decimal(11), False, False, ""),
        "corp": (Decimal(2), Decimal(5), True, False, ""),
    }
    assert (run.old_total, run.new_total) == (Decimal(112), Decimal(66))
    assert (run.customers_total, run.customers_done, run.customers_failed) == (3, 3, 0)
    assert run.terms_digest == terms_of([dearer.pk])[dearer.pk].digest
    assert len(run.fingerprint) == 64


def test_nothing_is_written_but_the_dry_run(jobs, dearer):
    jobs.close(now=at(2024, 4, 10))
    before = everything_else()

    try_out(dearer)

    assert everything_else() == before
    assert before["billing_statementline"]
    assert before["usage_rollup"]


def everything_else():
    """Every row of every table of the database but those of dry runs."""
    found = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            if not table.startswith("billing_dryrun"):
                cursor.execute(f'SELECT t::text FROM "{table}" t ORDER BY 1')
                found[table] = cursor.fetchall()
    return found


def test_it_says_what_publishing_and_closing_bills(jobs, dearer):
    """Two months, with a customer from the 15th on, and one in Tokyo, where April begins early."""
    tokyo = jobs.customer("tokyo", time_zone="Asia/Tokyo")
    jobs.subscribe(tokyo, jobs.standard, starts_at=datetime(2024, 1, 31, 15, tzinfo=UTC))
    jobs.use("tokyo", time=at(2024, 3, 31, 20), times=30, model="m1")
    jobs.use("tokyo", time=at(2024, 3, 31, 10), times=20, model="m1")
    anchored = jobs.customer("mid")
    jobs.subscribe(
        anchored, jobs.standard, starts_at=at(2024, 1, 15), anchor_date=date(2024, 1, 15)
    )
    jobs.use("mid", time=at(2024, 2, 20), times=7, model="m1")
    jobs.use("mid", time=at(2024, 4, 20), times=90, model="m1")
    both = Months(MARCH.first, APRIL.last)

    march, april, run = try_out(dearer), try_out(dearer, months=APRIL), try_out(dearer, months=both)

    # The period from 15 February to 15 March is March's; that from 15 April is not yet April's.
    assert results(march)["mid"][:2] == (Decimal(7), Decimal("7.70"))
    assert results(april)["mid"][:2] == (Decimal(0), Decimal(5))
    assert results(march)["tokyo"][:2] == (Decimal(20), Decimal(22))
    assert results(april)["tokyo"][:2] == (Decimal(30), Decimal(33))
    real = create_plan(key="real", name="Real")
    bounds = {"minimum": Decimal(5), "maximum": Decimal(50)}
    version = draft(real, per_job("1.10", meter=jobs.jobs, **bounds))
    publish_version(version=version, effective_from=at(2024, 1, 1), by=None, now=NOW)
    Subscription.objects.update(plan=real)
    jobs.close(now=NOW + timedelta(days=3))
    billed = Statement.objects.filter(period_end__gt=at(2024, 3, 2), period_end__lt=at(2024, 5, 2))
    totals = dict(billed.values("customer__key").annotate(Sum("total")).values_list(
        "customer__key", "total__sum"
    ))  # fmt: skip
    assert {key: row[1] for key, row in results(run).items()} == totals
    assert run.new_total == sum(totals.values())
    assert (march.old_total + april.old_total, march.new_total + april.new_total) == (
        run.old_total, run.new_total,
    )  # fmt: skip


def test_the_old_amounts_are_what_was_billed_with_a_version_that_changed(jobs, dearer):
    """1.00 a job until 20 March, 2.00 from then on; the version tried is in force throughout."""
    jobs.version(
        jobs.standard, prices=(per_job("2.00", meter=jobs.jobs),), effective_from=at(2024, 3, 20)
    )
    jobs.use("blue", time=at(2024, 3, 25), times=3, model="m1")
    jobs.close(now=at(2024, 4, 10))
    billed = dict(
        Statement.objects.filter(period_start=at(2024, 3, 1)).values_list("customer__key", "total")
    )

    found = results(try_out(dearer))

    assert {key: row[0] for key, row in found.items()} == billed
    assert found["blue"][:2] == (Decimal(16), Decimal("14.30"))


def test_usage_that_came_late_counts_in_its_own_month_and_corrections_are_left_out(jobs, dearer):
    jobs.close(now=at(2024, 4, 10))
    jobs.use("blue", time=at(2024, 3, 30), times=5, model="m1", now=at(2024, 4, 12))

    march, april = try_out(dearer), try_out(dearer, months=APRIL)

    assert results(march)["blue"][:2] == (Decimal(15), Decimal("16.50"))
    assert results(april)["blue"][:2] == (Decimal(0), Decimal(5))


def test_a_new_plan_is_tried_on_the_customers_of_another(jobs):
    """Corp leaves the plan on 16 March for one of a prorated fee: 16 of 31 days of 31.00."""
    corp = Customer.objects.get(key="corp")
    fee = {"key": "fee", "name": "Fee", "model": "flat", "amount": Decimal(31)}
    other = jobs.plan("other", prices=(fee,))
    end_subscription(
        subscription=corp.subscriptions.get(), ends_at=at(2024, 3, 16), now=at(2024, 3, 1)
    )
    jobs.subscribe(corp, other, starts_at=at(2024, 3, 16))
    fresh = draft(create_plan(key="fresh", name="Fresh"), per_job("0.50", meter=jobs.jobs))

    run = try_out(fresh, plan=jobs.standard)

    assert results(run) == {
        "acme": (Decimal(100), Decimal(50), False, False, ""),
        "blue": (Decimal(10), Decimal(5), False, False, ""),
        "corp": (Decimal(18), Decimal(17), False, False, ""),
    }


def test_only_the_customers_that_were_named(jobs, dearer):
    run = try_out(dearer, keys=("blue", "corp", "blue"))

    assert run.customer_keys == ["blue", "corp"]
    assert (run.customers_total, run.old_total, run.new_total) == (2, Decimal(12), Decimal(16))


def test_customers_of_another_currency_are_counted_and_left_out(jobs, dearer):
    """The plan has a version in euros, too, and one customer that is billed in them."""
    in_euros = per_job("0.90", meter=jobs.jobs)
    jobs.version(jobs.standard, prices=(in_euros,), currency="EUR", effective_from=at(2020, 1, 1))
    euro = jobs.customer("euro", currency="EUR")
    jobs.subscribe(euro, jobs.standard, starts_at=at(2024, 1, 1))
    jobs.use("euro", time=at(2024, 3, 5), times=10, model="m1")
    dearer_in_euros = draft(jobs.standard, per_job("1.20", meter=jobs.jobs), currency="EUR")

    dollars, euros = try_out(dearer), try_out(dearer_in_euros)

    assert set(results(dollars)) == {"acme", "blue", "corp"}
    assert (dollars.customers_total, dollars.customers_of_other_currency) == (3, 1)
    assert results(euros) == {"euro": (Decimal(9), Decimal(12), False, False, "")}
    assert (euros.currency, euros.customers_of_other_currency) == ("EUR", 3)


def test_who_cannot_be_rated_has_the_reason_and_holds_nobody_up(jobs):
    """Blue has jobs of a model for which the version names no rate."""
    jobs.use("blue", time=at(2024, 3, 7), model="m2")
    version = draft(
        jobs.standard,
        {"key": "jobs", "name": "Jobs", "model": "matrix", "meter": jobs.jobs,
         "rates": [(["m1"], "3.00")]},
    )  # fmt: skip

    run = try_out(version)

    assert results(run) == {
        "acme": (Decimal(100), Decimal(300), False, False, ""),
        "blue": (Decimal(11), None, False, False, "unmatched_usage"),
        "corp": (Decimal(2), Decimal(6), False, False, ""),
    }
    assert (run.customers_total, run.customers_failed) == (3, 1)
    assert (run.old_total, run.new_total) == (Decimal(102), Decimal(306))
    assert "m2" in run.results.get(customer__key="blue").error_reason


def test_who_cannot_be_rated_today_says_so(jobs, dearer):
    """The plan has no version in force from 20 March on; the one tried covers all of it."""
    PlanVersion.objects.filter(plan=jobs.standard, number=1).update(effective_until=at(2024, 3, 20))

    run = try_out(dearer)

    assert results(run)["blue"] == (None, Decimal(11), False, False, "no_version_in_force")
    reason = run.results.get(customer__key="blue").error_reason
    assert reason.startswith("By the terms in force: No published version")
    assert (run.customers_failed, run.old_total, run.new_total) == (3, 0, 0)


def test_usage_that_loses_its_price_is_told(jobs):
    """Fax pages have no price either way; jobs have one today, and none by the version."""
    jobs.meter("fax")
    calls = jobs.meter("calls")
    jobs.use("blue", "fax", time=at(2024, 3, 9), times=4)
    jobs.use("acme", "calls", time=at(2024, 3, 9), times=4)
    fee = {"key": "fee", "name": "Fee", "model": "flat", "amount": Decimal(20)}

    run = try_out(draft(jobs.standard, fee, per_job("1.00", meter=calls)))

    assert results(run)["acme"][:2] == (Decimal(100), Decimal(24))
    assert results(run)["blue"][:2] == (Decimal(10), Decimal(20))
    lost = dict(run.results.values_list("customer__key", "newly_unpriced"))
    assert lost == {"acme": ["jobs"], "blue": ["jobs"], "corp": ["jobs"]}


def test_an_amount_that_no_column_holds_fails_alone(jobs):
    sales = jobs.meter("sales", aggregation="sum", value_property="value")
    jobs.use("blue", "sales", time=at(2024, 3, 9), value=10**17)
    version = draft(
        jobs.standard,
        per_job("2.00", meter=jobs.jobs),
        {"key": "sales", "name": "Sales", "model": "per_unit", "amount": Decimal(10**11),
         "meter": sales},
    )  # fmt: skip

    run = try_out(version)

    assert results(run)["acme"][:2] == (Decimal(100), Decimal(200))
    assert results(run)["corp"][:2] == (Decimal(2), Decimal(4))
    assert results(run)["blue"] == (None, None, False, False, "failed")
    assert (run.customers_done, run.customers_failed) == (3, 1)


# What was tested is what was approved


def test_equal_inputs_have_an_equal_fingerprint_and_any_other_has_another(jobs, dearer):
    first, again = try_out(dearer), try_out(dearer)
    of_april, of_some = try_out(dearer, months=APRIL), try_out(dearer, keys=["blue"])
    jobs.use("blue", time=at(2024, 3, 9), model="m1")
    with_more_usage = try_out(dearer)
    Price.objects.filter(version=dearer).update(name="Jobs, dearer")
    reworded = try_out(dearer)

    assert first.fingerprint == again.fingerprint
    others = [of_april, of_some, with_more_usage, reworded]
    assert len({run.fingerprint for run in [first, *others]}) == 5


def test_a_version_that_changes_meanwhile_ends_the_dry_run(jobs, dearer):
    run = request_dry_run(version=dearer, plan=jobs.standard, months=MARCH, by=None, now=NOW)
    assert run_dry_run(run_id=run.pk, now=NOW, chunk=1, seconds_max=0) is True
    Price.objects.filter(version=dearer).update(amount=Decimal("1.20"))

    assert run_dry_run(run_id=run.pk, now=NOW) is False

    run.refresh_from_db()
    assert (run.failure_code, run.fingerprint) == ("version_changed", "")
    assert run.finished_at is not None
    assert results(run) == {}


# Workers


def test_a_worker_that_stops_midway_loses_nothing_and_does_nothing_twice(jobs, dearer):
    whole = try_out(dearer)
    run = request_dry_run(version=dearer, plan=jobs.standard, months=MARCH, by=None, now=NOW)

    assert run_dry_run(run_id=run.pk, now=NOW, chunk=2, seconds_max=0) is True
    run.refresh_from_db()
    assert (run.customers_done, run.customers_total, len(results(run))) == (2, 3, 2)
    assert abandoned_runs(now=NOW) == [run.pk]
    assert run_dry_run(run_id=run.pk, now=NOW) is False

    run.refresh_from_db()
    assert results(run) == results(whole)
    assert run.fingerprint == whole.fingerprint
    assert (run.old_total, run.new_total) == (whole.old_total, whole.new_total)
    assert run_dry_run(run_id=run.pk, now=NOW) is False
    assert abandoned_runs(now=NOW) == []


def test_what_a_worker_has_claimed_no_other_takes_before_the_claim_ends(jobs, dearer):
    run = request_dry_run(version=dearer, plan=jobs.standard, months=MARCH, by=None, now=NOW)
    claim_dry_run(run_id=run.pk, now=NOW)

    assert run_dry_run(run_id=run.pk, now=NOW + timedelta(minutes=14)) is False
    assert abandoned_runs(now=NOW + timedelta(minutes=14)) == []
    run.refresh_from_db()
    assert (run.started_at, run.customers_done) == (None, 0)

    later = NOW + timedelta(minutes=16)
    assert abandoned_runs(now=later) == [run.pk]
    assert run_dry_run(run_id=run.pk, now=later) is False
    run.refresh_from_db()
    assert run.customers_done == 3


def test_a_worker_that_was_too_slow_stores_nothing(jobs, dearer):
    run = request_dry_run(version=dearer, plan=jobs.standard, months=MARCH, by=None, now=NOW)
    slow = claim_dry_run(run_id=run.pk, now=NOW)
    assert run_dry_run(run_id=run.pk, now=NOW + timedelta(minutes=16)) is False
    before = DryRun.objects.values().get()

    with pytest.raises(ClaimLost):
        store_outcomes(slow, [], done=3, of_other_currency=0, reached=10)

    assert DryRun.objects.values().get() == before


def test_one_that_cannot_be_finished_within_a_day_is_given_up(jobs, dearer):
    run = request_dry_run(version=dearer, plan=jobs.standard, months=MARCH, by=None, now=NOW)

    assert run_dry_run(run_id=run.pk, now=NOW + timedelta(days=2)) is False

    run.refresh_from_db()
    assert (run.failure_code, run.customers_done) == ("given_up", 0)


def test_a_real_worker_finishes_what_was_asked_for_and_what_was_abandoned(
    jobs, dearer, celery_worker_process
):
    now = timezone.now()
    asked, abandoned = (
        request_dry_run(version=dearer, plan=jobs.standard, months=months, by=None, now=now)
        for months in (MARCH, APRIL)
    )
    claim_dry_run(run_id=abandoned.pk, now=now - timedelta(hours=1))
    celery_worker_process()

    tasks.dry_run.delay(asked.pk)
    tasks.continue_dry_runs.delay()

    wait_for(lambda: DryRun.objects.exclude(finished_at=None).count() == 2, within_s=20)
    asked.refresh_from_db()
    assert (asked.old_total, asked.new_total) == (Decimal(112), Decimal(66))
    assert asked.started_at <= asked.finished_at


# What is refused, and what is kept


@pytest.mark.parametrize(
    ("asked", "error", "field", "words"),
    [
        ({"months": Months(APRIL.first, MARCH.last)}, MonthsRefused, "last_month", "before"),
        (
            {"months": Months(date(2023, 1, 1), MARCH.last)},
            MonthsRefused, "last_month", "at most 12",
        ),
        (
            {"months": Months(date(2024, 5, 1), date(2024, 5, 1))},
            MonthsRefused, "last_month", "May 2024 has not ended",
        ),
        (
            {"customer_keys": ["acme", "nobody", "zeta"]},
            CustomersRefused, "customer_keys", "nobody, zeta",
        ),
        (
            {"customer_keys": [f"c{n}" for n in range(1001)]},
            CustomersRefused, "customer_keys", "1,001 customers are too many",
        ),
        (
            {"months": Months(date(2023, 10, 1), date(2023, 11, 1))},
            NobodySubscribed, "plan", "Nobody was subscribed to Standard",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_refused_and_nothing_is_stored(jobs, dearer, asked, error, field, words):
    given = {"version": dearer, "plan": jobs.standard, "months": MARCH, "by": None, "now": NOW}

    with pytest.raises(error, match=words) as refusal:
        request_dry_run(**given | asked)

    assert refusal.value.field == field
    assert DryRun.objects.count() == 0


def test_a_draft_that_cannot_be_billed_is_refused_with_what_is_wrong(jobs):
    empty = draft(jobs.standard)

    with pytest.raises(VersionNotReady, match="Add a price") as refusal:
        request_dry_run(version=empty, plan=jobs.standard, months=MARCH, by=None, now=NOW)

    assert [problem.code for problem in refusal.value.problems] == ["no_prices"]
    assert DryRun.objects.count() == 0


def test_asked_twice_it_is_one(jobs, dearer):
    first, second = (
        request_dry_run(version=dearer, plan=jobs.standard, months=MARCH, by=None, now=NOW)
        for _ in range(2)
    )

    assert first == second


def test_the_newest_are_kept(jobs, dearer):
    runs = [try_out(dearer) for _ in range(22)]

    kept = set(DryRun.objects.values_list("pk", flat=True))

    assert kept == {run.pk for run in runs[2:]}
    assert set(DryRunResult.objects.values_list("run_id", flat=True)) == kept


def test_a_draft_takes_its_dry_runs_along(jobs, dearer):
    try_out(dearer)

    delete_draft(version=dearer)

    assert (DryRun.objects.count(), DryRunResult.objects.count()) == (0, 0)


def test_a_chunk_takes_a_fixed_number_of_queries(jobs, dearer):
    def queries(keys):
        run = request_dry_run(
            version=dearer, plan=jobs.standard, months=MARCH, customer_keys=keys, by=None, now=NOW
        )
        with CaptureQueriesContext(connection) as found:
            run_dry_run(run_id=run.pk, now=NOW)
        return len(found)

    assert queries(["acme"]) == queries(["acme", "blue", "corp"])
