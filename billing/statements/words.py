"""A statement's line as one sentence, for the person who asks where the amount comes from. Pure."""

from decimal import Decimal

from billing.statements.credit_lines import ADJUSTMENT
from billing.statements.values import Line
from billing.wording import Money, Span
from plans import rating
from plans.rating.money import minus, total


def exact_amount(line: Line) -> Decimal:
    """Return what the parts and adjustments of a line come to before it is rounded."""
    changes = (change.amount for change in line.explanation.adjustments if change.amount)
    return total((*(part.amount for part in line.explanation.parts), *changes))


def line_in_words(line: Line, *, currency: str, zone: str) -> str:
    """Say how a line's amount came about; ``zone`` is that in which its time is written."""
    if line.kind == ADJUSTMENT:
        return _correction_in_words(line, currency=currency, zone=zone)
    return rating.in_words(_as_rated(line), currency=currency)


def _as_rated(line: Line) -> rating.RatedLine:
    return rating.RatedLine(
        key=line.line_key,
        label=line.description,
        usage_quantity=line.usage_quantity,
        quantity=line.quantity,
        unit=line.unit,
        parts=line.explanation.parts,
        adjustments=line.explanation.adjustments,
        exact_amount=exact_amount(line),
        amount=line.amount,
    )


def _correction_in_words(line: Line, *, currency: str, zone: str) -> str:
    billed = line.explanation.billed or Decimal(0)
    rated = line.explanation.rated or Decimal(0)
    assert minus(rated, billed) == line.amount, "a correction is what it comes to minus what stood"
    return (
        f"{Span(line.start, line.end, zone)} now comes to {Money(rated, currency)}; "
        f"{Money(billed, currency)} was billed on {line.explanation.origin_number}; "
        f"the difference is {Money(line.amount, currency)}"
    )
