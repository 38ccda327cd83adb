"""Prepared statements, and the jobs of a class that each process keeps for seconds."""

from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from plans.models import Workspace
from usage import comparable
from usage.comparable import newest_of_class
from usage.models import ApiKey
from usage.operations.api_keys import issue_key
from usage.prepared import all_rows, first_row, last_row

pytestmark = pytest.mark.django_db

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
# No class of a test has this number.
CLASS = -7


def test_rows_come_as_they_would_from_a_cursor() -> None:
    statement = "SELECT n, %(at)s::timestamptz FROM generate_series(1, %(most)s::int) AS n"
    assert all_rows(statement, {"at": AT, "most": 2}) == [(1, AT), (2, AT)]
    assert first_row(statement, {"at": AT, "most": 2}) == (1, AT)
    assert first_row(statement, {"at": AT, "most": 0}) is None


def test_the_connection_prepares_the_statement_once() -> None:
    for number in (1, 2, 3):
        assert first_row("SELECT %s::int + 41000", [number]) == (41000 + number,)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT generic_plans + custom_plans FROM pg_prepared_statements"
            " WHERE statement LIKE '%%41000%%'"
        )
        assert cursor.fetchall() == [(3,)]


def test_counted_queries_are_seen() -> None:
    with CaptureQueriesContext(connection) as queries:
        first_row("SELECT 1", [])
    assert [query["sql"] for query in queries] == ["SELECT 1"]


def test_errors_are_djangos() -> None:
    with pytest.raises(DataError), transaction.atomic():
        first_row("SELECT 1 / %s::int", [0])


@pytest.mark.django_db(transaction=True)
def test_a_last_statement_commits_with_itself() -> None:
    issue_key(name="one", scopes=["read"], now=AT)
    with transaction.atomic():
        assert last_row(_RENAME, ["two"]) == ("two",)
        assert _names_elsewhere() == ["two"]
    with transaction.atomic():
        with transaction.atomic():
            assert last_row(_RENAME, ["three"]) == ("three",)
        assert _names_elsewhere() == ["two"]
    assert _names_elsewhere() == ["three"]


@pytest.mark.django_db(transaction=True)
def test_a_last_statement_that_fails_leaves_nothing_and_the_connection_as_it_was() -> None:
    issue_key(name="one", scopes=["read"], now=AT)
    with pytest.raises(DataError):
        _rename_and_fail()
    # A deferred rule is asked as the transaction ends.
    with pytest.raises(IntegrityError), transaction.atomic():
        last_row(_NO_SUCH_CUSTOMER, ["w"])

    assert _names_elsewhere() == ["one"]
    assert (first_row("SELECT %s::int", [3]), Workspace.objects.count()) == ((3,), 0)


@transaction.atomic
def _rename_and_fail() -> None:
    ApiKey.objects.update(name="two")
    last_row("SELECT 1 / %s::int", [0])


_RENAME = "UPDATE usage_apikey SET name = %s RETURNING name"
_NO_SUCH_CUSTOMER = """
INSERT INTO plans_workspace (key, name, customer_id) VALUES (%s, 'W', -1) RETURNING key
"""


def _names_elsewhere() -> list[str]:
    """Return the names of API keys as another connection sees them."""
    found: list[str] = []

    def read() -> None:
        found.extend(ApiKey.objects.values_list("name", flat=True))
        connection.close()

    thread = Thread(target=read)
    thread.start()
    thread.join()
    return found


def test_jobs_of_a_class_are_read_again_after_their_time(monkeypatch) -> None:
    reads: list[datetime] = []
    seconds = [100.0]
    monkeypatch.setattr(comparable, "all_rows", lambda _, asked: reads.append(asked["at"]) or [])
    monkeypatch.setattr(comparable, "monotonic", lambda: seconds[0])
    monkeypatch.setattr(comparable, "_kept", {})

    newest_of_class(job_class_id=CLASS, at=AT)
    newest_of_class(job_class_id=CLASS, at=AT + timedelta(seconds=5))
    assert reads == [AT]
    # An instant before, or beyond the time they are kept, is another question.
    earlier, later = AT - timedelta(seconds=1), AT + timedelta(seconds=6)
    newest_of_class(job_class_id=CLASS, at=earlier)
    newest_of_class(job_class_id=CLASS, at=later)
    assert reads == [AT, earlier, later]
    # A clock that stands still does not keep them for ever.
    seconds[0] += 5.1
    newest_of_class(job_class_id=CLASS, at=later)
    assert reads == [AT, earlier, later, later]


