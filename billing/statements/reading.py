"""The usage of many segments as the values that statements are built from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from msgspec.structs import replace

from billing.statements.days import seat_days, seat_windows
from billing.statements.values import MeterUsage, SeatDays, Segment
from plans import rating
from plans.models import Meter, Workspace
from plans.terms import VersionTerms
from usage.queries import (
    DayWindow,
    Reading,
    Window,
    read_day_levels,
    read_transactions,
    read_usage,
)


class Priced(NamedTuple):
    """A segment of a customer with the terms that price it; what usage it has is not looked at."""

    customer_id: int
    zone: str
    segment: Segment
    terms: VersionTerms


class UsageReader:
    """The usage of many segments, which are named by their place; reads all when it is made.

    The segments of a customer follow each other in the order of time. Events from ``until`` on
    are left out; seats are carried on to a segment's end.
    """

    def __init__(self, priced: Sequence[Priced], *, until: datetime | None = None) -> None:
        windows = [
            _window(place, one.customer_id, one.segment, until=until)
            for place, one in enumerate(priced)
        ]
        self._priced = priced
        self._readings = read_usage(windows).readings
        self._meter_keys = dict(Meter.objects.values_list("id", "key"))
        self._workspace_keys = _workspace_keys(self._readings.values())
        self._transactions = _transactions(windows, priced)
        self._days = _seat_days(priced, until=until)

    def segment(self, place: int) -> Segment:
        """Return the segment with the usage of the meters that its terms price, by meter key."""
        _, _, segment, terms = self._priced[place]
        found = [
            self._usage(place, meter_id, reading)
            for meter_id, reading in self._readings.get(place, {}).items()
            if self._meter_keys[meter_id] in terms.meters
        ]
        if place in self._days:
            found += self._carried_alone(place)
        found.sort(key=lambda usage: usage.meter)
        return replace(segment, usage=tuple(found))

    def unpriced(self, place: int) -> Iterator[tuple[str, Decimal]]:
        """Return meter key and quantity of what the segment's terms do not price."""
        meters = self._priced[place].terms.meters
        for meter_id, reading in self._readings.get(place, {}).items():
            key = self._meter_keys[meter_id]
            if key not in meters:
                yield key, sum((quantity for _, quantity in reading.cells), Decimal(0))

    def _usage(self, place: int, meter_id: int, reading: Reading) -> MeterUsage:
        keys = self._workspace_keys
        return MeterUsage(
            meter=self._meter_keys[meter_id],
            cells=reading.cells,
            workspaces=tuple(
                (keys[workspace] if workspace else "", quantity)
                for workspace, quantity in reading.workspaces
            ),
            transactions=self._transactions.get((place, meter_id), ()),
            days=self._days[place].get(meter_id) if place in self._days else None,
        )

    def _carried_alone(self, place: int) -> Iterator[MeterUsage]:
        """Yield the seats of a segment that has not begun yet: no usage is known of it."""
        for meter_id, days in self._days[place].items():
            if meter_id not in self._readings.get(place, {}):
                yield MeterUsage(meter=self._meter_keys[meter_id], cells=(), days=days)


def _window(place: int, customer_id: int, segment: Segment, *, until: datetime | None) -> Window:
    end = segment.end if until is None else min(segment.end, until)
    return Window(place, customer_id, segment.start, end)


def _workspace_keys(readings: Iterable[Mapping[int, Reading]]) -> dict[int, str]:
    ids = {
        workspace
        for by_meter in readings
        for reading in by_meter.values()
        for workspace, _ in reading.workspaces
        if workspace
    }
    if not ids:
        return {}
    return dict(Workspace.objects.filter(id__in=ids).values_list("id", "key"))


def _transactions(
    windows: Sequence[Window], priced: Sequence[Priced]
) -> dict[tuple[int, int], tuple[Decimal, ...]]:
    """Read single transactions for the windows whose terms have a rule per transaction."""
    meters = _meters_priced_by(rating.Percentage, priced)
    wanted = [window for window, found in zip(windows, meters, strict=True) if found]
    if not wanted:
        return {}
    return read_transactions(wanted, meter_ids=sorted(frozenset[int]().union(*meters)))


def _seat_days(
    priced: Sequence[Priced], *, until: datetime | None
) -> dict[int, dict[int, SeatDays]]:
    """Read the levels by day, by place and meter id, for the segments with a price for seats."""
    meters = _meters_priced_by(rating.Seats, priced)
    wanted = seat_windows(
        [(one.customer_id, one.zone, one.segment) for one in priced], meters=meters
    )
    if not wanted:
        return {}
    levels = read_day_levels(
        [
            DayWindow(
                each.place,
                priced[each.place].customer_id,
                priced[each.place].zone,
                each.first,
                each.days,
            )
            for each in wanted
        ],
        meter_ids=sorted(frozenset[int]().union(*meters)),
        until=until,
    )
    before = {each.place: each.before for each in wanted}
    days: dict[int, dict[int, SeatDays]] = {}
    for (place, meter_id), found in levels.items():
        if meter_id in meters[place]:
            days.setdefault(place, {})[meter_id] = seat_days(found, before=before[place])
    return days


def _meters_priced_by(kind: type, priced: Sequence[Priced]) -> list[frozenset[int]]:
    """Return for each segment the ids of the meters that a price of this kind reads."""
    known: dict[str, frozenset[int]] = {}
    for one in priced:
        if one.terms.digest not in known:
            known[one.terms.digest] = frozenset(
                one.terms.meters[price.meter].id
                for price in one.terms.terms.prices
                if price.meter and isinstance(price.model, kind)
            )
    return [known[one.terms.digest] for one in priced]
