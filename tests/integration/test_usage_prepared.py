"""Prepared statements, and the jobs of a class that each process keeps for seconds."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import DataError, connection, transaction
from django.test.utils import CaptureQueriesContext

from usage import comparable
from usage.comparable import newest_of_class
from usage.prepared import all_rows, first_row

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
