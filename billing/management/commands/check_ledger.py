"""`manage.py check_ledger`: prove that the ledger balances and holds every statement once."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.ledger.checks import check_ledger


class Command(BaseCommand):
    help = "Check that every transaction and balance of the ledger adds up."

    def handle(self, **options: Any) -> None:
        """Print each fault; exit with an error if there is any."""
        faults = 0
        for found in check_ledger():
            faults += 1
            self.stdout.write(self.style.ERROR(f"{found.where}: {found.what}"))
        if faults:
            raise CommandError(f"{faults} faults in the ledger")
        self.stdout.write("The ledger balances, and holds every finalised statement once")
