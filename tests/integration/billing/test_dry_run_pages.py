"""Dry runs in the admin: who may start and read them, what the pages say, the file, the evidence.

The world is that of `tests.fixtures.dry_runs`; the clock stands in May 2024.
"""

import csv
import io
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing.dry_runs.operations import request_dry_run
from billing.dry_runs.running import run_dry_run
from billing.models import DryRun
from billing.staff import APPROVER, EDITOR, SUPPORT
from plans.admin.evidence import latest_evidence
from plans.models import Customer, PlanVersion, Price
from tests.fixtures.dry_runs import MARCH, NOW, draft, try_out

LIST = "/admin/billing/dryrun/"


@pytest.fixture(autouse=True)
def in_may(monkeypatch):
    monkeypatch.setattr("billing.admin.dry_runs.timezone", SimpleNamespace(now=lambda: NOW))


@pytest.fixture
def editor(client, staff):
    client.force_login(staff(EDITOR))
    return client


def text(response):
    assert response.status_code == 200, response.status_code
    return " ".join(response.content.decode().split())


def start_page(version):
    return f"{LIST}start/{version.pk}/"


def page_of(run, *rest):
    return "/".join([f"{LIST}{run.pk}", *rest])


def asked(**changes):
    return {
        "first_month": "2024-03-01", "last_month": "2024-03-01", "plan": changes.pop("plan").pk,
        "customer_keys": "", **changes,
    }  # fmt: skip


def test_the_version_s_page_leads_to_a_dry_run_and_back_to_what_it_found(editor, jobs, dearer):
    version_page = f"/admin/plans/planversion/{dearer.pk}/change/"
    before = text(editor.get(version_page))
    run = try_out(dearer)
    after = text(editor.get(version_page))
    Price.objects.filter(version=dearer).update(amount=2)
    changed = text(editor.get(version_page))

    assert "This version has not been tried yet." in before
    assert f'href="{start_page(dearer)}"' in before
    assert (
        "March 2024, 3 customers of Standard: $112.00 becomes $66.00 (\N{MINUS SIGN}$46.00, "
        "\N{MINUS SIGN}41.1%)." in after
    )
    assert page_of(run, "change/") in after
    assert "The version was changed since" not in after
    assert "The version was changed since" in changed


@pytest.mark.parametrize("group", [EDITOR, APPROVER])
def test_finance_starts_one_and_a_worker_is_told(client, staff, jobs, dearer, group, clean_broker):
    client.force_login(staff(group))
    shown = text(client.get(start_page(dearer)))

    answer = client.post(start_page(dearer), asked(plan=jobs.standard, customer_keys="acme, corp"))

    run = DryRun.objects.get()
    assert answer.headers["Location"] == page_of(run, "change/")
    assert "Nothing is billed" in shown
    assert "April 2024" in shown
    assert "May 2024" not in shown
    assert (run.customer_keys, run.first_month) == (["acme", "corp"], MARCH.first)
    assert run.requested_by.username == group.lower().replace(" ", "-")
    assert clean_broker.llen("celery") == 1


def test_a_second_click_starts_nothing_twice(editor, jobs, dearer, clean_broker):
    for _ in range(2):
        editor.post(start_page(dearer), asked(plan=jobs.standard))

    assert DryRun.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"first_month": "2024-04-01"}, "The last month lies before the first."),
        ({"customer_keys": "acme nobody"}, "Not a subscriber of Standard in March 2024: nobody"),
        ({"first_month": "2031-01-01"}, "Select a valid choice"),
    ],
)
def test_bad_input_is_answered_at_its_field(editor, jobs, dearer, changes, words):
    answer = editor.post(start_page(dearer), asked(plan=jobs.standard, **changes))

    assert words in text(answer)
    assert DryRun.objects.count() == 0


def test_a_draft_without_prices_says_what_to_do_first(editor, jobs):
    assert "Add a price: there is none yet." in text(editor.get(start_page(draft(jobs.standard))))


def test_support_reads_and_starts_nothing(client, staff, jobs, dearer):
    run = try_out(dearer)
    client.force_login(staff(SUPPORT))

    assert client.get(start_page(dearer)).status_code == 403
    assert client.post(start_page(dearer), asked(plan=jobs.standard)).status_code == 403
    assert start_page(dearer) not in text(client.get(page_of(run, "change/")))
    assert "Standard, version 2" in text(client.get(LIST))
    assert client.get(page_of(run, "results.csv")).status_code == 200
    assert DryRun.objects.count() == 1


@pytest.mark.parametrize("rest", ["change/", "progress/", "results.csv"])
def test_staff_without_a_group_sees_none(client, staff, jobs, dearer, rest):
    run = try_out(dearer)
    client.force_login(staff(username="temp"))

    assert client.get(page_of(run, rest)).status_code == 403


