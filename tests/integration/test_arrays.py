"""Columns as PostgreSQL's array literals: what is read back is what was written."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from plans.arrays import array

INSTANTS = [
    datetime(2026, 3, 1, tzinfo=UTC),
    datetime(2026, 3, 29, 3, 30, 0, 123456, tzinfo=ZoneInfo("Europe/Berlin")),
    # Local time was 53 minutes and 28 seconds ahead then.
    datetime(1890, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")),
    datetime(2026, 3, 1, tzinfo=timezone(-timedelta(hours=11, minutes=59, seconds=59))),
]


@pytest.mark.parametrize(
    ("values", "kind"),
    [([], "bigint"), ([7, -1, 2**63 - 1], "bigint"), (INSTANTS, "timestamptz")],
    ids=["none", "numbers", "instants"],
)
def test_the_database_reads_what_was_written(db, values, kind) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT %s::{kind}[]", [array(values)])
        assert cursor.fetchone()[0] == values
