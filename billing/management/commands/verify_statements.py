"""`manage.py verify_statements`: build finalised statements again and compare to the cent."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.statements.verify import Difference, verify_statements


class Command(BaseCommand):
    help = "Build every finalised statement again from its frozen facts and compare to the cent."

    def handle(self, **options: Any) -> None:
        """Print each difference; exit with an error if there is any."""
        compared, differences = 0, 0
        for found in verify_statements():
            if isinstance(found, Difference):
                differences += 1
                self.stdout.write(self.style.ERROR(f"{found.number}: {found.what}"))
            else:
                compared += found
        if differences:
            raise CommandError(f"{differences} differences in {compared} finalised statements")
        self.stdout.write(f"{compared} finalised statements agree with their facts")
