"""`manage.py rebuild_rollups`: compute the rollups anew from the events."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from plans.models import Meter
from usage.operations.rollup import rebuild_rollups


class Command(BaseCommand):
    help = "Compute the rollups anew from the events. Readings stay exact meanwhile, but slower."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--meter", action="append", help="Only this meter's key; repeatable.")

    def handle(self, *, meter: list[str] | None, **options: Any) -> None:
        """Rebuild, and say how many rows were written."""
        report = rebuild_rollups(now=timezone.now(), meter_ids=_ids(meter), seconds_max=24 * 3600)
        self.stdout.write(f"{report.rows} rollups written")


def _ids(keys: list[str] | None) -> list[int] | None:
    if keys is None:
        return None
    found = dict(Meter.objects.filter(key__in=keys).values_list("key", "id"))
    unknown = [key for key in keys if key not in found]
    if unknown:
        raise CommandError(f"--meter: there is no meter “{unknown[0]}”. Check its key.")
    return list(found.values())
