"""The transaction horizon: what readers and rollups agree on about which rows are seen."""

from django.db import connection


def current_horizon() -> int:
    """Return the transaction number below which every transaction has ended.

    Whatever a transaction before it stored is seen by every later query.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        row: tuple[int] = cursor.fetchone()
    return row[0]
