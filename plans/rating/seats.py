"""Seats: a fee for each seat, by the days of the period on which it is held.

Seats are given up last in, first out: those that were added last go first. So the days fall into
blocks of seats that share their first and their last day, and each block is a line.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal, NamedTuple

from plans.rating.charge import Charge, Part, number, refuse_negative, sum_up, unit_part
from plans.rating.money import ONE, ZERO, RatingError, minus, prorate, times
from plans.rating.usage import DayLevels

Removed = Literal["period_end", "by_day"]

NOUN: Final = "seats"


class MissingDays(RatingError):
    """The price is for seats, and the usage came without the level of each day."""

    code = "missing_days"


class DaysOutsidePeriod(RatingError):
    """The days of the span do not lie within the days of its billing period."""

    code = "days_outside_period"


class SeatBlock(NamedTuple):
    """Seats paid from a day of the period to another, both included; `key` is stable in the span.

    The key is '' for those of the whole span, `day-16` for those from day 16 to its end, and
    `day-16-20` for those that end before it.
    """

    key: str
    quantity: Decimal
    first_day: int
    last_day: int
    period_days: int

    @property
    def days(self) -> int:
        """Return on how many days the seats are paid."""
        return self.last_day - self.first_day + 1


@dataclass(frozen=True, slots=True)
class Seats:
    """`unit_amount` for a seat and a whole period; one that is added later costs its days.

    A seat that is given up is paid to the period's end, or only by the day, as `removed` says.
    """

    unit_amount: Decimal
    removed: Removed = "period_end"

    def blocks(self, days: DayLevels) -> tuple[SeatBlock, ...]:
        """Return the seats that are paid in the span, block by block, in the order of their days.

        Raises NegativeQuantity, DaysOutsidePeriod.
        """
        last_day = days.first_day + len(days.levels) - 1
        if days.first_day < 1 or last_day > days.period_days:
            raise DaysOutsidePeriod(
                f"Days {days.first_day} to {last_day} do not lie in a period of"
                f" {days.period_days} days."
            )
        found = _runs(tuple(self._paid(days)), first_day=days.first_day)
        return tuple(
            SeatBlock(
                _key(start, end, first_day=days.first_day, last_day=last_day),
                quantity,
                start,
                end,
                days.period_days,
            )
            for start, end, quantity in sorted(found, key=lambda run: (run[0], -run[1]))
        )

    def charge(self, block: SeatBlock) -> Charge:
        """Return seats x unit amount x days / days of the period, multiplied before it is divided.

        The part of a block that is shorter than the period counts seat-days: 3 seats for 15 of 30
        days are 45 at the unit amount per 30.
        """
        if block.days == block.period_days:
            part = unit_part(label="each", quantity=block.quantity, unit_amount=self.unit_amount)
            return sum_up((part,))
        seat_days = times(block.quantity, Decimal(block.days))
        amount = prorate(
            times(block.quantity, self.unit_amount), share=Fraction(block.days, block.period_days)
        )
        label, size = days_label(block), Decimal(block.period_days)
        return sum_up((Part(label, seat_days, self.unit_amount, size, ZERO, amount),))

    def _paid(self, days: DayLevels) -> Iterator[Decimal]:
        """Yield how many seats are paid on each day of the span."""
        highest = days.highest_before
        for level in days.levels:
            refuse_negative(level)
            highest = max(highest, level)
            yield highest if self.removed == "period_end" else level


def seats_noun(unit: str, *, quantity: Decimal) -> str:
    """Return what the seats are called: the meter's unit or "seats", one of them a "seat"."""
    noun = unit or NOUN
    return noun.removesuffix("s") if quantity == ONE and noun.endswith(NOUN) else noun


def block_label(block: SeatBlock, *, unit: str) -> str:
    """Name a block for people: "12 seats", "3 seats from day 16, 15 of 30 days"."""
    words = f"{number(block.quantity)} {seats_noun(unit, quantity=block.quantity)}"
    if block.days == block.period_days:
        return words
    since = f" from day {block.first_day}" if block.first_day > 1 else ""
    until = f" to day {block.last_day}" if block.last_day < block.period_days else ""
    return f"{words}{since}{until}, {days_label(block)}"


def days_label(block: SeatBlock) -> str:
    """Say on how many days of the period the seats are paid: "15 of 30 days"."""
    return f"{block.days} of {block.period_days} days"


def _runs(levels: Sequence[Decimal], *, first_day: int) -> list[tuple[int, int, Decimal]]:
    """Return first day, last day and seats of each block; what was added last ends first."""
    held, open_runs, ended = ZERO, list[tuple[int, Decimal]](), list[tuple[int, int, Decimal]]()
    for day, level in enumerate(levels, first_day):
        while level < held:
            start, seats = open_runs.pop()
            given_up = min(seats, minus(held, level))
            ended.append((start, day - 1, given_up))
            if given_up < seats:
                open_runs.append((start, minus(seats, given_up)))
            held = minus(held, given_up)
        if level > held:
            open_runs.append((day, minus(level, held)))
            held = level
    last_day = first_day + len(levels) - 1
    return ended + [(start, last_day, seats) for start, seats in open_runs]


def _key(start: int, end: int, *, first_day: int, last_day: int) -> str:
    if end < last_day:
        return f"day-{start}-{end}"
    return "" if start == first_day else f"day-{start}"
