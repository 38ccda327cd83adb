"""The transaction horizon: what readers and rollups agree on about which rows are seen."""

from django.db import connection


def current_horizon() -> int:
    """Return the number below which every transaction has ended.

    Whatever a transaction before it stored is seen by every later query. The number never goes
    back, not even when the database is restored into another cluster (`RollupState`).
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT usage_snapshot_horizon()")
        row: tuple[int] = cursor.fetchone()
    return row[0]
