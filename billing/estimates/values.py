"""What an estimate says. Pure: no database and no clock."""

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, Literal, NamedTuple

import msgspec

from plans.rating.money import EXACT, ONE, ZERO, minus, plus, times

Basis = Literal["customer", "class", "declared", "unknown"]
PERCENTILES: Final = (Decimal("0.1"), Decimal("0.5"), Decimal("0.9"))
_COLUMN: Final = Decimal(1).scaleb(-12)


class Range(NamedTuple):
    """The 10th, 50th and 90th percentile."""

    low: Decimal
    expected: Decimal
    high: Decimal


NOTHING: Final = Range(ZERO, ZERO, ZERO)


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a job will cost in the customer's currency, exact to 12 decimals, and until when it
    stands.

    ``basis`` says what it rests on: so many ``comparable`` jobs of the customer, or of the class
    over all customers, or what the class declares; "unknown" is an estimate of nothing. ``credits``
    are by unit, ``quantities`` by meter, each meter's own percentiles.
    """

    currency: str
    low: Decimal
    expected: Decimal
    high: Decimal
    credits: tuple[tuple[str, Range], ...]
    quantities: tuple[tuple[str, Range], ...]
    basis: Basis
    comparable: int
    stands_until: datetime


def to_column(value: Decimal) -> Decimal:
    """Return a quantity or an amount to the 12 decimals that are kept."""
    return value.quantize(_COLUMN, rounding=ROUND_HALF_UP, context=EXACT)


def rounded(ends: Range, *, times_size: Decimal = ONE) -> Range:
    """Return a range as it is kept, for so many units of input."""
    return Range(*(to_column(times(end, times_size)) for end in ends))


def percentiles(values: Sequence[Decimal]) -> Range:
    """Return the percentiles of what comparable jobs came to; of nothing they are zero."""
    if not values:
        return NOTHING
    ordered = sorted(values)
    return Range(*(percentile(ordered, share) for share in PERCENTILES))


def ends_of(values: Sequence[Decimal]) -> Range:
    """Return the lowest, the middle and the highest of three values that were declared."""
    if not values:
        return NOTHING
    ordered = sorted(values)
    return Range(*(ordered[place] for place in (0, len(ordered) // 2, -1)))


def percentile(ordered: Sequence[Decimal], share: Decimal) -> Decimal:
    """Return the value below which the next one falls with the probability of the share.

    Of n values in order that is the one at (n + 1) times the share, between two in proportion, and
    never beyond the first or the last (Hyndman and Fan's sixth kind; a spreadsheet's
    PERCENTILE.EXC). PostgreSQL's percentile_cont lies further in: of twenty jobs only 72 of 100
    that follow fall between its 10th and its 90th.
    """
    place = min(max(share * (len(ordered) + 1) - 1, ZERO), Decimal(len(ordered) - 1))
    below = int(place)
    value = ordered[below]
    if place == below:
        return value
    return plus(value, times(minus(ordered[below + 1], value), place - below))
