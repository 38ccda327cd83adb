"""Grant what plans allot at the beginning of each billing period, to many customers at once."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from billing.credits.granting import grant_credit
from billing.credits.pools import pool_in_unit
from billing.locks import lock_customers
from billing.models import CreditGrant
from plans import rating
from plans.models import Customer
from plans.rating.money import HUNDREDTH, times
from plans.rating.periods import local_midnight, months_after
from plans.terms import terms_of

PAGE = 500


class Allotted(NamedTuple):
    """What is due to a customer: an allotment of a version, for one of its billing periods."""

    customer_id: int
    subscription_id: int
    version_id: int
    allotment: rating.CreditAllotment
    period: rating.Period


def allot_credit(*, now: datetime, customer_ids: Collection[int] | None = None) -> int:
    """Grant what the period that holds ``now`` allots and is not granted yet; return how many.

    It is granted whole, whenever in the period the subscription begins: once for a subscription,
    an allotment's key and a period. A change to another plan in the middle of a period grants what
    that one allots beside what was granted before. Customers are looked at in pages.
    """
    granted, after = 0, 0
    while page := _subscribed(now=now, customer_ids=customer_ids, after=after):
        after = page[-1].customer_id
        due = _due(page, now=now)
        granted += sum(_grant(one, now=now) for one in _missing(due))
    return granted


class _Subscribed(NamedTuple):
    """A subscription that runs, and the version that prices it."""

    customer_id: int
    subscription_id: int
    version_id: int
    anchor: date | None
    zone: str


# The version that prices each running subscription, for versions that allot anything.
_SUBSCRIBED = """
SELECT c.id, s.id, v.id, s.anchor_date, c.time_zone
FROM plans_customer c
JOIN plans_subscription s ON s.customer_id = c.id AND s.starts_at <= %(now)s
     AND (s.ends_at IS NULL OR s.ends_at > %(now)s)
JOIN plans_planversion v ON v.plan_id = s.plan_id AND v.published_at IS NOT NULL
     AND v.currency = c.currency AND v.effective_until IS DISTINCT FROM v.effective_from
     AND v.id = coalesce(
        (SELECT p.version_id FROM plans_versionpin p WHERE p.subscription_id = s.id
         AND p.starts_at <= %(now)s AND (p.ends_at IS NULL OR p.ends_at > %(now)s)),
        (SELECT o.id FROM plans_planversion o WHERE o.plan_id = s.plan_id
         AND o.currency = c.currency AND o.published_at IS NOT NULL
         AND o.effective_until IS DISTINCT FROM o.effective_from AND o.effective_from <= %(now)s
         AND (o.effective_until IS NULL OR o.effective_until > %(now)s)))
WHERE c.id > %(after)s AND (%(ids)s::bigint[] IS NULL OR c.id = ANY(%(ids)s))
  AND EXISTS (SELECT FROM plans_creditallotment a WHERE a.version_id = v.id)
ORDER BY c.id LIMIT %(limit)s
"""


def _subscribed(
    *, now: datetime, customer_ids: Collection[int] | None, after: int
) -> list[_Subscribed]:
    ids = None if customer_ids is None else list(customer_ids)
    values = {"now": now, "ids": ids, "after": after, "limit": PAGE}
    with connection.cursor() as cursor:
        cursor.execute(_SUBSCRIBED, values)
        return [_Subscribed(*row) for row in cursor.fetchall()]


def _due(page: Sequence[_Subscribed], *, now: datetime) -> list[Allotted]:
    terms = terms_of({one.version_id for one in page})
    found = []
    for one in page:
        period = rating.billing_period(anchor=one.anchor, zone=one.zone, at=now)
        found += [
            Allotted(one.customer_id, one.subscription_id, one.version_id, allotment, period)
            for allotment in terms[one.version_id].terms.allotments
        ]
    return found


def _missing(due: Sequence[Allotted]) -> list[Allotted]:
    """Return those that are not granted yet, asked for all at once."""
    known = set(
        CreditGrant.objects.filter(
            pool__customer_id__in={one.customer_id for one in due},
            key__in={_key(one) for one in due},
        ).values_list("pool__customer_id", "key")
    )
    return [one for one in due if (one.customer_id, _key(one)) not in known]


def _key(one: Allotted) -> str:
    return f"plan:{one.subscription_id}:{one.allotment.key}:{one.period.start:%Y-%m-%d}"


@transaction.atomic
def _grant(one: Allotted, *, now: datetime) -> bool:
    lock_customers(customer_ids=[one.customer_id])
    customer, terms = Customer.objects.get(pk=one.customer_id), one.allotment
    grant_credit(
        pool=pool_in_unit(customer=customer, unit=terms.unit),
        key=_key(one),
        source=CreditGrant.Source.PLAN,
        amount=terms.amount,
        effective_at=one.period.start,
        expires_at=_expiry(one, zone=customer.time_zone),
        priority=terms.priority,
        meters=terms.meters,
        job_classes=terms.job_classes,
        rollover_most=_most_carried(terms),
        rollover_months=terms.rollover_months,
        rollovers=terms.rollovers if terms.rollover_percent else 0,
        note=terms.name,
        now=now,
    )
    return True


def _expiry(one: Allotted, *, zone: str) -> datetime:
    """Return the period's end, or the local midnight so many months after its beginning."""
    if one.allotment.expires_months is None:
        return one.period.end
    day = one.period.start.astimezone(ZoneInfo(zone)).date()
    return local_midnight(months_after(day, one.allotment.expires_months), zone=zone)


def _most_carried(terms: rating.CreditAllotment) -> Decimal | None:
    if not terms.rollover_percent:
        return None
    share = times(terms.rollover_percent, HUNDREDTH)
    return rating.round_money(times(terms.amount, share), currency=terms.unit)
