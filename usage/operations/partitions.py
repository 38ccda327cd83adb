"""Make the monthly partitions of the event table."""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from django.db import connection, transaction

Month = tuple[int, int]

# Months that are known to have their partition, by database; only committed ones stand here.
_known: dict[str, set[Month]] = {}
_LOCK_KEY = 7_402_001

# A partition is made beside the table and then attached: that lets reads and ingest go on, where
# CREATE TABLE … PARTITION OF would wait for all of them and hold up those that follow.
_CREATE = """
CREATE TABLE {name} (LIKE usage_event INCLUDING DEFAULTS INCLUDING STORAGE) WITH (
    fillfactor = 100, autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_vacuum_insert_threshold = 10000, autovacuum_analyze_scale_factor = 0.05,
    autovacuum_freeze_min_age = 0);
ALTER TABLE usage_event ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}');
"""


def month_of(time: datetime) -> Month:
    """Return the UTC month of an aware time."""
    time = time.astimezone(UTC)
    return (time.year, time.month)


def months_from(month: Month, *, count: int) -> list[Month]:
    """Return `count` months in a row, counted from the first one."""
    first = month[0] * 12 + month[1] - 1
    return [(n // 12, n % 12 + 1) for n in range(first, first + count)]


def keep_partitions(*, now: datetime, months_ahead: int = 3) -> None:
    """Make sure of the partitions of this month and of the `months_ahead` that follow."""
    ensure_partitions(months_from(month_of(now), count=1 + months_ahead))


def ensure_partitions(months: Collection[Month]) -> None:
    """Make the partitions of these UTC months unless they exist; safe when called at once."""
    known = _known.setdefault(str(connection.settings_dict["NAME"]), set())
    missing = set(months) - known
    if not missing:
        return
    with transaction.atomic():
        absent = _without_partition(missing)
        if absent:
            _create(absent)
        # Inside a caller's transaction the partition may yet be rolled back.
        transaction.on_commit(lambda: known.update(missing))


def forget_partitions() -> None:
    """Forget which partitions this process has seen; the next ingest looks again."""
    _known.clear()


def _name(month: Month) -> str:
    return f"usage_event_{month[0]:04}_{month[1]:02}"


def _without_partition(months: Iterable[Month]) -> list[Month]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits"
                       " WHERE inhparent = 'usage_event'::regclass")  # fmt: skip
        present = {name for (name,) in cursor.fetchall()}
    return sorted(month for month in months if _name(month) not in present)


def _create(months: list[Month]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK_KEY])
        for month in _without_partition(months):
            start, end = (f"{y:04}-{m:02}-01T00:00:00+00" for y, m in months_from(month, count=2))
            cursor.execute(_CREATE.format(name=_name(month), start=start, end=end))
