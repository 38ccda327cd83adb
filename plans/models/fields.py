"""Shared column types: the precision of money, unit prices and quantities is decided here once."""

import zoneinfo
from decimal import Decimal
from functools import cache
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models

from plans.rating.money import CURRENCIES

validate_key = RegexValidator(
    r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$",
    "Use 1 to 100 letters, digits, and . _ : - ; start with a letter or a digit.",
    code="invalid_key",
)


def validate_time_zone(name: str) -> None:
    """Refuse a name that is not an IANA time zone (``Europe/Berlin``, ``UTC``)."""
    if name not in _time_zones():
        raise ValidationError(
            f"“{name}” is not a known time zone. Use an IANA name such as Europe/Berlin or UTC.",
            code="unknown_time_zone",
        )


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def validate_currency(code: str) -> None:
    """Refuse a code that is not an ISO 4217 currency."""
    if code not in CURRENCIES:
        raise ValidationError(
            f"“{code}” is not a known currency. Use an ISO 4217 code such as USD or EUR.",
            code="unknown_currency",
        )


def key_field(**options: Any) -> "models.CharField[str, str]":
    """Return the column of a key that people and services write."""
    return models.CharField(max_length=100, validators=[validate_key], **options)


def price_field(**options: Any) -> "models.DecimalField[Any, Any]":
    """Return a column for a unit price or a fee: not negative, to 12 decimals."""
    options.setdefault("validators", [MinValueValidator(Decimal(0))])
    return models.DecimalField(max_digits=30, decimal_places=12, **options)


def percent_field(
    verbose_name: str | None = None, **options: Any
) -> "models.DecimalField[Any, Any]":
    """Return a column for a percentage, as people say it: 25 is 25%."""
    options.setdefault("validators", [MinValueValidator(Decimal(0))])
    return models.DecimalField(verbose_name, max_digits=12, decimal_places=6, **options)
