"""Buy the packs that a job needs beyond an allowance, as it is admitted."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from billing.credits.buying import ensure_packs
from billing.jobs.answers import said
from billing.jobs.errors import NotAdmitted
from billing.jobs.money import customer_of
from billing.jobs.reading import Account
from billing.jobs.rules import used_of
from billing.spend.margin import Standing
from billing.spend.periods import running_periods
from billing.statements.credit_lines import packs_pool_key
from billing.statements.facts import Period
from plans import rating
from plans.rating.money import ZERO, minus, plus
from usage.admission import Refused


def buy_packs(
    account: Account, standing: Standing, *, by_price: Mapping[str, Decimal], now: datetime
) -> None:
    """Buy what a job's quantities need of each price that sells packs, in the job's transaction.

    Raises NotAdmitted where a price sells no more of them in the period.
    """
    selling = prices_selling(standing, by_price)
    if not selling:
        return
    within = running_periods(customer_ids=[account.customer_id], now=now)[account.customer_id]
    for price in selling:
        used = used_of(account, standing, price.meter or "")
        beyond = max(ZERO, minus(plus(used, by_price[price.key]), price.allowance))
        short = minus(beyond, _units(account, price, within=within, now=now))
        if short > 0:
            _buy(account, standing, price, short, within=within, now=now)


def prices_selling(standing: Standing, by_price: Mapping[str, Decimal]) -> list[rating.Price]:
    """Return the prices that a job's quantities read and that sell packs beyond their allowance."""
    return [
        price
        for price in standing.bounded
        if price.overage.policy == "packs" and by_price.get(price.key)
    ]


# At once: what is drawn between two readings would be in both, or in neither.
_UNITS = """
SELECT
    coalesce((SELECT sum(d.amount - d.returned) FROM billing_creditdraw d
        WHERE d.customer_id = %(customer)s AND d.period_start = %(start)s
            AND d.price_key = %(price)s), 0)
    + coalesce((SELECT sum(u.free)
        FROM billing_creditpool p, billing_usable_grants(p.id, %(at)s, '', '') u
        WHERE p.customer_id = %(customer)s AND p.unit_id IN (
            SELECT unit_id FROM billing_creditpool
            WHERE customer_id = %(customer)s AND key = %(pool)s)), 0)
"""


def _units(account: Account, price: rating.Price, *, within: Period, now: datetime) -> Decimal:
    """Return the units that the period has drawn for the price, and those that are left."""
    values: dict[str, Any] = {
        "customer": account.customer_id,
        "start": within.start,
        "price": price.key,
        "at": now,
        "pool": packs_pool_key(price.key),
    }
    with connection.cursor() as cursor:
        cursor.execute(_UNITS, values)
        return Decimal(cursor.fetchone()[0])


def _buy(
    account: Account, standing: Standing, price: rating.Price, short: Decimal, *, within: Period,
    now: datetime,
) -> None:  # fmt: skip
    bought = ensure_packs(
        customer=customer_of(account),
        version_id=account.version_id,
        price=price,
        short=short,
        within=within,
        now=now,
    )
    size = price.overage.pack_size or ZERO
    if size * bought < short:
        ends_at = max(segment.whole_end for segment in standing.segments)
        raise NotAdmitted(_used_up(price, short, ends_at=ends_at), now=now)


def _used_up(price: rating.Price, short: Decimal, *, ends_at: datetime) -> Refused:
    most = price.overage.packs_most
    return Refused(
        rule="allowance",
        code="packs_used_up",
        detail=f"This job needs {said(short)} {price.unit or 'units'} more than are left, and the"
        f" plan sells at most {most} packs in a period. The next begins at"
        f" {ends_at:%Y-%m-%d %H:%M} UTC.",
        numbers={"price": price.key, "quantity": said(short), "packs_most": str(most)},
        retry_at=ends_at,
    )
