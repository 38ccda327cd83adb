"""Mail the alerts of low balances that are stored. A failure is kept and tried again."""

from datetime import datetime, timedelta
from smtplib import SMTPException
from typing import Final

from django.core.mail import EmailMessage
from django.db.models import F, Q
from django.template.loader import render_to_string

from billing.models import LowBalanceAlert
from billing.wording import Quantity

CLAIM_LASTS: Final = timedelta(minutes=5)
PAUSE: Final = timedelta(minutes=1)
PAUSE_MAX: Final = timedelta(hours=1)
PAGE: Final = 500


def unsent_low_balances(*, now: datetime, limit: int = PAGE) -> list[int]:
    """Return the alerts that are to be mailed and that no worker has in hand, oldest first."""
    rows = LowBalanceAlert.objects.filter(_free(now), sent_at=None).order_by("pk")
    return list(rows.values_list("pk", flat=True)[:limit])


def send_low_balance(*, alert_id: int, now: datetime) -> bool:
    """Mail one alert, unless it is out or another worker has it; return whether it went out now.

    Where it cannot be sent the reason is kept, and it is tried again after a pause that doubles. A
    worker that dies after the mail has left sends it once more, under the same Message-ID.
    """
    waiting = LowBalanceAlert.objects.filter(_free(now), pk=alert_id, sent_at=None)
    if not waiting.update(claimed_until=now + CLAIM_LASTS):
        return False
    alert = LowBalanceAlert.objects.select_related("pool__customer").get(pk=alert_id)
    row = LowBalanceAlert.objects.filter(pk=alert_id)
    try:
        if alert.email:
            _message(alert).send()
    except (SMTPException, OSError) as error:
        pause = min(PAUSE * 2 ** min(alert.attempts, 10), PAUSE_MAX)
        row.update(
            claimed_until=now + pause,
            attempts=F("attempts") + 1,
            failure=f"{type(error).__name__}: {error}",
        )
        return False
    row.update(sent_at=now, claimed_until=None, failure="")
    return True


def _free(now: datetime) -> Q:
    return Q(claimed_until=None) | Q(claimed_until__lte=now)


def _message(alert: LowBalanceAlert) -> EmailMessage:
    pool = alert.pool
    context = {
        "pool": pool.name,
        "customer": pool.customer.name,
        "available": Quantity(alert.available, pool.unit_id),
        "threshold": Quantity(alert.threshold, pool.unit_id),
    }
    return EmailMessage(
        subject=f"{pool.customer.name}: {pool.name} is low",
        body=render_to_string("billing/mail/low_balance.txt", context),
        to=[alert.email],
        headers={
            "Message-ID": f"<low-balance-{alert.pk}-{alert.created_at:%Y%m%d%H%M%S}@tollgate>"
        },
    )
