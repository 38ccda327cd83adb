"""Import jobs from a CSV file: batch by batch, each event once, whatever is cut off."""

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from django.db import IntegrityError, transaction

from plans.errors import OperationError
from plans.models import Meter
from usage import locks
from usage.imports.column_map import ColumnMap
from usage.imports.converting import Converter
from usage.imports.reading import FileRefused, Row, RowFault, digest_of, opened, shown
from usage.imports.row_ids import NameRow, row_ids
from usage.ingest import CloudEvent, Rejection
from usage.models import ImportRun
from usage.operations.ingest import ingest
from usage.operations.newcomers import Newcomers, receive

BATCH_ROWS: Final = 2_000
LISTED_MAX: Final = 1_000
UNFINISHED: Final = "unfinished"

Clock = Callable[[], datetime]


class UnknownEventType(OperationError):
    """No meter counts the events that the column map makes."""

    code = "unknown_type"


class ImportBusy(OperationError):
    """Another process imports the same file with the same map."""

    code = "import_busy"


class _Batch(NamedTuple):
    """What some rows say: their events with the line of each, and those that give none."""

    rows: int
    events: list[CloudEvent]
    lines: list[int]
    faults: list[tuple[int, RowFault]]
    unfinished: list[int]


def import_jobs(
    *,
    path: Path,
    job_map: ColumnMap,
    newcomers: Newcomers,
    clock: Clock,
    batch_rows: int = BATCH_ROWS,
    on_batch: Callable[[ImportRun], None] = lambda _: None,
) -> ImportRun:
    """Store the file's finished jobs as events, and return what became of all its rows.

    A row that cannot be taken never stops the others: it is listed with its line and the cause.
    Events, customers and counts of a batch are stored in one transaction, so an import that was
    cut off goes on after its last batch when it is called again. Raises FileRefused,
    UnknownEventType, ImportBusy, and what subscribing raises; batches stored before stay.
    """
    if not Meter.objects.filter(event_type=job_map.event_type).exists():
        said = f"No meter counts events of the type “{job_map.event_type}”. Load its plan first."
        raise UnknownEventType(said, field="event_type")
    digest = digest_of(path, job_map)
    with opened(path, job_map) as rows:
        first, name = _start(next(rows, None), job_map)
        run = _unfinished_run(digest, name=path.name, now=clock())
        numbered = _numbered(_chain(first, rows), name)
        for _ in islice(numbered, run.rows_read):
            """Read again what is stored already, for the ids of equal rows."""
        for batch in _batches(numbered, Converter(job_map), size=batch_rows):
            run = _store(run, batch, job_map=job_map, newcomers=newcomers, now=clock())
            on_batch(run)
    return _finish(run, now=clock())
