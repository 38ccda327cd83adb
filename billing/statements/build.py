"""Build a statement from its facts. Pure: the same facts and terms give the same lines.

The order on a line is that of ``plans.rating``; on the statement the charges of the period come
first, segment by segment and price by price, then the adjustments of earlier periods.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from billing.statements.values import (
    Billed,
    Draft,
    Explanation,
    Facts,
    LatePeriod,
    Line,
    MeterUsage,
    Segment,
)
from plans import rating

CHARGE = "charge"
ADJUSTMENT = "adjustment"
LINES_MAX = 10_000
QUANTITY_DECIMALS = 12

_NO_USAGE = MeterUsage(meter="", cells=())
_WHOLE = Fraction(1)
_ZERO = Decimal(0)
_LAST_DECIMAL = Decimal(1).scaleb(-QUANTITY_DECIMALS)

LineKey = tuple[int, str, str, datetime]


class TooManyLines(rating.RatingError):
    """A statement would have more lines than anyone can read; its terms are surely wrong."""

    code = "too_many_lines"


def build(facts: Facts, *, terms: Mapping[int, rating.Terms]) -> Draft:
    """Return the lines and totals of a statement; ``terms`` are keyed by plan version id.

    Raises RatingError where usage cannot be priced (the customer is parked with it), and KeyError
    where the terms of a version are missing.
    """
    charges = tuple(_segment_lines(facts.segments, facts=facts, terms=terms))
    adjustments = tuple(
        line for late in facts.late for line in _late_lines(late, facts=facts, terms=terms)
    )
    lines = charges + adjustments
    if len(lines) > LINES_MAX:
        raise TooManyLines(
            f"The statement would have {len(lines)} lines; {LINES_MAX} is the most. "
            "Price fewer combinations of dimensions on one line each."
        )
    adjusted = sum((line.amount for line in adjustments), _ZERO)
    charged = sum((line.amount for line in charges), _ZERO)
    return Draft(lines=lines, total=charged + adjusted, adjustments_total=adjusted)


def _segment_lines(
    segments: Iterable[Segment], *, facts: Facts, terms: Mapping[int, rating.Terms]
) -> Iterator[Line]:
    for segment in segments:
        used = {usage.meter: usage for usage in segment.usage}
        share = _share(segment, zone=facts.zone)
        for price in terms[segment.version].prices:
            if price.once and not segment.opens:
                continue
            usage = used.get(price.meter or "", _NO_USAGE)
            yield from _price_lines(
                price, usage, segment=segment, share=share, currency=facts.currency
            )


def _share(segment: Segment, *, zone: str) -> Fraction:
    if segment.start == segment.whole_start and segment.end == segment.whole_end:
        return _WHOLE
    part = rating.Period(segment.start, segment.end)
    return rating.share(part, of=rating.Period(segment.whole_start, segment.whole_end), zone=zone)


def _price_lines(
    price: rating.Price, usage: MeterUsage, *, segment: Segment, share: Fraction, currency: str
) -> Iterator[Line]:
    value = rating.Usage(
        cells=tuple(rating.Cell(dimensions, quantity) for dimensions, quantity in usage.cells),
        transactions=usage.transactions,
    )
    lines = rating.rate(price, value, currency=currency, share=share)
    cells = _cells_by_line(price, usage)
    for rated in lines:
        yield Line(
            kind=CHARGE,
            origin=None,
            version=segment.version,
            meter=price.meter,
            price_key=price.key,
            line_key=rated.key,
            description=rated.label,
            start=segment.start,
            end=segment.end,
            unit=rated.unit,
            usage_quantity=_to_column(rated.usage_quantity),
            quantity=_to_column(rated.quantity),
            amount=rated.amount,
            explanation=Explanation(
                parts=rated.parts,
                adjustments=rated.adjustments,
                workspaces=_shares(usage),
                cells=cells.get(rated.key, ()),
            ),
        )


def _to_column(quantity: Decimal) -> Decimal:
    """Return the quantity to the 12 decimals that a line keeps; a prorated allowance has more."""
    if quantity.as_tuple().exponent >= -QUANTITY_DECIMALS:  # type: ignore[operator]
        return quantity
    return quantity.quantize(_LAST_DECIMAL, rounding=ROUND_HALF_UP)


def _shares(usage: MeterUsage) -> tuple[tuple[str, Decimal], ...]:
    """Return each workspace's share, or nothing where the customer has no workspace in it."""
    if len(usage.workspaces) == 1 and not usage.workspaces[0][0]:
        return ()
    return usage.workspaces


def _cells_by_line(
    price: rating.Price, usage: MeterUsage
) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Return which dimension values each line of a matrix holds, to find its events by."""
    model = price.model
    if not isinstance(model, rating.Matrix):
        return {}
    found: dict[str, list[tuple[str, ...]]] = {}
    for dimensions, quantity in usage.cells:
        key = model.key_for(rating.Cell(dimensions, quantity))
        found.setdefault(key, []).append(dimensions)
    return {key: tuple(cells) for key, cells in found.items()}


def _late_lines(
    late: LatePeriod, *, facts: Facts, terms: Mapping[int, rating.Terms]
) -> Iterator[Line]:
    """Return what a finalised period comes to now, minus what was billed for it."""
    billed = {_billed_key(row): row for row in late.billed}
    rated = {
        _line_key(line): line for line in _segment_lines(late.segments, facts=facts, terms=terms)
    }
    for key, line in rated.items():
        before = billed.get(key)
        if line.amount != (before.amount if before else _ZERO):
            yield _correction(line, before=before, number=late.number, origin=late.origin)
    for key, before in billed.items():
        if key not in rated and before.amount:
            yield _withdrawal(before, late=late, terms=terms)


def _line_key(line: Line) -> LineKey:
    return (line.version, line.price_key, line.line_key, line.start)


def _billed_key(row: Billed) -> LineKey:
    return (row.version, row.price_key, row.line_key, row.start)


def _correction(line: Line, *, before: Billed | None, number: str, origin: int) -> Line:
    billed = before.amount if before else _ZERO
    return Line(
        kind=ADJUSTMENT,
        origin=origin,
        version=line.version,
        meter=line.meter,
        price_key=line.price_key,
        line_key=line.line_key,
        description=line.description,
        start=line.start,
        end=line.end,
        unit=line.unit,
        usage_quantity=line.usage_quantity - (before.usage_quantity if before else _ZERO),
        quantity=line.quantity - (before.quantity if before else _ZERO),
        amount=line.amount - billed,
        explanation=Explanation(
            parts=line.explanation.parts,
            adjustments=line.explanation.adjustments,
            workspaces=line.explanation.workspaces,
            cells=line.explanation.cells,
            origin_number=number,
            billed=billed,
            rated=line.amount,
        ),
    )


def _withdrawal(before: Billed, *, late: LatePeriod, terms: Mapping[int, rating.Terms]) -> Line:
    """Return the line that takes back what rating again no longer finds."""
    segment = next(
        segment
        for segment in late.segments
        if segment.version == before.version and segment.start == before.start
    )
    price = next(price for price in terms[before.version].prices if price.key == before.price_key)
    return Line(
        kind=ADJUSTMENT,
        origin=late.origin,
        version=before.version,
        meter=price.meter,
        price_key=before.price_key,
        line_key=before.line_key,
        description=price.name,
        start=segment.start,
        end=segment.end,
        unit=price.unit,
        usage_quantity=-before.usage_quantity,
        quantity=-before.quantity,
        amount=-before.amount,
        explanation=Explanation(origin_number=late.number, billed=before.amount, rated=_ZERO),
    )
