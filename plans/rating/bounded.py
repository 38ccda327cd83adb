"""Two prices whose sum one maximum and one minimum hold: a fee, and the bonus on top of it.

The fee carries the bounds. In this order, each line rounded once:

1. the bonus is rated by itself;
2. the fee is lowered to the maximum, and raised to what the bonus leaves of the minimum;
3. the bonus is lowered to what the fee leaves of the maximum.

So both come to their own rounded amounts, added up and kept between the rounded bounds. The fee is
first to have the room under a maximum, because the bonus is on top of it; and it takes up the
minimum, because that is due where no bonus is.
"""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple

from plans.rating.adjustments import Adjustment, Kind, prorated
from plans.rating.lines import RatedLine
from plans.rating.money import ZERO, minus, round_money, total
from plans.rating.prices import Price
from plans.rating.rate import Bounds, rate
from plans.rating.usage import Usage

_SHARED: Final[dict[Kind, Kind]] = {"maximum": "shared_maximum", "minimum": "shared_minimum"}


class Used(NamedTuple):
    """A price with its usage."""

    price: Price
    usage: Usage


def rate_beside(
    price: Price,
    usage: Usage,
    *,
    others: Iterable[Used],
    currency: str,
    share: Fraction | int = 1,
) -> tuple[RatedLine, ...]:
    """Return the lines of a price, kept to the bounds that it shares with one of the others.

    Raises what `rate` raises.
    """
    for other in others:
        if other.price.bonus_of == price.key:
            due = _amount(rate(other.price, other.usage, currency=currency, share=share))
            return _fee(Used(price, usage), due=due, currency=currency, share=share)
        if price.bonus_of == other.price.key:
            due = _amount(rate(price, usage, currency=currency, share=share))
            fee = _fee(other, due=due, currency=currency, share=share)
            _, highest = _bounds(other.price, currency=currency, share=share)
            room = None if highest is None else max(ZERO, minus(highest, _amount(fee)))
            lines = rate(price, usage, currency=currency, share=share, bounds=Bounds(None, room))
            return _named(lines)
    return rate(price, usage, currency=currency, share=share)


def _fee(fee: Used, *, due: Decimal, currency: str, share: Fraction | int) -> tuple[RatedLine, ...]:
    lowest, highest = _bounds(fee.price, currency=currency, share=share)
    left = None if lowest is None or lowest <= due else minus(lowest, due)
    bounds = Bounds(left, highest)
    return _named(rate(fee.price, fee.usage, currency=currency, share=share, bounds=bounds))


def _bounds(price: Price, *, currency: str, share: Fraction | int) -> Bounds:
    """Return the rounded bounds of a fee in a share of the period."""
    in_force = prorated(price, share=share)
    return Bounds(
        *(
            None if bound is None else round_money(bound, currency=currency)
            for bound in (in_force.minimum, in_force.maximum)
        )
    )


def _amount(lines: Iterable[RatedLine]) -> Decimal:
    return total(line.amount for line in lines)


def _named(lines: Iterable[RatedLine]) -> tuple[RatedLine, ...]:
    """Return lines that say of what changed them that it is shared."""
    return tuple(
        replace(line, adjustments=tuple(_as_shared(change) for change in line.adjustments))
        for line in lines
    )


def _as_shared(change: Adjustment) -> Adjustment:
    return replace(change, kind=_SHARED.get(change.kind, change.kind))
