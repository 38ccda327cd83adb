"""`manage.py import_jobs FILE --map FILE`: store the jobs of a CSV file as usage."""

import datetime as dt
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from plans.catalogue.problems import CatalogueInvalid
from plans.catalogue.yaml_text import read_text
from plans.errors import OperationError
from plans.models import Plan
from usage.imports.column_map import ColumnMap, read_map
from usage.imports.reading import unused_columns
from usage.models import ImportRun
from usage.operations.import_jobs import BATCH_ROWS, UNFINISHED, import_jobs
from usage.operations.newcomers import Newcomers, PlanTerm

PRINTED_MAX = 20


class Command(BaseCommand):
    help = (
        "Store the finished jobs of a CSV file as usage events, each once: a file that was "
        "imported before, or in part, adds what is missing. Rows that cannot be taken are listed, "
        "and the exit status is 1."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument(
            "--map", type=Path, required=True, metavar="FILE", help="What the columns mean (YAML)."
        )
        parser.add_argument(
            "--create-customers", action="store_true", help="Create the customers that are missing."
        )
        parser.add_argument(
            "--plan", metavar="KEY", help="Subscribe customers that never had a subscription."
        )
        parser.add_argument("--starts", type=_day, metavar="DATE", help="From this day (UTC) on.")
        parser.add_argument(
            "--ends", type=_day, metavar="DATE", help="Until the start of this day (UTC)."
        )
        parser.add_argument("--batch", type=_batch_size, default=BATCH_ROWS, metavar="ROWS")

    def handle(self, *, file: Path, **options: Any) -> None:
        """Import the file, and say what became of each of its rows."""
        try:
            job_map = _read_map(options["map"])
            newcomers = Newcomers(create=options["create_customers"], term=_term(options))
            self._say_unused(file, job_map)
            run = import_jobs(
                path=file,
                job_map=job_map,
                newcomers=newcomers,
                clock=timezone.now,
                batch_rows=options["batch"],
                on_batch=self._say_progress if options["verbosity"] > 1 else lambda _: None,
            )
        except OperationError as error:
            raise CommandError(f"{file.name}: {error.message}") from error
        except (OperationalError, InterfaceError) as error:
            raise CommandError(
                f"The connection to the database was lost: {str(error).strip()}\n"
                "Nothing is half stored. Run the same command again: it goes on from there."
            ) from error
        self._report(run)

    def _say_unused(self, file: Path, job_map: ColumnMap) -> None:
        unused = unused_columns(file, job_map)
        if unused:
            self.stdout.write(f"columns that the map does not read: {', '.join(unused)}")

    def _say_progress(self, run: ImportRun) -> None:
        self.stdout.write(f"{run.rows_read:,} rows")
        self.stdout.flush()

    def _report(self, run: ImportRun) -> None:
        self.stdout.write(f"{run.name}: {run.rows_read:,} rows")
        self.stdout.write(f"  {run.accepted:,} accepted")
        self.stdout.write(f"  {run.duplicates:,} duplicates, stored before")
        unfinished = run.skipped.get(UNFINISHED, {"rows": 0, "lines": []})
        self.stdout.write(
            f"  {unfinished['rows']:,} unfinished, not stored{_listed(unfinished['lines'])}"
        )
        self.stdout.write(f"  {run.rejected_count:,} rejected")
        for row in run.rejected[:PRINTED_MAX]:
            self.stdout.write(self.style.ERROR(f"line {row['line']}: {_described(row)}"))
        if run.rejected_count:
            raise CommandError(
                f"{run.rejected_count:,} of {run.rows_read:,} rows were not taken. Mend them and "
                "import the file again: what is stored is not counted twice."
            )


def _listed(lines: list[int]) -> str:
    if not lines:
        return ""
    more = ", …" if len(lines) > PRINTED_MAX else ""
    return f" (lines {', '.join(map(str, lines[:PRINTED_MAX]))}{more})"


def _described(row: dict[str, str]) -> str:
    field = f"{row['field']} “{row['value']}”: " if row["field"] else ""
    return f"{field}{row['cause']}"


def _read_map(path: Path) -> ColumnMap:
    try:
        return read_map(read_text(path), name=path.name)
    except CatalogueInvalid as error:
        raise CommandError(error.message) from error
    except OperationError as error:
        raise CommandError(f"{path.name} cannot be used:\n{error.message}") from error


def _term(options: dict[str, Any]) -> PlanTerm | None:
    if options["plan"] is None:
        if options["starts"] or options["ends"]:
            raise CommandError("--starts and --ends say when --plan holds: name the plan, too.")
        return None
    if options["starts"] is None:
        raise CommandError("--plan needs --starts, the day from which customers are billed.")
    plan = Plan.objects.filter(key=options["plan"]).first()
    if plan is None:
        raise CommandError(f"--plan: there is no plan “{options['plan']}”. Load it first.")
    return PlanTerm(plan, options["starts"], options["ends"])


def _day(text: str) -> dt.datetime:
    try:
        return dt.datetime.combine(dt.date.fromisoformat(text), dt.time(), tzinfo=dt.UTC)
    except ValueError as error:
        raise ArgumentTypeError(f"“{text}” is not a day; write 2024-11-01.") from error


def _batch_size(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 10_000:
        raise ArgumentTypeError(f"“{text}” is not a number from 1 to 10000.")
    return int(text)
