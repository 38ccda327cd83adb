"""Buy the packs that a job needs beyond an allowance, as it is admitted."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from django.db.models import F, Sum

from billing.credits.buying import ensure_packs
from billing.jobs.answers import said
from billing.jobs.credit import free_credit
from billing.jobs.errors import NotAdmitted
from billing.jobs.money import customer_of
from billing.jobs.reading import Account
from billing.jobs.rules import prices_of, used_of
from billing.models import CreditDraw, CreditPool
from billing.spend.margin import Standing
from billing.spend.periods import running_periods
from billing.statements.credit_lines import packs_pool_key
from billing.statements.facts import Period
from plans import rating
from plans.rating.money import ZERO, minus, plus, total
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
        for price in prices_of(standing)
        if price.overage.policy == "packs" and by_price.get(price.key)
    ]


def _units(account: Account, price: rating.Price, *, within: Period, now: datetime) -> Decimal:
    """Return the units that the period has drawn for the price, and those that are left."""
    drawn = CreditDraw.objects.filter(
        customer_id=account.customer_id, period_start=within.start, price_key=price.key
    ).aggregate(found=Sum(F("amount") - F("returned")))
    pool = CreditPool.objects.filter(customer_id=account.customer_id, key=packs_pool_key(price.key))
    units = pool.values_list("unit_id", flat=True)
    left = free_credit(account.customer_id, units, "", now=now)
    return plus(drawn["found"] or ZERO, total(left.values()))


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
