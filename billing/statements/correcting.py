"""Lines that correct a finalised period: what it comes to now, less what was billed. Pure."""

from datetime import datetime
from decimal import Decimal
from typing import Final

from msgspec.structs import replace as with_fields

from billing.statements.credit_lines import ADJUSTMENT, CREDIT_PACK
from billing.statements.values import Billed, Explanation, Line

_ZERO: Final = Decimal(0)

LineKey = tuple[int, str, str, datetime]


def without_packs(line: Line) -> Line:
    """Return a line of packs as late usage leaves it: it draws on them, and buys none."""
    if line.kind != CREDIT_PACK:
        return line
    return with_fields(line, quantity=_ZERO, amount=_ZERO)


def line_key(line: Line) -> LineKey:
    """Return the reference under which a line is billed and rated again."""
    return (line.version, line.price_key, line.line_key, line.start)


def billed_key(row: Billed) -> LineKey:
    """Return the reference of what was billed."""
    return (row.version, row.price_key, row.line_key, row.start)


def correction(line: Line, *, before: Billed | None, number: str, origin: int) -> Line:
    """Return what a line that is rated again comes to, less what was billed before."""
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
            phase=line.explanation.phase,
            agreed=line.explanation.agreed,
            commitment=line.explanation.commitment,
            credit=line.explanation.credit,
            late_starts=line.explanation.late_starts,
        ),
    )
