"""Let credit expire at its instant, and carry on what its terms say."""

from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import F

from billing.credits.burn import expire
from billing.credits.holding import grant_state
from billing.ledger import postings
from billing.ledger.operations import NewTransaction, post_all
from billing.ledger.postings import Credit
from billing.locks import lock_customers, lock_pool
from billing.models import CreditGrant, LedgerTransaction
from plans.rating.money import ZERO, minus, plus
from plans.rating.periods import local_midnight, months_after

PAGE = 500


def expire_grants(*, now: datetime, limit: int = PAGE) -> int:
    """Expire the grants whose time is up, each in a transaction of its own; return how many.

    What is held of a grant stays until the hold ends. Up to ``rollover_most`` of the rest is
    carried on into a new grant.
    """
    due = CreditGrant.objects.filter(expires_at__lte=now, remaining__gt=0).filter(
        remaining__gt=F("held")
    )
    ids = list(due.order_by("expires_at", "pk").values_list("pk", flat=True)[:limit])
    return sum(_expire(grant_id, now=now) for grant_id in ids)


@transaction.atomic
def _expire(grant_id: int, *, now: datetime) -> bool:
    grant = _lock_grant(grant_id)
    free = minus(grant.remaining, grant.held)
    if not free or grant.expires_at is None or grant.expires_at > now:
        return False
    carry = min(free, grant.rollover_most or ZERO) if grant.rollovers_left else ZERO
    state = grant_state(grant, unit=grant.pool.unit_id)
    broken = expire(state, amount=minus(free, carry))
    state = state._replace(
        remaining=minus(state.remaining, broken.amount),
        recognised=plus(state.recognised, broken.cost),
    )
    carried = expire(state, amount=carry)
    grant.remaining = minus(state.remaining, carry)
    grant.recognised = plus(state.recognised, carried.cost)
    grant.save(update_fields=["remaining", "recognised"])
    transactions = [_posting(grant, "expiry", postings.credit_expired([broken]))]
    if carry:
        new = _carry_on(grant, carried)
        moved = postings.credit_carried_over(old=carried, new=carried._replace(grant=new.pk))
        transactions.append(_posting(grant, "rollover", moved))
    post_all(transactions)
    return True


def _lock_grant(grant_id: int) -> CreditGrant:
    """Return a grant under its customer's and its pool's lock."""
    grants = CreditGrant.objects.select_related("pool__customer")
    pool = grants.get(pk=grant_id).pool
    lock_customers(customer_ids=[pool.customer_id])
    lock_pool(pool_id=pool.pk)
    return grants.get(pk=grant_id)


def _carry_on(grant: CreditGrant, carried: Credit) -> CreditGrant:
    """Make the grant that takes up what is carried on; it keeps the cost that goes with it."""
    assert grant.expires_at is not None
    return CreditGrant.objects.create(
        pool=grant.pool,
        key=f"{grant.key}:rolled",
        source=CreditGrant.Source.ROLLOVER,
        amount=carried.amount,
        remaining=carried.amount,
        priority=grant.priority,
        effective_at=grant.expires_at,
        expires_at=_months_later(grant),
        meters=grant.meters,
        job_classes=grant.job_classes,
        cost=carried.cost,
        currency=carried.currency if carried.cost else "",
        rollover_most=grant.rollover_most,
        rollover_months=grant.rollover_months,
        rollovers_left=grant.rollovers_left - 1,
        rolled_from=grant,
    )


def _months_later(grant: CreditGrant) -> datetime | None:
    """Return the local midnight so many months after a grant's expiry; None carries on for ever."""
    if grant.rollover_months is None:
        return None
    zone = grant.pool.customer.time_zone
    assert grant.expires_at is not None
    expired = grant.expires_at.astimezone(ZoneInfo(zone)).date()
    return local_midnight(months_after(expired, grant.rollover_months), zone=zone)


def _posting(
    grant: CreditGrant, reason: str, entries: tuple[postings.Entry, ...]
) -> NewTransaction:
    assert grant.expires_at is not None
    return NewTransaction(
        customer_id=grant.pool.customer_id,
        key=f"{reason}:{grant.pool.key}:{grant.key}:{grant.held.normalize():f}",
        reason=LedgerTransaction.Reason(reason),
        happened_at=grant.expires_at,
        entries=entries,
    )
