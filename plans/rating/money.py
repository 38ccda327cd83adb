"""Exact money and credits: units of account, the one rounding, splitting, and the arithmetic.

Rating never uses the caller's decimal context. Sums, differences and products are exact (within
120 digits); only a division rounds, at 60 digits; and rounding to money first drops the last ten
of those, so that a third which was multiplied back to a tie still rounds as a tie.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from functools import reduce
from typing import ClassVar, Final

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
HUNDRED: Final = Decimal(100)
HUNDREDTH: Final = Decimal("0.01")

EXACT: Final = Context(prec=120, rounding=ROUND_HALF_UP)
_QUOTIENTS: Final = Context(prec=60, rounding=ROUND_HALF_UP)
_GUARDED: Final = Context(prec=50, rounding=ROUND_HALF_UP)

plus = EXACT.add
minus = EXACT.subtract
times = EXACT.multiply
over = _QUOTIENTS.divide

_NO_MINOR_UNITS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_TWO_DIGITS = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD
    CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS
    GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL
    MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK
    PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS
    TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
"""
_THREE_DIGITS = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DIGITS = "CLF UYW"

_MINOR_UNITS: Final[dict[str, int]] = {
    code: digits
    for digits, codes in (
        (0, _NO_MINOR_UNITS),
        (2, _TWO_DIGITS),
        (3, _THREE_DIGITS),
        (4, _FOUR_DIGITS),
    )
    for code in codes.split()
}
_QUANTA: Final = {code: ONE.scaleb(-digits, EXACT) for code, digits in _MINOR_UNITS.items()}
CREDIT_DECIMALS_MOST: Final = 12
_CREDIT_QUANTA: Final = [ONE.scaleb(-digits, EXACT) for digits in range(CREDIT_DECIMALS_MOST + 1)]

CURRENCIES: Final[frozenset[str]] = frozenset(_MINOR_UNITS)


@dataclass(frozen=True, slots=True)
class CreditUnit:
    """A named credit, and the finest part in which it is used: 0 decimals are whole credits."""

    code: str
    decimals: int = 0

    def __str__(self) -> str:
        return self.code


# What amounts are counted in: a currency by its code, or a named credit.
Unit = str | CreditUnit


class RatingError(Exception):
    """A price or a usage that cannot be rated; `code` is stable, the message is for people."""

    code: ClassVar[str] = "rating_error"


class UnknownCurrency(RatingError):
    """The currency code is not in ISO 4217's list of money in use."""

    code = "unknown_currency"


def minor_units(currency: Unit) -> int:
    """Return how many decimals the currency has, by ISO 4217 (JPY 0, USD 2, KWD 3, CLF 4).

    A named credit has its own. Raises UnknownCurrency.
    """
    if isinstance(currency, CreditUnit):
        return currency.decimals
    try:
        return _MINOR_UNITS[currency]
    except KeyError:
        raise _unknown(currency) from None


def round_money(amount: Decimal, *, currency: Unit) -> Decimal:
    """Round an amount half away from zero to the currency's minor unit; never return minus zero.

    Credits are rounded to their own finest part. Raises UnknownCurrency. Rule: DESIGN section 3,
    Money.
    """
    if isinstance(currency, CreditUnit):
        quantum = _CREDIT_QUANTA[currency.decimals]
    else:
        try:
            quantum = _QUANTA[currency]
        except KeyError:
            raise _unknown(currency) from None
    return EXACT.plus(EXACT.quantize(_GUARDED.plus(amount), quantum))


def _unknown(currency: str) -> UnknownCurrency:
    return UnknownCurrency(f"{currency!r} is not an ISO 4217 currency code.")


def prorate(amount: Decimal, *, share: Fraction | int) -> Decimal:
    """Multiply an amount or a quantity by a share of a period, multiplying before dividing."""
    return over(times(amount, share.numerator), share.denominator)


def per_units(quantity: Decimal, unit_amount: Decimal, unit_size: Decimal) -> Decimal:
    """Return the exact amount of a quantity at `unit_amount` for each `unit_size` of it."""
    product = times(quantity, unit_amount)
    return product if unit_size == ONE else over(product, unit_size)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Add up exactly, without the caller's decimal context; nothing adds up to zero."""
    return reduce(plus, amounts, ZERO)


class BadSplit(RatingError):
    """The amount cannot be split: no weights, a negative weight, or an amount not yet rounded."""

    code = "bad_split"


def split(amount: Decimal, *, weights: Sequence[Decimal], currency: Unit) -> tuple[Decimal, ...]:
    """Split an amount of whole minor units in proportion to the weights, by largest remainder.

    The parts add up to the amount exactly, each in whole minor units and of the amount's sign. What
    is left after rounding towards zero goes, one minor unit each, to the largest remainders, the
    earlier part first. Weights that are all zero count as equal.

    Raises BadSplit where there is no weight, a negative one, or an amount with more decimals than
    the currency has; UnknownCurrency. Rule: DESIGN section 3, Money.
    """
    _check_split(amount, weights=weights, currency=currency)
    digits = minor_units(currency)
    units = int(amount.scaleb(digits, EXACT))
    sign = -1 if units < 0 else 1
    shares = _largest_remainder(abs(units), weights=_whole(weights))
    return tuple(Decimal(sign * share).scaleb(-digits, EXACT) for share in shares)


def _check_split(amount: Decimal, *, weights: Sequence[Decimal], currency: Unit) -> None:
    if not weights:
        raise BadSplit(f"There is nothing to split {amount} {currency} over.")
    if min(weights) < 0:
        raise BadSplit(f"{amount} {currency} cannot be split by a negative weight, {min(weights)}.")
    if round_money(amount, currency=currency) != amount:
        raise BadSplit(
            f"{amount} is not a whole number of {currency}'s minor units; round it first."
        )


def _whole(weights: Sequence[Decimal]) -> list[int]:
    """Scale the weights by one power of ten so that all are integers; all zero becomes all one."""
    lowest = min(int(weight.as_tuple().exponent) for weight in weights)
    whole = [int(weight.scaleb(-lowest, EXACT)) if weight else 0 for weight in weights]
    return whole if any(whole) else [1] * len(whole)


def _largest_remainder(units: int, *, weights: Sequence[int]) -> list[int]:
    whole = sum(weights)
    divided = [divmod(units * weight, whole) for weight in weights]
    shares = [quotient for quotient, _ in divided]
    by_remainder = sorted(range(len(shares)), key=lambda index: -divided[index][1])
    for index in by_remainder[: units - sum(shares)]:
        shares[index] += 1
    return shares
