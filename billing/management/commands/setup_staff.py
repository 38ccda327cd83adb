"""Bring the staff groups up to the table of ``billing.staff``."""

from typing import Any

from django.core.management.base import BaseCommand

from billing.staff import ROLES, ensure_groups


class Command(BaseCommand):
    help = "Make the staff groups with their permissions; run it after every upgrade."

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the groups, and name them."""
        ensure_groups()
        self.stdout.write(f"Staff groups: {', '.join(role.group for role in ROLES)}.")
