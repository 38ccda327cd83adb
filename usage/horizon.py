"""The transaction horizon: what readers and rollups agree on about which rows are seen."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


def current_horizon() -> int:
    """Return the number below which every transaction has ended.

    Whatever a transaction before it stored is seen by every later query. The number never goes
    back, not even when the database is restored into another cluster (`RollupState`).
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT usage_snapshot_horizon()")
        row: tuple[int] = cursor.fetchone()
    return row[0]


# All numbers below xmax but those of transactions that run: it grows with each that ends.
_SEEN = """
SELECT usage_snapshot_horizon() - pg_snapshot_xmin(s)::text::bigint
    + pg_snapshot_xmax(s)::text::bigint - (SELECT count(*) FROM pg_snapshot_xip(s))
FROM pg_current_snapshot() AS s
"""


def transactions_seen() -> int:
    """Return how many transactions the reader sees ended: of two readings the later has more.

    Two that have the same number see the same. Within ``one_snapshot`` that is what the block sees.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SEEN)
        row: tuple[int] = cursor.fetchone()
    return row[0]


@contextmanager
def one_snapshot() -> Iterator[None]:
    """Let all that the block reads be of one instant; it may not write.

    So it holds no horizon back. Where the caller has a transaction open, that one's rules hold.
    """
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield
