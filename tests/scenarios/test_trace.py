"""The real jobs: 26,823 of them, of 4,247 customers, billed for two months to the cent.

Every line is compared with a computation in DuckDB over the same file that shares nothing with the
product (`tests.fixtures.traces`). A customer with jobs in one month only has a statement of the
other month, too: without lines, over 0.00.
"""

from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from billing.models import Statement, StatementLine
from billing.statements.verify import Difference, verify_statements
from tests.fixtures.traces import MAP, PLAN, expected_bill, find_trace, needs_trace, stored_bill
from tests.fixtures.usage import empty_usage
from usage.models import Event, ImportRun

pytestmark = [pytest.mark.trace, needs_trace, pytest.mark.xdist_group("trace")]

MONTHS = ("2024-11", "2024-12")


def said(*command, **options) -> str:
    """Run a command; return what it printed."""
    out = StringIO()
    call_command(*command, stdout=out, **options)
    return out.getvalue()


def import_trace() -> str:
    """Import the file as the README says."""
    return said(
        "import_jobs", str(find_trace()), "--map", str(MAP), "--create-customers",
        "--plan", "image-generation", "--starts", "2024-11-01", "--ends", "2025-01-01",
    )  # fmt: skip


def close() -> str:
    return said("close_period", until="2025-01-01")


@pytest.fixture(scope="module")
def trace(django_db_setup, django_db_blocker):
    """The trace, imported and closed; the tests look at it and leave it as it is."""
    with django_db_blocker.unblock():
        said("flush", interactive=False)
        empty_usage()
        call_command("load_catalogue", str(PLAN), "--publish", stdout=StringIO())
        yield {"import": import_trace(), "close": close()}
        said("flush", interactive=False)
        empty_usage()


def test_every_row_of_the_file_is_accounted_for(trace) -> None:
    first = ImportRun.objects.order_by("id").first()
    assert first.finished_at is not None
    assert (first.rows_read, first.accepted, first.duplicates) == (26_823, 26_392 + 398, 0)
    assert (first.rejected_count, first.rejected) == (0, [])
    assert first.skipped["unfinished"]["rows"] == 33
    lines = find_trace().read_text().splitlines()
    left_out = {lines[number - 1].split(",")[2] for number in first.skipped["unfinished"]["lines"]}
    assert left_out == {"PENDING", "PROCESSING"}
    assert "33 unfinished, not stored (lines 9632, 9633" in trace["import"]
    assert Event.objects.count() == 26_790
    assert "8494 opened, 8494 drafted, 8494 finalised" in trace["close"]


def test_every_line_of_every_customer_equals_duckdb_s(trace) -> None:
    expected = expected_bill(find_trace(), months=MONTHS)
    stored = stored_bill(connection)
    assert len(expected.totals) == 2 * 4_247
    assert stored.lines == expected.lines
    assert stored.totals == expected.totals


def test_the_figures_themselves(trace) -> None:
    """Fixed once, so that both computations going wrong together would show, too."""
    sums = {
        description: sum(amounts, Decimal(0))
        for description in ("Images", "GPU time", "GPU time, inpainting")
        for amounts in [
            StatementLine.objects.filter(description=description).values_list("amount", flat=True)
        ]
    }
    assert sums == {
        "Images": Decimal("1669.21"),
        "GPU time": Decimal("633.17"),
        "GPU time, inpainting": Decimal("6.16"),
    }
    busiest = Statement.objects.get(customer__key="G0264", period_start__month=11)
    images = busiest.lines.get(price_key="images")
    # 20 free, 980 at 0.04, 4,011 at 0.03.
    assert (images.quantity, images.amount) == (5011, Decimal("159.53"))
    assert [part["quantity"] for part in images.explanation["parts"]] == ["20", "980", "4011"]


def test_statements_are_borne_out_by_their_facts(trace) -> None:
    found = list(verify_statements())
    assert [one for one in found if isinstance(one, Difference)] == []
    assert sum(found) == 2 * 4_247


def test_imported_and_closed_again_nothing_changes(trace) -> None:
    before = everything()
    assert "26,790 duplicates" in import_trace()
    again = ImportRun.objects.order_by("id").last()
    assert (again.accepted, again.duplicates, again.rejected_count) == (0, 26_790, 0)
    assert "0 opened, 0 drafted, 0 finalised" in close()
    assert everything() == before


def everything() -> tuple:
    """What must stay: events, customers and statements, whole."""
    return (
        Event.objects.count(),
        list(Statement.objects.order_by("id").values_list()),
        list(StatementLine.objects.order_by("id").values_list()),
        list(Statement.objects.order_by("id").values_list("customer__created_at", flat=True)),
    )
