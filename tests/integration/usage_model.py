"""The readings as a person would work them out by hand over all events; no SQL, no rollups."""

from collections import defaultdict
from datetime import timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, ROUND_UP, Decimal, localcontext
from zoneinfo import ZoneInfo

from usage.queries import Reading


def text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def counted(meter, data):
    """Return the event's value on the meter, or None where it does not count."""
    for name, wanted in meter.filters.items():
        if data.get(name) is None or text(data[name]) not in {text(each) for each in wanted}:
            return None
    if meter.aggregation == "count":
        return Decimal(1)
    value = data.get(meter.value_property)
    if value is None:
        return None
    if meter.aggregation == "unique_count":
        return text(value)
    mode = {"none": None, "up": ROUND_UP, "down": ROUND_DOWN, "nearest": ROUND_HALF_UP}
    value = Decimal(str(value))
    if mode[meter.rounding] is None:
        return value
    whole = (value / meter.rounding_multiple).quantize(Decimal(1), rounding=mode[meter.rounding])
    return whole * meter.rounding_multiple


def reading(meter, events, *, start, end):
    """Return the Reading of one customer's events, or None; events: (time, workspace, data)."""
    with localcontext(prec=80):
        return _reading(meter, events, start, end)


def _reading(meter, events, start, end):
    groups = defaultdict(list)
    for time, workspace, data in events:
        value = counted(meter, data)
        carried = meter.aggregation == "time_weighted" and time < start
        if value is not None and (carried or start <= time < end):
            values = tuple(text(data.get(name)) for name in meter.dimensions)
            groups[values, workspace].append((time, value))
    if not groups:
        return None
    of = {key: amount(meter.aggregation, found, start, end) for key, found in groups.items()}
    cells, workspaces = defaultdict(list), defaultdict(Decimal)
    for (values, workspace), quantity in of.items():
        cells[values].append(quantity)
        workspaces[workspace] += quantity
    join = max if meter.aggregation == "max" else sum
    joined = {values: join(found) for values, found in cells.items()}
    if meter.aggregation == "unique_count":
        joined = {
            cell: Decimal(len({v for (d, _), f in groups.items() if d == cell for _, v in f}))
            for cell in cells
        }
    return Reading(
        tuple(sorted(joined.items())),
        tuple(sorted(workspaces.items(), key=lambda each: (each[0] is not None, each[0] or 0))),
    )


def day_levels(meter, events, *, zone, first, days, until=None):
    """Return the level at the end of each local day, or None; events: (time, workspace, data)."""
    series = defaultdict(list)
    for time, workspace, data in events:
        value = counted(meter, data)
        if value is not None and (until is None or time < until):
            values = tuple(text(data.get(name)) for name in meter.dimensions)
            series[values, workspace].append((time.astimezone(ZoneInfo(zone)).date(), time, value))
    levels = []
    for day in (first + timedelta(days=number) for number in range(days)):
        so_far = [
            max(each[1:] for each in found if each[0] <= day)[1]
            for found in series.values()
            if min(found)[0] <= day
        ]
        levels.append(sum(so_far, Decimal(0)) if so_far else None)
    if all(level is None for level in levels):
        return None
    return tuple(level or Decimal(0) for level in levels)


def amount(aggregation, found, start, end):
    if aggregation in ("count", "sum"):
        return sum((value for _, value in found), Decimal(0))
    if aggregation == "max":
        return max(value for _, value in found)
    if aggregation == "latest":
        return max(found)[1]
    if aggregation == "unique_count":
        return Decimal(len({value for _, value in found}))
    found = sorted(found)
    total = Decimal(0)
    for (since, level), (upto, _) in zip(found, [*found[1:], (end, None)], strict=True):
        span = max(upto, start) - max(since, start)
        total += level * (span.days * 86400 + span.seconds + Decimal(span.microseconds) / 10**6)
    return total
