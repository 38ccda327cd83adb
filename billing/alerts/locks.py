"""Claims on alerts to be sent: one worker at a time sends those of a customer, in order."""

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from billing.locks import lock_customers
from billing.models import BudgetAlert

CLAIM_LASTS: Final = timedelta(minutes=5)


@transaction.atomic
def claim_alerts(*, customer_id: int, now: datetime) -> list[BudgetAlert]:
    """Claim all unsent alerts of a customer, oldest first; none where another worker has any.

    A worker that dies gives them back by letting the claim pass.
    """
    lock_customers(customer_ids=[customer_id])
    rows = BudgetAlert.objects.filter(customer_id=customer_id, sent_at=None).order_by("pk")
    alerts = list(rows.select_related("customer", "workspace"))
    if any(alert.claimed_until is not None and alert.claimed_until > now for alert in alerts):
        return []
    rows.order_by().update(claimed_until=now + CLAIM_LASTS)
    return alerts
