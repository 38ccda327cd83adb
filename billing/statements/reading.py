"""The usage of many windows as the values that statements are built from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from billing.statements.values import MeterUsage
from plans.models import Meter, Workspace
from plans.models.prices import ChargeModel, Price
from plans.terms import VersionTerms
from usage.queries import Reading, Window, read_transactions, read_usage


class UsageReader:
    """The usage of many windows, each priced by one plan version; reads all when it is made.

    Windows over the same time of a customer, as of two versions that are compared, are read once.
    """

    def __init__(
        self,
        windows: Sequence[Window],
        *,
        versions: Sequence[int],
        terms: Mapping[int, VersionTerms],
    ) -> None:
        self._read_as = _read_as(windows)
        once = [window for window in windows if self._read_as[window.ref] == window.ref]
        read = read_usage(once)
        self._readings = read.readings
        self._terms = terms
        self._meter_keys = dict(Meter.objects.values_list("id", "key"))
        self._workspace_keys = _workspace_keys(read.readings.values())
        self._transactions = _transactions(
            [window._replace(ref=self._read_as[window.ref]) for window in windows],
            versions=versions,
        )

    def priced(self, ref: int, *, version: int) -> tuple[MeterUsage, ...]:
        """Return the usage of the meters that the version prices, by meter key."""
        meters, read_as = self._terms[version].meters, self._read_as[ref]
        found = [
            self._usage(read_as, meter_id, reading)
            for meter_id, reading in self._readings.get(read_as, {}).items()
            if self._meter_keys[meter_id] in meters
        ]
        found.sort(key=lambda usage: usage.meter)
        return tuple(found)

    def unpriced(self, ref: int, *, version: int) -> Iterator[tuple[str, Decimal]]:
        """Return meter key and quantity of what the version does not price."""
        meters, read_as = self._terms[version].meters, self._read_as[ref]
        for meter_id, reading in self._readings.get(read_as, {}).items():
            key = self._meter_keys[meter_id]
            if key not in meters:
                yield key, sum((quantity for _, quantity in reading.cells), Decimal(0))

    def _usage(self, ref: int, meter_id: int, reading: Reading) -> MeterUsage:
        keys = self._workspace_keys
        return MeterUsage(
            meter=self._meter_keys[meter_id],
            cells=reading.cells,
            workspaces=tuple(
                (keys[workspace] if workspace else "", quantity)
                for workspace, quantity in reading.workspaces
            ),
            transactions=self._transactions.get((ref, meter_id), ()),
        )


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
    windows: Sequence[Window], *, versions: Sequence[int]
) -> dict[tuple[int, int], tuple[Decimal, ...]]:
    """Read single transactions for the windows whose version has a rule per transaction."""
    needed: dict[int, set[int]] = {}
    priced = Price.objects.filter(version_id__in=set(versions), model=ChargeModel.PERCENTAGE)
    for version, meter in priced.values_list("version_id", "meter_id"):
        if meter is not None:
            needed.setdefault(version, set()).add(meter)
    wanted = list(
        dict.fromkeys(
            window for window, version in zip(windows, versions, strict=True) if version in needed
        )
    )
    if not wanted:
        return {}
    meter_ids = sorted({meter for meters in needed.values() for meter in meters})
    return read_transactions(wanted, meter_ids=meter_ids)
