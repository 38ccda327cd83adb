"""`manage.py explain ACME-0003:2`: say how a line of a statement came about."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.models import StatementLine
from billing.queries.events import LineCount, line_with_count
from billing.queries.explained import ExplainedLine
from billing.queries.statements import UnknownStatement, by_number


class Command(BaseCommand):
    """Print a line in words, with its tiers, its plan version and how many events are behind it."""

    help = "Explain a line of a statement: NUMBER:POSITION, for example ACME-0003:2."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the line."""
        parser.add_argument(
            "line", metavar="LINE", help="statement number and position of the line"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the explanation."""
        number, _, position = options["line"].rpartition(":")
        if not number or not position.isdecimal():
            raise CommandError("Name a line as NUMBER:POSITION, for example ACME-0003:2.")
        try:
            found = line_with_count(statement=by_number(number), position=int(position))
        except UnknownStatement as error:
            raise CommandError(str(error)) from error
        except StatementLine.DoesNotExist as error:
            raise CommandError(f"Statement {number} has no line {position}.") from error
        self.stdout.write("\n".join(_text(found)))


def _text(found: LineCount) -> Iterator[str]:
    head, line = found.head, found.line
    yield f"{head.number}, line {line.position}: {line.description}, {line.amount}"
    yield f"{head.customer_name}, {line.span.dates} ({head.zone})"
    yield f"{line.words}."
    yield ""
    yield from (f"  {step}" for step in _steps(line))
    yield ""
    yield f"Plan     {line.plan}, price {line.price_key}"
    if line.phase:
        yield f"Phase    {line.phase}"
    if line.is_of_contract:
        yield "Price    of an outcome contract, beside the plan's"
    if line.is_agreed:
        yield "Price    agreed with the customer"
    if line.meter is not None:
        yield f"Meter    {line.meter.name} ({line.meter.key}), {line.meter.measures}"
    for cell in line.holds:
        yield f"Holds    {cell}"
    for late in line.late_starts:
        yield f"Late     {late.job}, promised by {late.promised}, started {late.started}"
    for share in line.shares:
        yield f"Used by  {share.name}: {share.quantity} {share.share}".rstrip()
    if line.meter is not None:
        more = "more than " if found.has_more else ""
        yield f"Events   {more}{found.events:,}"


def _steps(line: ExplainedLine) -> Iterator[str]:
    for change in line.before_charge:
        yield f"{change.label}: {change.quantity}"
    for part in line.parts:
        price = f"{part.quantity} at {part.rate}" if part.quantity else ""
        fee = f"fee {part.flat}" if part.flat and part.quantity else ""
        detail = ", ".join(text for text in (price, fee) if text)
        yield (
            f"{part.label}: {detail} = {part.amount}" if detail else f"{part.label}: {part.amount}"
        )
    for change in line.after_charge:
        yield f"{change.label}: {change.amount}"
    if line.is_rounded:
        yield f"Rounded from {line.exact}"
