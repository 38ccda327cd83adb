"""`manage.py verify_spend`: prove what is counted and held for jobs against the jobs."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from billing.jobs.checks import verify_spend


class Command(BaseCommand):
    help = "Check that what customers' jobs hold, and how many run, is what the jobs say."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take `--repair`."""
        parser.add_argument("--repair", action="store_true", help="Put right what differs.")

    def handle(self, **options: Any) -> None:
        """Print each fault; exit with an error if there is any that was not put right."""
        faults = 0
        for found in verify_spend(now=timezone.now(), repair=options["repair"]):
            faults += 1
            said = f"{found.customer}: {found.what} is {found.says}, the jobs say {found.is_really}"
            self.stdout.write(self.style.ERROR(said))
        if faults and not options["repair"]:
            raise CommandError(f"{faults} faults: run again with --repair to put them right")
        self.stdout.write(f"{faults} put right" if faults else "What jobs hold adds up")
