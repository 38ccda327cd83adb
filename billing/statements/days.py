"""Which local days a segment has, and what seats were held on them. Pure."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from billing.statements.values import SeatDays, Segment
from plans import rating


class SeatWindow(NamedTuple):
    """The days to read for the seats of the segment at a place: ``days`` of them from ``first`` on.

    The first ``before`` of them are earlier ones that count too, the others are its own.
    """

    place: int
    first: date
    days: int
    before: int


def seat_windows(
    segments: Sequence[tuple[int, str, Segment]], *, meters: Sequence[frozenset[int]]
) -> list[SeatWindow]:
    """Return the days to read for those segments that price seats.

    ``segments`` are customer id, zone and segment in the order of time; ``meters`` those whose
    seats each prices. Seats that were given up earlier in the billing period count as far back as
    they were priced without a break in one phase of one subscription: what was given up in a trial
    is not paid for after it.
    """
    found: list[SeatWindow] = []
    first = 0
    for place, (_, zone, segment) in enumerate(segments):
        if not meters[place]:
            continue
        if not (place and _continues(segments[place - 1], segments[place])
                and meters[place - 1] >= meters[place]):  # fmt: skip
            first = place
        since = rating.local_date(segments[first][2].start, zone=zone)
        before = (rating.local_date(segment.start, zone=zone) - since).days
        days = before + day_count(segment, zone=zone)
        found.append(SeatWindow(place, since, days, before))
    return found


def _continues(before: tuple[int, str, Segment], after: tuple[int, str, Segment]) -> bool:
    """Say whether a segment goes on where the one before it ended, by another version alone."""
    (customer, _, one), (other, _, two) = before, after
    return (customer, one.subscribed, one.phase, one.whole_start, one.end) == (
        other, two.subscribed, two.phase, two.whole_start, two.start
    )  # fmt: skip


def seat_days(levels: Sequence[Decimal], *, before: int) -> SeatDays:
    """Return the levels of a segment's own days, and the highest of the days before them."""
    return SeatDays(tuple(levels[before:]), max(levels[:before], default=Decimal(0)))


def day_count(segment: Segment, *, zone: str) -> int:
    """Return how many local days end in a segment."""
    start, end = (rating.local_date(at, zone=zone) for at in (segment.start, segment.end))
    return (end - start).days


def day_levels(days: SeatDays | None, *, segment: Segment, zone: str) -> rating.DayLevels:
    """Return a segment's seats by day as rating takes them; without any, nothing was held."""
    whole_start = rating.local_date(segment.whole_start, zone=zone)
    whole_end = rating.local_date(segment.whole_end, zone=zone)
    return rating.DayLevels(
        levels=days.levels if days else (),
        first_day=(rating.local_date(segment.start, zone=zone) - whole_start).days + 1,
        period_days=(whole_end - whole_start).days,
        highest_before=days.highest_before if days else Decimal(0),
    )
