"""Late starts: what a service class gives back of the premium of jobs that waited too long.

Usage of a job that began after its promised start carries `started_late`, a dimension like any
other. What it cost more than at the price itself comes off again, on a line of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Final

from plans.rating.adjustments import Adjustment, discount
from plans.rating.charge import number, unit_part
from plans.rating.lines import RatedLine
from plans.rating.money import HUNDREDTH, ONE, ZERO, Unit, minus, plus, prorate, round_money, times
from plans.rating.per_unit import PerUnit
from plans.rating.prices import Price, ServiceClass
from plans.rating.usage import Cell, Usage

LATE_DIMENSION: Final = "started_late"
IS_LATE: Final = "true"
LATE_KEY: Final = "late:"
_JOBS: Final = frozenset({"job", "jobs"})


def gives_back(found: ServiceClass) -> bool:
    """Say whether a class gives anything back where its promised start is missed."""
    return found.late_start_percent > ZERO and found.multiplier > ONE


def without_late_credits(price: Price) -> Price:
    """Return the price as if no start were late: the most that its usage can cost."""
    if not any(map(gives_back, price.classes)):
        return price
    classes = tuple(replace(each, late_start_percent=ZERO) for each in price.classes)
    return replace(price, classes=classes)


def is_late(price: Price, cell: Cell) -> bool:
    """Say whether a cell's usage is that of jobs which started late."""
    names = price.dimensions
    return LATE_DIMENSION in names and cell.dimensions[names.index(LATE_DIMENSION)] == IS_LATE


def late_key(class_line: str) -> str:
    """Return the stable key of the line that gives back what a service class's line charges."""
    return f"{LATE_KEY}{class_line}"


def late_credits(
    price: Price,
    usage: Usage,
    lines: Sequence[RatedLine],
    *,
    classes: dict[str, ServiceClass],
    currency: Unit,
) -> Iterator[RatedLine]:
    """Yield a line below zero for each class line whose late starts give something back.

    ``classes`` are the service classes by the keys of their lines. Of what is included in an
    allowance nothing was charged: late usage counts among what is billed first. The price's
    discount, and what its maximum took off the class's line, come off what is given back too.
    """
    assert isinstance(price.model, PerUnit), "only a price per unit has service classes"
    for line in lines:
        found = classes.get(line.key)
        if found is None or not gives_back(found):
            continue
        late = min(_late_quantity(price, usage, found), line.quantity)
        if late > ZERO:
            yield _credit(price, price.model, line, found, late, currency=currency)


def _late_quantity(price: Price, usage: Usage, found: ServiceClass) -> Decimal:
    place, quantity = price.dimensions.index(price.class_dimension), ZERO
    for cell in usage.cells:
        if cell.dimensions[place] == found.key and is_late(price, cell):
            quantity = plus(quantity, cell.quantity)
    return quantity


def _credit(
    price: Price,
    model: PerUnit,
    line: RatedLine,
    found: ServiceClass,
    late: Decimal,
    *,
    currency: Unit,
) -> RatedLine:
    premium = times(model.unit_amount, minus(found.multiplier, ONE))
    given = times(premium, times(found.late_start_percent, HUNDREDTH))
    part = unit_part(
        label="premium given back",
        quantity=late,
        unit_amount=given.copy_negate(),
        unit_size=model.unit_size,
    )
    amount, adjustments = part.amount, list[Adjustment]()
    for change in (discount(price, amount), _share_of_maximum(line, price, amount)):
        if change is not None and change.amount:
            amount = plus(amount, change.amount)
            adjustments.append(change)
    return RatedLine(
        key=late_key(line.key),
        label=f"service credit, {late_words(late, unit=price.unit, name=found.name)}",
        usage_quantity=ZERO,
        quantity=late,
        unit=price.unit,
        parts=(part,),
        adjustments=tuple(adjustments),
        exact_amount=amount,
        amount=round_money(amount, currency=currency),
    )


def _share_of_maximum(line: RatedLine, price: Price, amount: Decimal) -> Adjustment | None:
    """Return what of a credit falls away with the part of the line that the maximum took off."""
    lowered = next((each.amount for each in line.adjustments if each.kind == "maximum"), None)
    if not lowered:
        return None
    change = discount(price, amount)
    if change is not None and change.amount is not None:
        amount = plus(amount, change.amount)
    share = Fraction(lowered) / Fraction(minus(line.exact_amount, lowered))
    return Adjustment("maximum", None, prorate(amount, share=share))


def late_words(quantity: Decimal, *, unit: str, name: str) -> str:
    """Name what started late: "3 premium jobs started late", or so many units of such jobs."""
    if unit in _JOBS:
        return f"{number(quantity)} {name} {'job' if quantity == ONE else 'jobs'} started late"
    return f"{number(quantity)} {unit or 'units'} of {name} jobs that started late"


def bounded(line: RatedLine, *, left: Decimal) -> RatedLine:
    """Return a credit that comes to no more than what is ``left`` of the most in a period."""
    amount = minus(ZERO, left)
    if line.amount >= amount:
        return line
    change = Adjustment("late_start_most", None, minus(amount, line.exact_amount))
    return replace(
        line, adjustments=(*line.adjustments, change), exact_amount=amount, amount=amount
    )