def test_the_result_shows_totals_movers_bounds_and_the_chart(editor, jobs, dearer):
    run = try_out(dearer)

    shown = text(editor.get(page_of(run, "change/")))

    for said in (
        "$112.00", "$66.00", "\N{MINUS SIGN}$46.00", "\N{MINUS SIGN}41.1%",
        "<dt>Pay more</dt><dd>2</dd>", "<dt>Pay less</dt><dd>1</dd>",
        "<dt>Newly at a minimum</dt><dd>1</dd>", "<dt>Newly at a cap</dt><dd>1</dd>",
        "\N{MINUS SIGN}50 to \N{MINUS SIGN}25%: 1 customer;", "over +50%: 1 customer.",
        "+$3.00", "+150.0%", run.fingerprint,
    ):  # fmt: skip
        assert said in shown, said
    up, down = shown.index("Pay more, the most first"), shown.index("Pay less, the most first")
    assert up < shown.index("Corp", up) < shown.index("Blue", up) < down


def test_usage_that_loses_its_price_stands_on_the_page(editor, jobs):
    fee = {"key": "fee", "name": "Fee", "model": "flat", "amount": 20}
    run = try_out(draft(jobs.standard, fee))

    shown = text(editor.get(page_of(run, "change/")))

    assert "Usage that loses its price" in shown
    assert "<li>Jobs, of 3 customers</li>" in shown


def test_the_page_takes_as_many_queries_for_few_customers_as_for_many(editor, jobs, dearer):
    few, many = try_out(dearer, keys=["acme"]), try_out(dearer)
    editor.get(page_of(few, "change/"))

    def queries(run):
        with CaptureQueriesContext(connection) as found:
            editor.get(page_of(run, "change/"))
        return len(found)

    assert queries(few) == queries(many)


def test_the_progress_is_asked_for_until_the_end_and_then_the_page_is_read_again(
    editor, jobs, dearer
):
    run = request_dry_run(version=dearer, plan=jobs.standard, months=MARCH, by=None, now=NOW)
    waiting = text(editor.get(page_of(run, "change/")))
    run_dry_run(run_id=run.pk, now=NOW, chunk=2, seconds_max=0)
    half = editor.get(page_of(run, "progress/"))
    run_dry_run(run_id=run.pk, now=NOW)
    done = editor.get(page_of(run, "progress/"))

    assert "Waiting for a worker" in waiting
    assert 'hx-trigger="every 1s"' in waiting
    assert "2 of 3 customers are rated" in text(half)
    assert "HX-Refresh" not in half.headers
    assert done.headers["HX-Refresh"] == "true"
    assert "hx-trigger" not in text(done)


def test_one_that_failed_says_why(editor, jobs, dearer):
    run = request_dry_run(version=dearer, plan=jobs.standard, months=MARCH, by=None, now=NOW)
    run_dry_run(run_id=run.pk, now=NOW, chunk=1, seconds_max=0)
    Price.objects.filter(version=dearer).update(amount=2)
    run_dry_run(run_id=run.pk, now=NOW)

    shown = text(editor.get(page_of(run, "change/")))

    assert "The version&#x27;s prices were changed while the dry run was under way." in shown
    assert latest_evidence(dearer) is None


def test_the_file_has_a_row_for_each_customer_and_no_formulas(editor, jobs, dearer):
    Customer.objects.filter(key="blue").update(name="=1+1")
    run = try_out(dearer)

    answer = editor.get(page_of(run, "results.csv"))

    assert answer.headers["Content-Disposition"] == f'attachment; filename="dry-run-{run.pk}.csv"'
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert rows[0][:6] == ["customer", "name", "currency", "old", "new", "difference"]
    assert [row[:8] for row in rows[1:]] == [
        ["acme", "Acme", "USD", "100.0000", "50.0000", "-50.0000", "", "yes"],
        ["blue", "'=1+1", "USD", "10.0000", "11.0000", "1.0000", "", ""],
        ["corp", "Corp", "USD", "2.0000", "5.0000", "3.0000", "yes", ""],
    ]


def test_a_draft_that_was_tried_can_be_deleted_and_a_dry_run_alone_cannot(editor, jobs, dearer):
    run = try_out(dearer)

    Price.objects.filter(version=dearer).delete()
    alone = editor.post(page_of(run, "delete/"), {"post": "yes"})
    kept = DryRun.objects.count()
    editor.post(f"/admin/plans/planversion/{dearer.pk}/delete/", {"post": "yes"})

    assert alone.status_code == 403
    assert kept == 1
    assert PlanVersion.objects.filter(pk=dearer.pk).count() == 0
    assert DryRun.objects.count() == 0


def test_the_evidence_is_the_newest_result_and_says_whether_it_still_holds(jobs, dearer):
    reverse("admin:index")  # the addresses are read, and with them the registry is filled
    none_yet = latest_evidence(dearer)
    try_out(dearer, keys=["acme"])
    run = try_out(dearer)
    found = latest_evidence(dearer)
    Price.objects.filter(version=dearer).update(amount=2)

    assert none_yet is None
    assert (found.fingerprint, found.is_current) == (run.fingerprint, True)
    assert found.tested_at == run.finished_at
    assert found.link == page_of(run, "change/")
    assert latest_evidence(dearer).is_current is False
