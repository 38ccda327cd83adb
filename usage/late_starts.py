"""Jobs that started later than their service class promised, as their usage events say it.

A job's usage is stored when it is settled. That of a job which started late carries
``started_late``, which meters may have as a dimension, and ``late_start``: the class, what was
promised, and when the job started. Both names are ours in what jobs report.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from django.db import connection

from plans.rating.late_starts import LATE_DIMENSION
from usage.job_metering import SOURCE

EVIDENCE: Final = "late_start"
LISTED_MOST: Final = 20
_RESERVED: Final = frozenset({LATE_DIMENSION, EVIDENCE})


class LateJob(NamedTuple):
    """A job that started late, in one window: what it used by type, under which class."""

    ref: int
    type: str
    service_class: str
    job: str
    promised_at: datetime
    started_at: datetime


_READ = f"""
SELECT r, type, class, job, promised, started
FROM (
    SELECT found.*, row_number() OVER (PARTITION BY r, type, class ORDER BY started, job) AS place
    FROM (
        SELECT DISTINCT w.r, e.type,
            coalesce(e.properties -> '{EVIDENCE}' ->> 'service_class', '') AS class,
            split_part(e.event_id, ':', 1) AS job,
            e.properties -> '{EVIDENCE}' ->> 'promised_at' AS promised,
            e.properties -> '{EVIDENCE}' ->> 'started_at' AS started
        FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])
            AS w (r, c, s, e)
        JOIN usage_event e ON e.customer_id = w.c AND e."time" >= w.s AND e."time" < w.e
        WHERE e.source = '{SOURCE}' AND e.properties ? '{EVIDENCE}') AS found) AS numbered
WHERE place <= {LISTED_MOST}
ORDER BY r, type, class, place
"""  # noqa: S608


def read_late_jobs(windows: Sequence[tuple[int, int, datetime, datetime]]) -> list[LateJob]:
    """Return the jobs that started late in windows (reference, customer id, start, end).

    At most 20 of each window, type of usage and service class, those that started first.
    """
    if not windows:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_READ, [list(column) for column in zip(*windows, strict=True)])
        rows = cursor.fetchall()
    found = []
    for ref, event_type, service_class, job, promised, started in rows:
        promised_at, started_at = _instant(promised), _instant(started)
        if promised_at is not None and started_at is not None:
            found.append(LateJob(ref, event_type, service_class, job, promised_at, started_at))
    return found


def _instant(said: str | None) -> datetime | None:
    """Return the instant that an event says; None where somebody else stored other words."""
    try:
        at = datetime.fromisoformat(said or "")
    except ValueError:
        return None
    return at if at.tzinfo else None


def without_marks(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return properties without the names under which late starts are marked."""
    return {name: value for name, value in properties.items() if name not in _RESERVED}


def marked(
    properties: Mapping[str, Any],
    *,
    service_class: str,
    promised_at: datetime | None,
    started_at: datetime | None,
) -> dict[str, Any]:
    """Return what an event of a job says, marked where the job started after its promised start.

    What was reported under the reserved names is left out: only the start itself says so.
    """
    said = without_marks(properties)
    if not is_late(promised_at=promised_at, started_at=started_at):
        return said
    assert promised_at is not None, "it was late"
    assert started_at is not None, "it was late"
    return said | {
        LATE_DIMENSION: True,
        EVIDENCE: {
            "service_class": service_class,
            "promised_at": _text(promised_at),
            "started_at": _text(started_at),
        },
    }


def is_late(*, promised_at: datetime | None, started_at: datetime | None) -> bool:
    """Say whether a job started after its promised start; one that never started did not."""
    return promised_at is not None and started_at is not None and started_at > promised_at


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
