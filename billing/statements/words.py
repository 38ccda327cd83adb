"""A statement's line as one sentence, for the person who asks where the amount comes from. Pure."""

from decimal import Decimal

from billing.statements.commitment_lines import COMMITMENT
from billing.statements.credit_lines import ADJUSTMENT, CREDIT, CREDIT_PACK
from billing.statements.credit_words import credit_in_words
from billing.statements.values import Line
from billing.wording import Money, Quantity, Span
from plans import rating
from plans.rating.money import minus, total


def exact_amount(line: Line) -> Decimal:
    """Return what the parts and adjustments of a line come to before it is rounded."""
    changes = (change.amount for change in line.explanation.adjustments if change.amount)
    return total((*(part.amount for part in line.explanation.parts), *changes))


def line_in_words(line: Line, *, currency: str, zone: str) -> str:
    """Say how a line's amount came about; ``zone`` is that in which its time is written."""
    paid = credit_in_words(line, currency=currency)
    if line.kind == ADJUSTMENT:
        said = _correction_in_words(line, currency=currency, zone=zone)
        return f"{said}; {paid}" if paid else said
    if line.kind == COMMITMENT:
        return _commitment_in_words(line, currency=currency, zone=zone)
    part = line.explanation.credit
    if part is not None and part.unit:
        credit = rating.CreditUnit(part.unit)
        said = rating.in_words(_as_rated(line, amount=line.quantity), currency=credit)
    elif part is not None and part.pack_size is not None:
        said = _packs_in_words(line, size=part.pack_size, beyond=part.beyond_allowance)
    elif line.kind in (CREDIT, CREDIT_PACK):
        said = f"{line.description}: {Money(line.amount, currency)}"
    else:
        said = rating.in_words(_as_rated(line, amount=line.amount), currency=currency)
    return f"{said}: {paid}" if paid else said


def _packs_in_words(line: Line, *, size: Decimal, beyond: Decimal) -> str:
    used, over = Quantity(line.usage_quantity, line.unit), Quantity(beyond, line.unit)
    packs = "pack" if line.quantity == 1 else "packs"
    bought = f"{Quantity(line.quantity)} {packs} of {Quantity(size, line.unit)} bought"
    return f"{used}, {over} of them beyond what is included, {bought}"


def _as_rated(line: Line, *, amount: Decimal) -> rating.RatedLine:
    return rating.RatedLine(
        key=line.line_key,
        label=line.description,
        usage_quantity=line.usage_quantity,
        quantity=line.quantity,
        unit=line.unit if line.explanation.credit is None else line.explanation.credit.metered,
        parts=line.explanation.parts,
        adjustments=line.explanation.adjustments,
        exact_amount=exact_amount(line),
        amount=amount,
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


def _commitment_in_words(line: Line, *, currency: str, zone: str) -> str:
    note = line.explanation.commitment
    assert note is not None, "a commitment's line says what it stands for"
    span = Span(line.start, line.end, zone)
    if note.fee:
        return f"{line.description}, paid ahead for {span} as credit that its usage draws on"
    used, amount = Money(note.used, currency), Money(note.amount, currency)
    if not note.billed:
        return f"{Money(line.quantity, currency)} more of {span}: {used} of {amount} are used"
    return (
        f"{used} of the {amount} that were promised for {span} were used; "
        f"{Money(line.amount, currency)} are due"
    )
