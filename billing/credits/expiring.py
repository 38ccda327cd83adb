"""Let credit expire at its instant, and carry on what its terms say."""

from datetime import datetime
from itertools import groupby
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import F

from billing.models import CreditGrant
from billing.statements.sweeping import draw_before
from plans.clock import due
from plans.rating.periods import local_midnight, months_after

PAGE = 500


def expire_grants(*, now: datetime, limit: int = PAGE) -> int:
    """Expire the grants whose time is up, each in a transaction of its own; return how many.

    What was used in time, as far as it is known, is drawn of them first. What is held of a grant
    stays until the hold ends. Up to ``rollover_most`` of the rest is carried on into a new grant.
    A test customer stands at its own clock.
    """
    over = due("expires_at", now=now, customer="pool__customer")
    rows = CreditGrant.objects.filter(over, has_credit=True, remaining__gt=F("held"))
    grants = list(rows.select_related("pool__customer").order_by("expires_at", "pk")[:limit])
    for instant, group in groupby(grants, key=lambda grant: grant.expires_at):
        if instant is not None:
            customers = {grant.pool.customer_id for grant in group}
            draw_before(customer_ids=customers, until=instant, now=now)
    return sum(_expire(grant, now=grant.pool.customer.clock_at or now) for grant in grants)


def _expire(grant: CreditGrant, *, now: datetime) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT billing_expire_grant(%s, %s, %s)", [grant.pk, now, _rolls_until(grant)]
        )
        return bool(cursor.fetchone()[0])


def _rolls_until(grant: CreditGrant) -> datetime | None:
    """Return the local midnight so many months after a grant's expiry; None carries on for ever."""
    if grant.rollover_months is None or grant.expires_at is None:
        return None
    zone = grant.pool.customer.time_zone
    expired = grant.expires_at.astimezone(ZoneInfo(zone)).date()
    return local_midnight(months_after(expired, grant.rollover_months), zone=zone)
