"""The period that is still running: what it comes to so far, and what it is made of.

Priced by the same road as a statement (``billing.statements.preview``); the days are read through
``usage.queries``. Nothing is written.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from billing.queries.explained import (
    ExplainedLine,
    MeterRef,
    Names,
    ShareRow,
    cell_words,
    explained,
    share_rows,
)
from billing.queries.pages import names_for
from billing.statements.preview import preview_statement
from billing.statements.values import Draft, Facts, MeterUsage, SeatDays, Segment
from billing.wording import Money, Quantity, Span, moment
from plans.models import Customer, Meter, PlanVersion
from plans.rating import local_midnight
from plans.rating.money import total
from usage.queries import Window, read_usage

CELLS_MAX = 50
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayUsage:
    """What a meter came to on one day of the customer's zone."""

    day: date
    quantity: Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class CellUsage:
    """What one combination of dimension values came to."""

    words: str
    quantity: Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterBreakdown:
    """One meter in one span of the period, by day, dimension values and workspace.

    ``cells`` are the largest ``CELLS_MAX``; ``cells_left_out`` says how many more there are.
    """

    meter: MeterRef
    span: Span
    quantity: Quantity
    days: tuple[DayUsage, ...]
    cells: tuple[CellUsage, ...]
    cells_left_out: int
    shares: tuple[ShareRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentUsage:
    """This period so far: fees stand whole, usage as far as it has come in."""

    span: Span
    as_of: str
    day_number: int
    day_count: int
    total: Money
    charges: tuple[ExplainedLine, ...]
    adjustments: tuple[ExplainedLine, ...]
    meters: tuple[MeterBreakdown, ...]
    unpriced: tuple[tuple[str, Quantity], ...]

    @property
    def zone(self) -> str:
        """Return the customer's billing time zone."""
        return self.span.zone

    @property
    def changes_plan(self) -> bool:
        """Say whether more than one plan version prices the period, so that spans are shown."""
        return any(meter.span != self.span for meter in self.meters)


def current_usage(*, customer: Customer, now: datetime) -> CurrentUsage:
    """Return what the period that holds ``now`` comes to so far.

    Raises NoSubscription, and RatingError where some of the usage cannot be priced.
    """
    facts, draft = preview_statement(customer_id=customer.pk, now=now)
    days = _daily(customer, start=facts.start, until=min(now, facts.end))
    names = _names(facts, draft)
    lines = _lines(facts, draft, names=names)
    span = Span(facts.start, facts.end, facts.zone)
    today = min(_local_day(now, facts.zone), span.last_day)
    return CurrentUsage(
        span=span,
        as_of=moment(now, zone=facts.zone),
        day_number=(today - span.first_day).days + 1,
        day_count=(span.last_day - span.first_day).days + 1,
        total=Money(draft.total, facts.currency),
        charges=tuple(line for line in lines if not line.is_adjustment),
        adjustments=tuple(line for line in lines if line.is_adjustment),
        meters=tuple(_breakdowns(facts, days=days, names=names)),
        unpriced=tuple(_unpriced(facts, names=names)),
    )


def _local_day(at: datetime, zone: str) -> date:
    return at.astimezone(ZoneInfo(zone)).date()


def _names(facts: Facts, draft: Draft) -> Names:
    used = {usage.meter for segment in facts.segments for usage in segment.usage}
    billed = {line.meter for line in draft.lines if line.meter}
    unpriced = {key for key, _ in facts.unpriced}
    versions = {line.version for line in draft.lines}
    return names_for(
        meters=Meter.objects.filter(key__in=used | billed | unpriced),
        versions=PlanVersion.objects.filter(id__in=versions).select_related("plan"),
        workspace_keys={
            key
            for segment in facts.segments
            for usage in segment.usage
            for key, _ in usage.workspaces
        },
    )


def _lines(facts: Facts, draft: Draft, *, names: Names) -> list[ExplainedLine]:
    return [
        explained(line, position=position, currency=facts.currency, zone=facts.zone, names=names)
        for position, line in enumerate(draft.lines, start=1)
    ]


DailyUsage = Mapping[int, Sequence[tuple[date, Decimal]]]


def _daily(customer: Customer, *, start: datetime, until: datetime) -> DailyUsage:
    """Return what each meter came to on each local day in ``[start, until)``, by meter id."""
    days = list(_day_windows(customer, start=start, until=until))
    read = read_usage([window for _, window in days])
    found: dict[int, list[tuple[date, Decimal]]] = {}
    meter_ids = {meter_id for by_meter in read.readings.values() for meter_id in by_meter}
    for day, window in days:
        by_meter = read.readings.get(window.ref, {})
        for meter_id in meter_ids:
            cells = by_meter[meter_id].cells if meter_id in by_meter else ()
            quantity = total(quantity for _, quantity in cells)
            found.setdefault(meter_id, []).append((day, quantity))
    return found


def _day_windows(
    customer: Customer, *, start: datetime, until: datetime
) -> Iterator[tuple[date, Window]]:
    zone = customer.time_zone
    day, reached = _local_day(start, zone), start
    while reached < until:
        day_end = local_midnight(day + _DAY, zone=zone)
        yield day, Window(day.toordinal(), customer.pk, reached, min(day_end, until))
        day, reached = day + _DAY, day_end


def _breakdowns(facts: Facts, *, days: DailyUsage, names: Names) -> Iterator[MeterBreakdown]:
    for segment in facts.segments:
        for usage in segment.usage:
            yield _breakdown(usage, segment=segment, zone=facts.zone, days=days, names=names)


def _breakdown(
    usage: MeterUsage, *, segment: Segment, zone: str, days: DailyUsage, names: Names
) -> MeterBreakdown:
    meter = names.meters[usage.meter]
    span = Span(segment.start, segment.end, zone)
    if usage.days is not None:
        return _seats(usage.days, meter=meter, span=span, known=days.get(meter.id, ()))
    cells = sorted(usage.cells, key=lambda cell: (-cell[1], cell[0])) if meter.dimensions else []
    return MeterBreakdown(
        meter=meter,
        span=span,
        quantity=Quantity(total(quantity for _, quantity in usage.cells), meter.unit),
        days=tuple(
            DayUsage(day=day, quantity=Quantity(quantity, meter.unit))
            for day, quantity in days.get(meter.id, ())
            if span.first_day <= day <= span.last_day
        ),
        cells=tuple(
            CellUsage(words=cell_words(values, meter=meter), quantity=Quantity(value, meter.unit))
            for values, value in cells[:CELLS_MAX]
        ),
        cells_left_out=max(0, len(cells) - CELLS_MAX),
        shares=share_rows(_workspaces(usage), meter=meter, workspaces=names.workspaces),
    )


def _seats(
    held: SeatDays, *, meter: MeterRef, span: Span, known: Sequence[tuple[date, Decimal]]
) -> MeterBreakdown:
    """Return the level of each day so far: what is billed, and not level times duration."""
    so_far = {day for day, _ in known}
    days = (
        DayUsage(day=span.first_day + number * _DAY, quantity=Quantity(level, meter.unit))
        for number, level in enumerate(held.levels)
    )
    return MeterBreakdown(
        meter=meter,
        span=span,
        quantity=Quantity(held.levels[-1] if held.levels else Decimal(0), meter.unit),
        days=tuple(day for day in days if day.day in so_far),
        cells=(),
        cells_left_out=0,
        shares=(),
    )


def _workspaces(usage: MeterUsage) -> tuple[tuple[str, Decimal], ...]:
    """Return each workspace's usage, or nothing where the customer used none in a workspace."""
    return usage.workspaces if any(key for key, _ in usage.workspaces) else ()


def _unpriced(facts: Facts, *, names: Names) -> Iterator[tuple[str, Quantity]]:
    for key, quantity in facts.unpriced:
        meter = names.meters[key]
        yield meter.name, Quantity(quantity, meter.unit)