class TestOutsideATransaction:
    """Where a statement is a transaction by itself, and begins one."""

    pytestmark = pytest.mark.django_db(transaction=True)

    def test_rows_come_as_they_would_from_a_cursor(self) -> None:
        statement = (
            "SELECT %(at)s::timestamptz, '%%', %(none)s::text, %(at)s::timestamptz, '[1]'::jsonb"
        )
        values = {"at": AT, "none": None}
        assert all_rows(statement, values) == [(AT, "%", None, AT, "[1]")]
        with transaction.atomic():
            assert all_rows(statement, values) == [(AT, "%", None, AT, "[1]")]

    def test_the_connection_prepares_the_statement_once_for_numbers_of_any_size(self) -> None:
        for number in (1, 2, 70_000, 3):
            assert first_row("SELECT %s::int + 42000", [number]) == (42000 + number,)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT generic_plans + custom_plans FROM pg_prepared_statements"
                " WHERE statement LIKE '%%42000%%' ORDER BY 1"
            )
            assert cursor.fetchall() == [(4,)]

    def test_it_prepares_no_more_than_so_many(self, monkeypatch) -> None:
        monkeypatch.setattr("usage.prepared._PREPARED_MOST", 2)
        connection.close()
        for number in (1, 2, 3, 1):
            assert first_row(f"SELECT {number}", []) == (number,)
        with connection.cursor() as cursor:
            cursor.execute("SELECT statement FROM pg_prepared_statements ORDER BY 1")
            assert cursor.fetchall() == [("SELECT 1",), ("SELECT 3",)]

    def test_the_first_statement_begins_the_transaction_that_it_is_in(self) -> None:
        write = (
            "INSERT INTO usage_apikey (name, prefix, digest, scopes, created_at)"
            " VALUES (%(name)s, %(name)s, %(name)s, '{}', %(at)s) RETURNING name"
        )
        with transaction.atomic():
            assert first_row(write, {"name": "lost", "at": AT}) == ("lost",)
            transaction.set_rollback(True)
        # What was prepared in it still is.
        assert first_row(write, {"name": "kept", "at": AT}) == ("kept",)
        with transaction.atomic():
            assert first_row(write, {"name": "too", "at": AT}) == ("too",)
        assert set(ApiKey.objects.values_list("name", flat=True)) == {"kept", "too"}

    def test_errors_are_djangos(self) -> None:
        with pytest.raises(DataError):
            first_row("SELECT 1 / %s::int", [0])
        assert first_row("SELECT %s::int", [1]) == (1,)

    def test_a_connection_that_is_lost_says_so_and_the_next_one_prepares_anew(self) -> None:
        first_row("SELECT %s::int", [1])
        with pytest.raises(OperationalError):
            first_row("SELECT pg_terminate_backend(pg_backend_pid(), %s)", [1000])
        connection.close_if_unusable_or_obsolete()
        assert first_row("SELECT %s::int", [1]) == (1,)

    def test_a_kept_connection_that_the_server_has_ended_is_seen_to_be(self) -> None:
        """As a request finds it after the server was restarted: it connects anew."""
        (first,) = first_row("SELECT pg_backend_pid()", []) or ()
        assert connection.is_usable()
        other = connection.copy()
        try:
            with other.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [first])
        finally:
            other.close()

        assert not connection.is_usable()
        connection.health_check_enabled, connection.health_check_done = True, False
        (second,) = first_row("SELECT pg_backend_pid()", []) or ()
        assert second != first
