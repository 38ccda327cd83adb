"""Bars of daily usage, as plain numbers that a template draws as SVG. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.queries.current import CurrentUsage, DayUsage, MeterBreakdown
from billing.wording import Quantity, day, short_day

SLOT = 20
GAP = 4
HEIGHT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A day: where its bar stands, and what it says."""

    slot_x: int
    x: int
    y: str
    height: str
    words: str
    day: str
    quantity: Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Bars in a box of ``width`` by ``height``; days to come stay empty."""

    width: int
    height: int
    slot: int
    bar_width: int
    bars: tuple[Bar, ...]
    highest: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterCard:
    """A meter with the chart of its days."""

    breakdown: MeterBreakdown
    chart: Chart | None
    first_day: str
    last_day: str


def cards(usage: CurrentUsage, *, most: int | None = None) -> list[MeterCard]:
    """Return the meters with their charts, those that cost most first."""
    spent: dict[str, Decimal] = {}
    for line in usage.charges:
        if line.meter is not None:
            key = line.meter.key
            spent[key] = spent.get(key, Decimal(0)) + line.amount.amount
    ordered = sorted(usage.meters, key=lambda found: -spent.get(found.meter.key, Decimal(0)))
    return [_card(found) for found in ordered[:most]]


def _card(found: MeterBreakdown) -> MeterCard:
    first, last = found.span.first_day, found.span.last_day
    slots = (last - first).days + 1
    return MeterCard(
        breakdown=found,
        chart=chart_of(found.days, slots=slots, name=found.meter.name),
        first_day=short_day(first),
        last_day=short_day(last),
    )


def chart_of(days: Sequence[DayUsage], *, slots: int, name: str) -> Chart | None:
    """Return the bars of the days, scaled to the highest; None where nothing was used."""
    highest = max(days, key=lambda found: found.quantity.value, default=None)
    if highest is None or highest.quantity.value <= 0:
        return None
    peak = float(highest.quantity.value)
    words = f"{highest.quantity} on {short_day(highest.day)}"
    return Chart(
        width=max(slots, len(days)) * SLOT,
        height=HEIGHT,
        slot=SLOT,
        bar_width=SLOT - 2 * GAP,
        bars=tuple(_bar(index, found, peak=peak) for index, found in enumerate(days)),
        highest=words,
        words=f"{name} by day. The highest day: {words}.",
    )


def _bar(index: int, found: DayUsage, *, peak: float) -> Bar:
    height = max(0.0, float(found.quantity.value)) / peak * HEIGHT
    return Bar(
        slot_x=index * SLOT,
        x=index * SLOT + GAP,
        y=f"{HEIGHT - height:.2f}",
        height=f"{height:.2f}",
        words=f"{day(found.day)}: {found.quantity}",
        day=day(found.day),
        quantity=found.quantity,
    )
