"""The curve of a metered price: what rising quantities cost, closely where the amount bends."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Context, Decimal
from itertools import pairwise
from typing import Final, NamedTuple

from plans.rating.flat import Flat
from plans.rating.lines import RatedLine
from plans.rating.money import EXACT, ONE, ZERO, minus, over, plus, round_money, times, total
from plans.rating.package import Package
from plans.rating.percentage import Percentage
from plans.rating.prices import Price, unit_of
from plans.rating.rate import rate
from plans.rating.samples import TRANSACTION, sample_usage
from plans.rating.seats import Seats
from plans.rating.volume import Volume

POINTS: Final = 40
EDGES_MOST: Final = 60

_USUAL: Final = Decimal(10_000)
_SEATS: Final = Decimal(50)
_PACKAGES: Final = Decimal(8)
_TRANSACTIONS: Final = 500
_TRANSACTIONS_MOST: Final = 5000
_FARTHEST: Final = Decimal(1000)
_NEAR: Final = Decimal(10_000)
_TWO_DIGITS: Final = Context(prec=2, rounding=ROUND_CEILING)
_LAST_DECIMAL: Final = ONE.scaleb(-12, EXACT)


class Point(NamedTuple):
    """A place on a curve: a quantity in the meter's units, and the rounded amount of money."""

    quantity: Decimal
    amount: Decimal


def curve(
    price: Price,
    *,
    currency: str,
    up_to: Decimal | None = None,
    points: int = POINTS,
    dimensions: tuple[str, ...] | None = None,
) -> tuple[Point, ...]:
    """Return what quantities of a metered price cost in a whole period, from none to `up_to`.

    Besides `points` even steps there is a point wherever the amount bends or jumps: at the bounds
    of tiers, at the edges of packages unless they are many, at the end of what is included, and
    where minimum and maximum take over; a jump has one on either side. Without `up_to` the range
    shows all of these. It ends with the allowance where the plan bills nothing beyond. All usage
    has the same `dimensions`, by default those of the first rate or service class.

    () for a flat price, which has no curve. Raises RatingError where the price cannot be rated.
    """
    if isinstance(price.model, Flat):
        return ()
    sampled = _Sampled(price, currency, dimensions)
    top = _nice(_top(sampled)) if up_to is None else max(up_to, ZERO)
    if price.overage.policy != "rate":
        top = min(top, price.allowance)
    sampled = replace(sampled, transaction=_transaction(price, top))
    corners = _corners(price, top)
    quantities = {*_even(price, top, points), *_beside(corners, top)}
    quantities.update(_taken_over(sampled, corners, top))
    readable = sorted({_readable(each) for each in quantities if each <= top})
    return tuple(Point(each, sampled.amount(each)) for each in readable)


@dataclass(frozen=True, slots=True)
class _Sampled:
    """A price with the kind of usage that it is tried on."""

    price: Price
    currency: str
    dimensions: tuple[str, ...] | None
    transaction: Decimal = TRANSACTION

    def amount(self, quantity: Decimal) -> Decimal:
        """Return what a quantity costs, as its rounded lines add up."""
        amount = total(line.amount for line in self._lines(self.price, quantity))
        return round_money(amount, currency=unit_of(self.price, currency=self.currency))

    def unbounded(self, quantity: Decimal) -> Decimal:
        """Return what a quantity would cost without minimum and maximum, exactly."""
        price = replace(self.price, minimum=None, maximum=None)
        return total(line.exact_amount for line in self._lines(price, quantity))

    def _lines(self, price: Price, quantity: Decimal) -> tuple[RatedLine, ...]:
        usage = sample_usage(
            price, quantity, dimensions=self.dimensions, transaction=self.transaction
        )
        return rate(price, usage, currency=self.currency)


class _Corner(NamedTuple):
    """Where the price by the unit changes; where it jumps, the amount does just above."""

    quantity: Decimal
    jumps: bool


def _corners(price: Price, top: Decimal) -> list[_Corner]:
    """Return where a price bends or jumps up to `top`, whatever its bounds, from zero on."""
    model, included = price.model, price.allowance
    found = [_Corner(ZERO, _fee_at(price, 0)), _Corner(included, _fee_at(price, 0))]
    if isinstance(model, Package):
        found += _edges(model, included, top)
    elif isinstance(model, Percentage):
        found.append(_Corner(plus(included, model.free_amount), jumps=False))
    for index, bound in enumerate(_bounds(price)):
        jumps = isinstance(model, Volume) or _fee_at(price, index + 1)
        found.append(_Corner(plus(included, bound), jumps))
    return sorted({each for each in found if each.quantity <= top})


def _bounds(price: Price) -> list[Decimal]:
    tiers = getattr(price.model, "tiers", ())
    return [tier.up_to for tier in tiers if tier.up_to is not None]


def _fee_at(price: Price, index: int) -> bool:
    tiers = getattr(price.model, "tiers", ())
    return index < len(tiers) and bool(tiers[index].flat_amount)


