"""Move a customer to a larger plan when a job needs more than the plan includes."""

from dataclasses import replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from billing.jobs.errors import NotAdmitted
from billing.jobs.reading import Account
from plans.errors import OperationError
from plans.models import Plan, Subscription
from plans.operations.subscription_changes import upgrade_plan
from usage.admission import Refused

# How many plans one job may move a customer on, each including more than the one before.
UPGRADES_MOST = 10


_MADE_MEANWHILE = timedelta(minutes=5)


def after_upgrade(account: Account, *, now: datetime) -> datetime:
    """Return an instant not before an upgrade that another job made meanwhile.

    Who waited for the lock may have looked at the clock before whoever held it.
    """
    made = Subscription.objects.filter(
        customer_id=account.customer_id,
        upgraded_from__isnull=False,
        starts_at__gt=now,
        starts_at__lte=now + _MADE_MEANWHILE,
    )
    last: datetime | None = made.order_by("-starts_at").values_list("starts_at", flat=True).first()
    return last or now


def move_on(account: Account, outgrown: Refused, *, now: datetime) -> str:
    """Upgrade the customer in the transaction of its job, and return the plan's key.

    The row of spend is locked. Raises NotAdmitted, with the reason, where the upgrade is refused.
    """
    running = Q(ends_at=None) | Q(ends_at__gt=now)
    held = Subscription.objects.filter(running, customer_id=account.customer_id, starts_at__lte=now)
    subscription = held.select_related("customer", "plan").order_by("starts_at")[0]
    try:
        with transaction.atomic():
            upgrade_plan(
                subscription=subscription,
                to_plan=Plan.objects.get(key=outgrown.upgrade_to),
                at=now,
                beyond=outgrown.beyond,
                now=now,
            )
    except OperationError as error:
        raise NotAdmitted(_refused(outgrown, error), now=now) from error
    return outgrown.upgrade_to


def _refused(outgrown: Refused, error: OperationError) -> Refused:
    return replace(
        outgrown,
        code="upgrade_refused",
        detail=f"{outgrown.detail} The customer cannot be moved to “{outgrown.upgrade_to}”:"
        f" {error}",
        numbers={**outgrown.numbers, "plan": outgrown.upgrade_to, "reason": error.code},
    )
