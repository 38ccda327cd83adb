"""`manage.py close_period --until DATE`: what Beat runs to close a month, by hand."""

import datetime as dt
from argparse import ArgumentParser
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing import runs
from billing.locks import Scope
from billing.models import Statement
from billing.queries.work import Claims, claims_of_runs
from billing.statements.opening import open_statements
from plans.models import Customer
from usage.operations.rollup import roll_up


class Command(BaseCommand):
    help = (
        "Open, draft and finalise the statements of all periods that ended by a date. Those still "
        "in their grace time stay drafts."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--until",
            required=True,
            help="Close periods that end on or before the start of this day (UTC): 2025-01-01 "
            "closes December.",
        )
        parser.add_argument("--customer", action="append", help="Only this customer's key.")

    def handle(self, *, until: str, customer: list[str] | None, **options: Any) -> None:
        """Run each step to its end and say what came of it."""
        now = timezone.now()
        scope = Scope(customer_ids=_ids(customer), until=_instant(until))
        roll_up(now=now)
        opened = open_statements(until=min(_instant(until), now), scope=scope)
        hours = float(24 * 3600)
        drafted = runs.draft_due(now=now, seconds_max=hours, scope=scope)
        finalised = runs.finalise_due(now=now, seconds_max=hours, scope=scope)
        self.stdout.write(
            f"{opened} opened, {drafted.drafted} drafted, {finalised.finalised} finalised, "
            f"{finalised.sent_to_review} sent to review, {drafted.parked + finalised.parked} parked"
        )
        self._list_parked()
        self._refuse_claimed(
            claims_of_runs(
                customer_ids=scope.customer_ids, period_end_max=_instant(until), now=timezone.now()
            )
        )

    def _refuse_claimed(self, claims: Claims) -> None:
        if claims.until is not None:
            raise CommandError(
                f"{claims.statements} statements are left: a run is working on them, or was cut "
                f"off. Run this again from {claims.until:%H:%M:%S %Z} on; it closes what is left."
            )

    def _list_parked(self) -> None:
        parked = Statement.objects.exclude(parked_at=None).select_related("customer")
        for statement in parked.order_by("id")[:20]:
            self.stdout.write(
                self.style.WARNING(
                    f"parked: {statement.customer.key}, {statement}: {statement.parked_reason}"
                )
            )


def _instant(text: str) -> dt.datetime:
    try:
        day = dt.date.fromisoformat(text)
    except ValueError as error:
        raise CommandError(
            f"--until: “{text}” is not a date. Write it as YYYY-MM-DD, for example 2025-01-01."
        ) from error
    return dt.datetime.combine(day, dt.time(), tzinfo=ZoneInfo("UTC"))


def _ids(keys: list[str] | None) -> list[int] | None:
    if keys is None:
        return None
    found = dict(Customer.objects.filter(key__in=keys).values_list("key", "id"))
    unknown = [key for key in keys if key not in found]
    if unknown:
        raise CommandError(f"--customer: there is no customer “{unknown[0]}”. Check its key.")
    return list(found.values())
