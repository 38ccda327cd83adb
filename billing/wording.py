"""How amounts, quantities and times are written for people: one way for every page. Pure.

``Money`` and ``Quantity`` are plain values that write themselves, so that a page, the API and a
command can share what a query returns: a template prints them, the API reads their numbers.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from babel.numbers import format_currency, format_decimal, get_currency_symbol

from plans.rating.money import EXACT, minor_units

LOCALE: Final = "en_US"
DECIMALS_MAX: Final = 12
_MIDNIGHT_PARTS: Final = (0, 0, 0, 0)


class Money(NamedTuple):
    """An amount in a currency; written with the currency's decimals, and more where it has more."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        digits = minor_units(self.currency)
        decimals = "0" * digits + "#" * (DECIMALS_MAX - digits)
        # A code such as KWD stands apart from its number, a symbol does not.
        space = "\N{NO-BREAK SPACE}" if _symbol(self.currency)[-1].isalpha() else ""
        with localcontext(EXACT):
            return format_currency(
                _at_most_12_decimals(self.amount),
                self.currency,
                format=f"¤{space}#,##0.{decimals}",
                locale=LOCALE,
                currency_digits=False,
            )

    @property
    def is_negative(self) -> bool:
        """Say whether the amount is owed to the customer."""
        return self.amount < 0


class Quantity(NamedTuple):
    """A number of units; written with its unit, without trailing zeros."""

    value: Decimal
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.number} {self.unit}".strip()

    @property
    def number(self) -> str:
        """Return the number alone: 12,500."""
        value = _at_most_12_decimals(self.value)
        with localcontext(EXACT):
            return format_decimal(value, format="#,##0.############", locale=LOCALE)


class Span(NamedTuple):
    """A half-open span of time, written in a zone: October 2025; 5 to 20 October 2025."""

    start: datetime
    end: datetime
    zone: str

    def __str__(self) -> str:
        start, end = (at.astimezone(ZoneInfo(self.zone)) for at in (self.start, self.end))
        if not (_is_midnight(start) and _is_midnight(end)):
            return f"{moment(self.start, zone=self.zone)} to {moment(self.end, zone=self.zone)}"
        first, last = start.date(), end.date() - timedelta(days=1)
        if first.day == 1 and end.day == 1 and _months(first, end.date()) == 1:
            return f"{first:%B %Y}"
        return _days(first, last)

    @property
    def first_day(self) -> date:
        """Return the day in the zone on which the span starts."""
        return self.start.astimezone(ZoneInfo(self.zone)).date()

    @property
    def last_day(self) -> date:
        """Return the last day in the zone that the span reaches into."""
        last = self.end.astimezone(UTC) - timedelta(microseconds=1)
        return last.astimezone(ZoneInfo(self.zone)).date()

    @property
    def dates(self) -> str:
        """Return the first and the last day, also for a whole month."""
        return _days(self.first_day, self.last_day)


def day(of: date) -> str:
    """Write a day: 5 October 2025."""
    return f"{of.day} {of:%B %Y}"


def days_between(first: date, end: date) -> str:
    """Write the days from one to before another: 1 January to 31 March 2025."""
    return _days(first, end - timedelta(days=1))


def short_day(of: date) -> str:
    """Write a day where the year is plain: 5 October."""
    return f"{of.day} {of:%B}"


def day_of(at: datetime, *, zone: str) -> str:
    """Write the day of an instant in a zone."""
    return day(at.astimezone(ZoneInfo(zone)).date())


def moment(at: datetime, *, zone: str) -> str:
    """Write an instant in a zone, to the minute: 5 October 2025, 14:05."""
    local = at.astimezone(ZoneInfo(zone))
    return f"{day(local.date())}, {local:%H:%M}"


def to_the_second(at: datetime, *, zone: str) -> str:
    """Write an instant in a zone, to the second: 5 October 2025, 14:05:30."""
    return f"{moment(at, zone=zone)}:{at:%S}"


@lru_cache(maxsize=256)
def _symbol(currency: str) -> str:
    return get_currency_symbol(currency, locale=LOCALE)


def _days(first: date, last: date) -> str:
    if first == last:
        return day(first)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day} to {day(last)}"
    if first.year == last.year:
        return f"{first.day} {first:%B} to {day(last)}"
    return f"{day(first)} to {day(last)}"


def _months(start: date, end: date) -> int:
    return (end.year - start.year) * 12 + end.month - start.month


def _is_midnight(at: datetime) -> bool:
    return (at.hour, at.minute, at.second, at.microsecond) == _MIDNIGHT_PARTS


def _at_most_12_decimals(value: Decimal) -> Decimal:
    if -int(value.as_tuple().exponent) <= DECIMALS_MAX:
        return value
    return EXACT.quantize(value, Decimal(1).scaleb(-DECIMALS_MAX))
