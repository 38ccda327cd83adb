"""`manage.py dump_catalogue [PLAN...]`: write plans as a YAML document."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from plans.catalogue.dump import UnknownPlan, dump


class Command(BaseCommand):
    help = "Write plans, with all their versions and meters, as a YAML document."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("plans", nargs="*", metavar="PLAN", help="Keys; none: all plans.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(dump(keys=options["plans"]), ending="")
        except UnknownPlan as error:
            raise CommandError(error.message) from error
