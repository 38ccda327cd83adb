"""`manage.py verify_rollups`: compare the rollups with the events that they were made of."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from usage.queries import verify_rollups


class Command(BaseCommand):
    help = "Compare the rollups with their events; exit status 1 where they differ."

    def handle(self, **options: Any) -> None:
        """Print each difference."""
        found = verify_rollups()
        for each in found:
            self.stdout.write(
                f"meter {each.meter}, customer {each.customer_id}, {each.day},"
                f" {', '.join(each.dimensions)}: rolled up {each.rolled}, counted {each.counted}"
            )
        if found:
            raise CommandError(f"{len(found)} rollups differ: run “manage.py rebuild_rollups”.")
        self.stdout.write("All rollups are what their events come to.")
