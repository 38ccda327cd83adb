"""What late starts give back on a statement: which jobs, and how much in a period. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from billing.statements.values import LateStart, MeterUsage, Segment
from plans import rating
from plans.rating.late_starts import LATE_KEY, bounded


def is_late_credit(price: rating.Price, key: str) -> bool:
    """Say whether a line of a price gives something back for late starts, by the line's key."""
    return bool(price.class_dimension) and key.startswith(LATE_KEY)


class LateCredits:
    """What late starts give back on one statement, kept to the most in a period.

    The bound holds for a subscription in a billing period, over all prices in money. Where its
    terms change within the period, each part keeps the sum so far to its own bound.
    """

    def __init__(self) -> None:
        self._given: dict[tuple[datetime | None, datetime], Decimal] = {}

    def within(
        self,
        lines: Sequence[rating.RatedLine],
        *,
        price: rating.Price,
        segment: Segment,
        terms: rating.Terms,
    ) -> Iterator[rating.RatedLine]:
        """Yield the lines of a price, what is given back on them lowered to what is left."""
        key, most = (segment.subscribed, segment.whole_start), _most(terms)
        for line in lines:
            if not is_late_credit(price, line.key):
                yield line
                continue
            given = self._given.get(key, Decimal(0))
            kept = line if most is None else bounded(line, left=max(most - given, Decimal(0)))
            self._given[key] = given - kept.amount
            yield kept


def _most(terms: rating.Terms) -> Decimal | None:
    most = terms.jobs.late_start_most
    return None if most is None else rating.round_money(most, currency=terms.currency)


def late_starts_of(
    price: rating.Price, usage: MeterUsage, *, cells: Sequence[tuple[str, ...]]
) -> tuple[LateStart, ...]:
    """Return the jobs behind what is given back for usage with these dimension values."""
    place = price.dimensions.index(price.class_dimension)
    classes = {cell[place] for cell in cells}
    return tuple(each for each in usage.late_starts if each.service_class in classes)
