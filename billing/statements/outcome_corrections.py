"""Corrections of outcomes, in two lines: what was verified late, and what was reversed. Pure.

A line of an outcome contract keeps in ``usage_quantity`` all that was verified, and in ``quantity``
what was not reversed since. So what was billed tells how much of it was reversed by then, and the
old period is rated twice: once with the reversals as they were billed, once as they are now.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from msgspec.structs import replace

from billing.statements.values import Billed, Line, MeterUsage, Segment
from plans.rating.outcomes import REVERSED

_ZERO = Decimal(0)
LineKey = tuple[int, str, str, datetime]


def with_reversals_as_billed(
    segments: Sequence[Segment],
    *,
    contract_lines: Sequence[Line],
    billed: Mapping[LineKey, Billed],
) -> tuple[Segment, ...]:
    """Return segments in which contracts' meters hold the reversals that were billed, no others."""
    reversed_of = {
        (line.start, line.meter): _reversed(billed.get(_key(line))) for line in contract_lines
    }
    return tuple(
        replace(
            segment,
            usage=tuple(
                _with(usage, reversed_of[segment.start, usage.meter])
                if (segment.start, usage.meter) in reversed_of
                else usage
                for usage in segment.usage
            ),
        )
        for segment in segments
    )


def in_two_steps(
    line: Line, *, between: Line, before: Billed | None
) -> Iterator[tuple[Line, Billed | None]]:
    """Yield what to correct, and from what: first what was verified late, then what was reversed.

    ``between`` is the line with the reversals as they were billed.
    """
    if between.amount != (before.amount if before else _ZERO):
        yield between, before
    if line.amount != between.amount:
        # Less of the fee may leave its bonus more room under a maximum that they share.
        how = "reversed" if line.amount < between.amount else "after reversals"
        said = replace(line, description=f"{line.description}, {how}")
        yield (
            said,
            Billed(
                version=between.version,
                price_key=between.price_key,
                line_key=between.line_key,
                start=between.start,
                usage_quantity=between.usage_quantity,
                quantity=between.quantity,
                amount=between.amount,
            ),
        )


def _key(line: Line) -> LineKey:
    return (line.version, line.price_key, line.line_key, line.start)


def _reversed(billed: Billed | None) -> Decimal:
    return _ZERO if billed is None else billed.usage_quantity - billed.quantity


def _with(usage: MeterUsage, taken: Decimal) -> MeterUsage:
    cells = tuple(cell for cell in usage.cells if cell[1] >= _ZERO)
    if taken:
        cells += (((REVERSED,), -taken),)
    return replace(usage, cells=cells)
