"""`manage.py demo`: the whole story on one machine; see `config.demo`."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from config.demo import stage
from config.serve import ServeError, running


class Command(BaseCommand):
    help = (
        "Start web server, worker and beat with example customers whose months are closed. "
        "Only on the embedded PostgreSQL. Started again, it goes on from what is there."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--no-serve", action="store_true", help="Set everything up, then end.")

    def handle(self, *, port: int, no_serve: bool, **options: Any) -> None:
        """Set the stage, then serve until Ctrl-C."""
        if settings.IS_DEPLOYMENT:
            raise CommandError(
                "DATABASE_URL is set: the demo, whose passwords are public, only runs on the "
                "embedded PostgreSQL. Unset DATABASE_URL to see it."
            )
        call_command("migrate", verbosity=0)
        try:
            with running(port=port) as services:
                self._set_the_stage(services.url)
                self._print_addresses(services.url)
                if not no_serve:
                    services.wait()
        except KeyboardInterrupt:
            self.stdout.write("stopped")
        except (ServeError, stage.DemoStuck) as error:
            raise CommandError(str(error)) from error

    def _set_the_stage(self, url: str) -> None:
        now = timezone.now()
        stage.set_up_staff()
        stage.set_up_customers(now=now)
        self.stdout.write("sending three months of jobs through the API …")
        accepted = stage.send_usage(url=url, now=now)
        self.stdout.write(f"{accepted} new events; closing the months …")
        stage.close_months(now=now)

    def _print_addresses(self, url: str) -> None:
        self.stdout.write(
            f"\nadmin   {url}/admin/\nportal  {url}/portal/\nAPI     {url}/api/docs/\n"
        )
        self.stdout.write(f"\nlogins, all with the password {stage.PASSWORD}:")
        for name, use in stage.logins():
            self.stdout.write(f"  {name:<10} {use}")
        self.stdout.write("\nCtrl-C stops it; `make stop` stops PostgreSQL and Valkey too.")
        self.stdout.flush()