def _edges(model: Package, included: Decimal, top: Decimal) -> list[_Corner]:
    """Return where each package ends, or none where there are many."""
    first = plus(included, model.free_quantity)
    count = int(over(max(minus(top, first), ZERO), model.package_size))
    if count > EDGES_MOST:
        return [_Corner(first, jumps=True)]
    return [
        _Corner(plus(first, times(model.package_size, Decimal(nth))), jumps=True)
        for nth in range(count + 1)
    ]


def _even(price: Price, top: Decimal, points: int) -> Iterator[Decimal]:
    """Yield quantities at even distances, whole ones where seats are counted."""
    for step in range(points + 1):
        quantity = over(times(top, Decimal(step)), Decimal(max(points, 1)))
        yield quantity.to_integral_value() if isinstance(price.model, Seats) else quantity


def _beside(corners: list[_Corner], top: Decimal) -> Iterator[Decimal]:
    near = _near(top)
    for corner in corners:
        yield corner.quantity
        if corner.jumps:
            yield plus(corner.quantity, near)


def _near(top: Decimal) -> Decimal:
    """Return a quantity that the eye cannot tell from none: a power of ten, at most one unit."""
    return min(ONE, ONE.scaleb(over(top, _NEAR).adjusted(), EXACT)) if top else ONE


def _taken_over(sampled: _Sampled, corners: list[_Corner], top: Decimal) -> Iterator[Decimal]:
    """Yield where minimum or maximum take over; between two corners the amount is a straight line.

    Seats are whole: they have a point for each already.
    """
    targets = [each for each in (sampled.price.minimum, sampled.price.maximum) if each is not None]
    if not targets or isinstance(sampled.price.model, Seats):
        return
    near = _near(top)
    for corner, following in pairwise([*corners, _Corner(top, jumps=False)]):
        start = plus(corner.quantity, near) if corner.jumps else corner.quantity
        if start < following.quantity:
            yield from _crossings(sampled, start, following.quantity, targets)


def _crossings(
    sampled: _Sampled, start: Decimal, end: Decimal, targets: list[Decimal]
) -> Iterator[Decimal]:
    lower, upper = sampled.unbounded(start), sampled.unbounded(end)
    for target in targets:
        if min(lower, upper) < target < max(lower, upper):
            part = over(times(minus(target, lower), minus(end, start)), minus(upper, lower))
            yield plus(start, part)


def _top(sampled: _Sampled) -> Decimal:
    """Return a quantity beyond all that bends the curve: bounds, packages, minimum and maximum."""
    price = sampled.price
    if isinstance(price.model, Seats):
        return _SEATS
    top = _top_without_bounds(price)
    targets = [each for each in (price.minimum, price.maximum) if each is not None]
    if not targets or price.overage.policy != "rate":
        return top
    sampled = replace(sampled, transaction=_transaction(price, top))
    reached = sampled.unbounded(top)
    rise = minus(sampled.unbounded(times(top, Decimal(2))), reached)
    missing = minus(max(targets), reached)
    if missing <= ZERO or rise <= ZERO or missing > times(rise, _FARTHEST):
        return top
    beyond = over(times(missing, top), rise)
    return times(plus(top, beyond), Decimal("1.25"))


def _top_without_bounds(price: Price) -> Decimal:
    model, included = price.model, price.allowance
    bounds = _bounds(price)
    if bounds:
        return plus(included, times(max(bounds), Decimal("1.5")))
    if isinstance(model, Package):
        packages = times(model.package_size, _PACKAGES)
        return plus(plus(included, model.free_quantity), packages)
    usual = _USUAL
    if isinstance(model, Percentage):
        usual = max(
            usual,
            times(model.free_amount, Decimal(2)),
            times(TRANSACTION, Decimal(2 * model.free_transactions)),
        )
    size: Decimal = getattr(model, "unit_size", ONE)
    return max(times(usual, max(over(size, Decimal(1000)), ONE)), times(included, Decimal(2)))


def _readable(quantity: Decimal) -> Decimal:
    """Return a quantity to 12 decimals, without zeros or an exponent that say nothing."""
    quantity = EXACT.quantize(quantity, _LAST_DECIMAL)
    whole = quantity.to_integral_value()
    return whole if quantity == whole else quantity.normalize(EXACT)


def _nice(top: Decimal) -> Decimal:
    """Round up to two digits, so that the axis of a chart reads well."""
    return EXACT.plus(_TWO_DIGITS.plus(top))


def _transaction(price: Price, top: Decimal) -> Decimal:
    """Return the value of each transaction on a curve, so that they never are too many to rate."""
    if not isinstance(price.model, Percentage):
        return TRANSACTION
    count = max(_TRANSACTIONS, min(2 * price.model.free_transactions, _TRANSACTIONS_MOST))
    return max(TRANSACTION, over(top, Decimal(count)).to_integral_value(ROUND_CEILING))
