"""How amounts, quantities and times are written for people."""

from datetime import UTC, datetime
from decimal import Decimal as D
from zoneinfo import ZoneInfo

import pytest

from billing.wording import Money, Quantity, Span, moment

BERLIN = "Europe/Berlin"


def berlin(*parts):
    return datetime(*parts, tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        ("23.75", "USD", "$23.75"),
        ("1E+3", "USD", "$1,000.00"),
        ("-1234567.5", "EUR", "-€1,234,567.50"),
        ("1234", "JPY", "¥1,234"),
        ("0.02", "JPY", "¥0.02"),
        ("1.234", "KWD", "KWD\N{NO-BREAK SPACE}1.234"),
        ("5", "CAD", "CA$5.00"),
        ("0.0015", "USD", "$0.0015"),
        ("123.1141666666666666666", "USD", "$123.114166666667"),
        ("9" * 29 + ".12", "USD", "$99,999,999,999,999,999,999,999,999,999.12"),
    ],
)  # fmt: skip
def test_money_has_the_currencys_decimals_and_no_fewer_than_it_needs(amount, currency, written):
    assert str(Money(D(amount), currency)) == written


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        ("12500.000000000000", "images", "12,500 images"),
        ("0.5", "", "0.5"),
        ("1E+6", "tokens", "1,000,000 tokens"),
        ("-10000", "", "-10,000"),
    ],
)
def test_quantities_have_no_trailing_zeros(value, unit, written):
    assert str(Quantity(D(value), unit)) == written


@pytest.mark.parametrize(
    ("start", "end", "zone", "written", "dates"),
    [
        ((2025, 10, 1), (2025, 11, 1), BERLIN, "October 2025", "1 to 31 October 2025"),
        ((2025, 10, 1), (2025, 10, 15), BERLIN, "1 to 14 October 2025", "1 to 14 October 2025"),
        ((2025, 10, 15), (2025, 11, 15), BERLIN, "15 October to 14 November 2025",
         "15 October to 14 November 2025"),
        ((2025, 12, 15), (2026, 1, 15), BERLIN, "15 December 2025 to 14 January 2026",
         "15 December 2025 to 14 January 2026"),
        ((2025, 10, 1), (2025, 10, 2), BERLIN, "1 October 2025", "1 October 2025"),
        ((2025, 10, 1, 0, 0), (2025, 10, 1, 12, 30), BERLIN,
         "1 October 2025, 00:00 to 1 October 2025, 12:30", "1 October 2025"),
        ((2025, 10, 1), (2025, 11, 1), "UTC",
         "30 September 2025, 22:00 to 31 October 2025, 23:00", "30 September to 31 October 2025"),
    ],
)  # fmt: skip
def test_spans_are_written_in_their_zone(start, end, zone, written, dates):
    span = Span(berlin(*start), berlin(*end), zone)

    assert str(span) == written
    assert span.dates == dates


def test_a_moment_is_written_to_the_minute():
    assert moment(berlin(2025, 10, 5, 14, 5, 59), zone=BERLIN) == "5 October 2025, 14:05"
