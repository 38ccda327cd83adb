"""`manage.py systems`: bill every shipped pricing system and compare to the cent."""

import contextlib
import logging
import secrets
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from config.embedded.place import free_port
from config.serve import HOST, ServeError, running
from config.systems.run import Outcome, bill, month_to_bill
from config.systems.waiting import SystemsStuck
from plans.catalogue.systems import System, read_systems
from plans.errors import OperationError


class Command(BaseCommand):
    help = (
        "Bill every shipped pricing system through the API, Celery tasks and statements, and "
        "compare lines and totals to the cent. Each run has customers of its own."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("systems", nargs="*", metavar="SYSTEM", help="S01 …; none: all.")
        parser.add_argument(
            "--url",
            help="A running server with a worker beside it; without: a server and a worker are "
            "started on a free port for the length of the run.",
        )

    def handle(self, *, systems: list[str], url: str | None, **options: Any) -> None:
        """Print one line for each system and `N of M`; exit with 1 unless all agree."""
        logging.getLogger("httpx").setLevel(logging.WARNING)
        now = timezone.now()
        chosen = _chosen(systems, all_systems=read_systems(month=month_to_bill(now)))
        run = f"systems.{now:%Y%m%d}.{secrets.token_hex(3)}"
        try:
            with _server(url) as (address, host):
                outcomes = bill(chosen, url=address, host=host, run=run, now=now)
        except ServeError as error:
            raise CommandError(f"{error} Or name a running server with --url.") from error
        except (SystemsStuck, OperationError, httpx.HTTPError) as error:
            raise CommandError(str(error)) from error
        for outcome in outcomes:
            self._print(outcome)
        agreeing = sum(not outcome.differences for outcome in outcomes)
        self.stdout.write(f"{agreeing} of {len(outcomes)}")
        if agreeing < len(outcomes):
            raise SystemExit(1)

    def _print(self, outcome: Outcome) -> None:
        system = outcome.system
        name = f"{system.system:<12} {system.title}"
        if not outcome.differences:
            totals = ", then ".join(f"{total:.2f}" for total in outcome.totals)
            self.stdout.write(f"ok     {name}: {totals} {outcome.currency}")
            return
        self.stdout.write(f"WRONG  {name}: {'; '.join(outcome.differences)}")


@contextlib.contextmanager
def _server(url: str | None) -> Iterator[tuple[str, str]]:
    """Yield the address of a server and the name of its host; start one where none is named."""
    if url is not None:
        yield url, urlsplit(url).netloc
        return
    call_command("migrate", verbosity=0)
    allowed = [name.lstrip(".") for name in settings.ALLOWED_HOSTS if name != "*"]
    with running(port=free_port(host=HOST), beat=False) as services:
        yield services.url, allowed[0] if allowed else HOST


def _chosen(names: list[str], *, all_systems: list[System]) -> list[System]:
    known = {system.system: system for system in all_systems}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise CommandError(f"There is no system {unknown[0]}. There are: {', '.join(known)}.")
    return [known[name] for name in names] or all_systems
