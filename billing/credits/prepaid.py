"""Grant the credit of prepaid commitments, each instalment once, from its start on."""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from billing.credits.granting import grant_credit
from billing.credits.pools import pool_in_unit
from billing.locks import lock_customers
from billing.models import CreditGrant, CreditPool
from plans.commitments import commitment_value
from plans.models import Commitment
from plans.rating import CreditUnit, minor_units
from plans.rating.commitments import Stretch, instalment_stretches, rollover_most, stretches
from plans.rating.periods import local_midnight

PRIORITY = 80
_AHEAD = timedelta(days=1)


def grant_prepaid(*, now: datetime, customer_ids: Collection[int] | None = None) -> int:
    """Grant what prepaid commitments have come to by now; return how many grants are new.

    A grant is money in the customer's currency, at the cost of the instalment, and lapses at the
    end of what its usage is measured against, but for what rolls over. Running it again is safe.
    A test customer stands at its own clock.
    """
    by_clock = Q(customer__clock_at__isnull=False)
    rows = Commitment.objects.filter(
        by_clock | Q(start_date__lte=(now + _AHEAD).date()),
        kind=Commitment.Kind.PREPAID,
        approved_at__isnull=False,
    ).select_related("customer")
    if customer_ids is not None:
        rows = rows.filter(customer_id__in=customer_ids)
    rows = rows.order_by("pk").prefetch_related("instalments")
    return sum(_grant(row, now=row.customer.clock_at or now) for row in rows)


def grant_key(commitment: Commitment, number: int) -> str:
    """Return the key of the grant of a prepaid instalment; the first has the number 1."""
    return f"commitment:{commitment.key}:{number}"


@transaction.atomic
def _grant(row: Commitment, *, now: datetime) -> int:
    value, zone = commitment_value(row), row.customer.time_zone
    due = [
        (number, each)
        for number, each in enumerate(instalment_stretches(value), start=1)
        if each.start < value.until and local_midnight(each.start, zone=zone) <= now
    ]
    keys = [grant_key(row, number) for number, _ in due]
    granted = CreditGrant.objects.filter(pool__customer_id=row.customer_id, key__in=keys)
    known = set(granted.values_list("key", flat=True))
    missing = [(number, each) for number, each in due if grant_key(row, number) not in known]
    if missing:
        lock_customers(customer_ids=[row.customer_id])
        unit = CreditUnit(row.currency, minor_units(row.currency))
        pool = pool_in_unit(customer=row.customer, unit=unit)
        for number, each in missing:
            _grant_instalment(row, number, each, pool=pool, now=now)
    return len(missing)


def _grant_instalment(
    row: Commitment, number: int, instalment: Stretch, *, pool: CreditPool, now: datetime
) -> None:
    value, zone = commitment_value(row), row.customer.time_zone
    measured = next(each for each in stretches(value) if each.end > instalment.start)
    most = rollover_most(value, instalment.amount, currency=row.currency)
    grant_credit(
        pool=pool,
        key=grant_key(row, number),
        source=CreditGrant.Source.BOUGHT,
        amount=instalment.amount,
        effective_at=local_midnight(instalment.start, zone=zone),
        expires_at=local_midnight(measured.end, zone=zone),
        priority=PRIORITY,
        meters=value.meters,
        cost=instalment.amount,
        rollover_most=most or None,
        rollover_months=value.rollover_months if most else None,
        rollovers=1 if most else 0,
        note=f"{row.name}, instalment {number}",
        now=now,
    )
