"""Rows beside prices as the frozen values that ``plans.rating`` works on; see ``plans.terms``."""

from decimal import Decimal
from typing import Any

from plans import rating
from plans.models import (
    CreditAllotment,
    CreditPack,
    CreditUnit,
    JobTerms,
    Limit,
    Phase,
    ServiceClass,
)


def plain(value: Decimal) -> Decimal:
    """Return the number without the zeros that its column pads it with: 0.020000 is 0.02.

    It is exact whatever the decimal context: a column holds more digits than the usual one keeps.
    """
    value = Decimal(value)
    whole = value.to_integral_value()
    return whole if value == whole else Decimal(f"{value:f}".rstrip("0"))


def plain_or_none(value: Decimal | None) -> Decimal | None:
    """Return ``plain`` of a number, and None of none."""
    return None if value is None else plain(value)


def phase(row: Phase) -> rating.Phase:
    """Return a phase as a rating value."""
    return rating.Phase(
        key=row.key,
        name=row.name,
        days=row.days,
        months=row.months,
        discount_percent=plain(row.discount_percent),
    )


def service_class(row: ServiceClass) -> rating.ServiceClass:
    """Return a service class as a rating value."""
    return rating.ServiceClass(
        key=row.key,
        name=row.name,
        multiplier=plain(row.multiplier),
        start_within_minutes=row.start_within_minutes,
        late_start_percent=plain(row.late_start_percent),
    )


def limit(row: Limit) -> rating.Limit:
    """Return a limit as a rating value."""
    kind: Any = str(row.kind)
    return rating.Limit(kind=kind, value=plain(row.value), job_class=row.job_class)


def credit_unit(row: CreditUnit) -> rating.CreditUnit:
    """Return a credit unit as a rating value."""
    return rating.CreditUnit(code=row.code, decimals=row.decimals)


def pack(row: CreditPack) -> rating.CreditPack:
    """Return a pack as a rating value."""
    return rating.CreditPack(
        key=row.key,
        name=row.name,
        unit=credit_unit(row.unit),
        credits=plain(row.credits),
        amount=plain(row.amount),
        expires_months=row.expires_months,
        needs_payment=row.needs_payment,
        priority=row.priority,
    )


def allotment(row: CreditAllotment, *, currency: str) -> rating.CreditAllotment:
    """Return an allotment as a rating value."""
    money = rating.CreditUnit(code=currency, decimals=rating.minor_units(currency))
    return rating.CreditAllotment(
        key=row.key,
        name=row.name,
        unit=money if row.unit is None else credit_unit(row.unit),
        amount=plain(row.amount),
        expires_months=row.expires_months,
        priority=row.priority,
        rollover_percent=plain(row.rollover_percent),
        rollover_months=row.rollover_months,
        rollovers=row.rollovers,
        meters=tuple(row.meters),
        job_classes=tuple(row.job_classes),
    )


def job_terms(row: JobTerms) -> rating.JobTerms:
    """Return the terms of jobs as a rating value."""
    attempts: Any = str(row.bill_attempts)
    above_hold: Any = str(row.above_hold)
    hold_at: Any = str(row.hold_at)
    return rating.JobTerms(
        bill_attempts=attempts,
        bill_input_failures=row.bill_input_failures,
        bill_cancelled=row.bill_cancelled,
        bill_expired=row.bill_expired,
        hold_at=hold_at,
        above_hold=above_hold,
        grace_amount=plain(row.grace_amount),
        late_start_most=plain_or_none(row.late_start_most),
    )
