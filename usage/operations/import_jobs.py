"""Import jobs from a CSV file: batch by batch, each event once, wherever it is cut off."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from django.db import transaction

from plans.errors import OperationError
from plans.models import Meter
from usage.imports.column_map import ColumnMap
from usage.imports.converting import Converter
from usage.imports.reading import Row, RowFault, digest_of, opened, shown
from usage.imports.row_ids import row_ids
from usage.ingest import CloudEvent, Rejection
from usage.locks import lock_import_run
from usage.models import ImportRun
from usage.operations.ingest import ingest
from usage.operations.newcomers import Newcomers, receive, subscribe

BATCH_ROWS: Final = 2_000
LISTED_MAX: Final = 1_000
UNFINISHED: Final = "unfinished"

Clock = Callable[[], datetime]
Named = tuple[Row, str | RowFault]


class UnknownEventType(OperationError):
    """No meter counts the events that the column map makes."""

    code = "unknown_type"


class ImportBusy(OperationError):
    """Another process imports the same file with the same map."""

    code = "import_busy"


class _Batch(NamedTuple):
    """What some rows say: events and the line of each, rows that are refused, unfinished ones.

    ``customers`` are also those whose jobs are all unfinished: they are customers nevertheless.
    """

    row_count: int
    customers: set[str]
    events: list[tuple[int, CloudEvent]]
    refused: list[tuple[int, RowFault]]
    unfinished: list[int]


def import_jobs(
    *,
    path: Path,
    job_map: ColumnMap,
    clock: Clock,
    newcomers: Newcomers = Newcomers(),  # noqa: B008 - a value that cannot change
    batch_rows: int = BATCH_ROWS,
    on_batch: Callable[[ImportRun], None] = lambda _: None,
) -> ImportRun:
    """Store the file's finished jobs as events, and return what became of all its rows.

    A row that cannot be taken never stops the others: it is listed with its line and the cause.
    Events, customers and counts of a batch are stored in one transaction, so an import that was
    cut off goes on after its last batch when it is called again. ``clock`` is read once a batch.
    Raises FileRefused, UnknownEventType, ImportBusy, and where customers cannot be subscribed
    NoVersionInForce, CurrencyMismatch, SubscriptionDateRefused; batches stored before stay.
    """
    _refuse_at_once(job_map, newcomers)
    digest = digest_of(path, job_map)
    converter = Converter(job_map)
    with opened(path, job_map) as rows:
        run = _begin(digest, name=path.name, now=clock())
        # Rows that are stored already are read again: equal rows are numbered from the first on.
        named = islice(_named(rows, job_map), run.rows_read, None)
        while chunk := list(islice(named, batch_rows)):
            batch = _read_batch(chunk, converter)
            run = _store(run, batch, converter=converter, newcomers=newcomers, now=clock())
            on_batch(run)
    return _finish(run, now=clock())


def _refuse_at_once(job_map: ColumnMap, newcomers: Newcomers) -> None:
    if not Meter.objects.filter(event_type=job_map.event_type).exists():
        said = f"No meter counts events of the type “{job_map.event_type}”. Load its plan first."
        raise UnknownEventType(said, field="event_type")
    if newcomers.term is not None:
        subscribe(newcomers.term, customer_ids=[])


@transaction.atomic
def _begin(digest: str, *, name: str, now: datetime) -> ImportRun:
    """Return the unfinished run of this file, or a new one.

    The lock waits for what a killed process may still have under way in the database.
    """
    run, _ = ImportRun.objects.get_or_create(
        digest=digest, finished_at=None, defaults={"name": name[:200], "started_at": now}
    )
    return lock_import_run(run_id=run.pk)


@transaction.atomic
def _finish(run: ImportRun, *, now: datetime) -> ImportRun:
    _locked(run)
    run.finished_at = now
    run.save(update_fields=["finished_at"])
    return run


def _locked(run: ImportRun) -> ImportRun:
    found = lock_import_run(run_id=run.pk)
    if found.rows_read != run.rows_read or found.finished_at is not None:
        raise ImportBusy(
            f"Another process is importing {run.name} with the same map. Let it finish."
        )
    return found


def _named(rows: Iterable[Row], job_map: ColumnMap) -> Iterator[Named]:
    name = row_ids(job_map)
    for row in rows:
        yield row, row.fault or name(row.cells)


def _read_batch(rows: Sequence[Named], converter: Converter) -> _Batch:
    batch = _Batch(len(rows), set(), [], [], [])
    for row, name in rows:
        found = name if isinstance(name, RowFault) else converter.convert(row.cells, id=name)
        if isinstance(found, RowFault):
            batch.refused.append((row.line, found))
            continue
        batch.customers.add(converter.customer_of(row.cells))
        if found is None:
            batch.unfinished.append(row.line)
        else:
            batch.events.append((row.line, found))
    return batch


@transaction.atomic
def _store(
    before: ImportRun,
    batch: _Batch,
    *,
    converter: Converter,
    newcomers: Newcomers,
    now: datetime,
) -> ImportRun:
    """Store a batch and count it. Raises ImportBusy where another process has counted it."""
    run = _locked(before)
    strangers = receive(newcomers, keys=batch.customers - {""})
    events = [each for each in batch.events if each[1].subject not in strangers]
    report = ingest([event for _, event in events], now=now)
    refused = batch.refused + _strange(batch.events, strangers, converter)
    for rejection in report.rejected:
        line, event = events[rejection.index]
        refused.append((line, _fault(rejection, event, converter)))
    run.rows_read += batch.row_count
    run.accepted += report.accepted
    run.duplicates += report.duplicates
    run.rejected_count += len(refused)
    _list_rejected(run, refused)
    _list_unfinished(run, batch.unfinished)
    run.save()
    return run


def _strange(
    events: Iterable[tuple[int, CloudEvent]], strangers: Mapping[str, str], converter: Converter
) -> list[tuple[int, RowFault]]:
    column = converter.column_of("subject")
    return [
        (line, RowFault("customer_key", column, shown(event.subject), strangers[event.subject]))
        for line, event in events
        if event.subject in strangers
    ]


def _fault(rejection: Rejection, event: CloudEvent, converter: Converter) -> RowFault:
    """Return an event's rejection in the words of the file: its column and value there."""
    values: dict[str, Any] = {"subject": event.subject, "id": event.id, "time": event.time}
    values |= {f"data.{name}": value for name, value in (event.data or {}).items()}
    value = values.get(rejection.field, "")
    cause = f"{rejection.detail} It is kept in quarantine." if rejection.quarantined else ""
    return RowFault(
        rejection.code,
        converter.column_of(rejection.field),
        shown(str(value)),
        cause or rejection.detail,
    )


def _list_rejected(run: ImportRun, refused: list[tuple[int, RowFault]]) -> None:
    room = LISTED_MAX - len(run.rejected)
    run.rejected += [{"line": line, **fault._asdict()} for line, fault in sorted(refused)[:room]]


def _list_unfinished(run: ImportRun, lines: list[int]) -> None:
    if not lines:
        return
    listed = run.skipped.setdefault(UNFINISHED, {"rows": 0, "lines": []})
    listed["rows"] += len(lines)
    listed["lines"] += lines[: LISTED_MAX - len(listed["lines"])]
