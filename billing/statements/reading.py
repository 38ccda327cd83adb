"""The usage of many segments as the values that statements are built from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from msgspec.structs import replace

from billing.statements.days import seat_days, seat_windows
from billing.statements.values import LateStart, MeterUsage, SeatDays, Segment
from plans import rating
from plans.models import Meter, Workspace
from plans.rating.late_starts import IS_LATE, LATE_DIMENSION
from plans.terms import VersionTerms
from usage.queries import (
    DayWindow,
    Reading,
    Window,
    read_day_levels,
    read_late_jobs,
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
    are left out; seats are carried on to a segment's end. Segments over the same time of a
    customer, as of two versions that are compared, are read once.
    """

    def __init__(self, priced: Sequence[Priced], *, until: datetime | None = None) -> None:
        windows = [
            _window(place, one.customer_id, one.segment, until=until)
            for place, one in enumerate(priced)
        ]
        self._priced = priced
        self._read_as = _read_as(windows)
        read = read_usage([each for each in windows if self._read_as[each.ref] == each.ref])
        self._readings = [read.readings.get(self._read_as[each.ref], {}) for each in windows]
        self._meter_keys = dict(Meter.objects.values_list("id", "key"))
        self._workspace_keys = _workspace_keys(read.readings.values())
        self._transactions = _transactions(windows, priced, read_as=self._read_as)
        self._days = _seat_days(priced, until=until)
        self._late_starts = self._read_late_starts(windows)

    def segment(self, place: int) -> Segment:
        """Return the segment with the usage of the meters that its terms price, by meter key."""
        _, _, segment, terms = self._priced[place]
        found = [
            self._usage(place, meter_id, reading)
            for meter_id, reading in self._readings[place].items()
            if self._meter_keys[meter_id] in terms.meters
        ]
        if place in self._days:
            found += self._carried_alone(place)
        found.sort(key=lambda usage: usage.meter)
        return replace(segment, usage=tuple(found))

    def unpriced(self, place: int) -> Iterator[tuple[str, Decimal]]:
        """Return meter key and quantity of what the segment's terms do not price."""
        meters = self._priced[place].terms.meters
        for meter_id, reading in self._readings[place].items():
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
            transactions=self._transactions.get((self._read_as[place], meter_id), ()),
            days=self._days[place].get(meter_id) if place in self._days else None,
            late_starts=self._late_starts.get((self._read_as[place], meter_id), ()),
        )

    def _read_late_starts(
        self, windows: Sequence[Window]
    ) -> dict[tuple[int, int], tuple[LateStart, ...]]:
        """Return the jobs that started late by (place, meter id), where any usage is of such."""
        types: dict[tuple[int, str], set[int]] = {}
        for window, one in zip(windows, self._priced, strict=True):
            place = self._read_as[window.ref]
            for meter in _telling_late_starts(one.terms):
                if _has_late(meter, self._readings[place].get(meter.id)):
                    types.setdefault((place, meter.event_type), set()).add(meter.id)
        wanted = {place for place, _ in types}
        found: dict[tuple[int, int], list[LateStart]] = {}
        for job in read_late_jobs([window for window in windows if window.ref in wanted]):
            said = LateStart(job.service_class, job.job, job.promised_at, job.started_at)
            for meter_id in types.get((job.ref, job.type), ()):
                found.setdefault((job.ref, meter_id), []).append(said)
        return {key: tuple(starts) for key, starts in found.items()}

    def _carried_alone(self, place: int) -> Iterator[MeterUsage]:
        """Yield the seats of a segment that has not begun yet: no usage is known of it."""
        for meter_id, days in self._days[place].items():
            if meter_id not in self._readings[place]:
                yield MeterUsage(meter=self._meter_keys[meter_id], cells=(), days=days)


def _telling_late_starts(terms: VersionTerms) -> list[Meter]:
    if not any(each.late_start_percent for each in terms.terms.service_classes):
        return []
    return [meter for meter in terms.meters.values() if LATE_DIMENSION in meter.dimensions]


def _has_late(meter: Meter, reading: Reading | None) -> bool:
    if reading is None:
        return False
    at = meter.dimensions.index(LATE_DIMENSION)
    return any(values[at] == IS_LATE and quantity for values, quantity in reading.cells)


def _window(place: int, customer_id: int, segment: Segment, *, until: datetime | None) -> Window:
    end = segment.end if until is None else min(segment.end, until)
    return Window(place, customer_id, segment.start, end)


def _read_as(windows: Sequence[Window]) -> dict[int, int]:
    """Return for each window's reference that of the first window over the same usage."""
    first: dict[tuple[int, datetime, datetime], int] = {}
    return {
        window.ref: first.setdefault((window.customer_id, window.start, window.end), window.ref)
        for window in windows
    }


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
    windows: Sequence[Window], priced: Sequence[Priced], *, read_as: Mapping[int, int]
) -> dict[tuple[int, int], tuple[Decimal, ...]]:
    """Read single transactions for the windows whose terms have a rule per transaction."""
    meters = _meters_priced_by(rating.Percentage, priced)
    wanted = {
        read_as[window.ref]: window._replace(ref=read_as[window.ref])
        for window, found in zip(windows, meters, strict=True)
        if found
    }
    if not wanted:
        return {}
    meter_ids = sorted(frozenset[int]().union(*meters))
    return read_transactions(list(wanted.values()), meter_ids=meter_ids)


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
