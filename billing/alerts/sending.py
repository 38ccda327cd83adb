"""Mail the alerts that are stored, each customer's in order. A failure is kept and tried again."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from smtplib import SMTPException
from typing import Final

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db.models import F, Q
from django.template.loader import render_to_string

from billing.alerts.locks import claim_alerts
from billing.alerts.words import message_of
from billing.models import BudgetAlert

PAUSE: Final = timedelta(minutes=1)
PAUSE_MAX: Final = timedelta(hours=1)


def send_alerts(*, customer_id: int, now: datetime) -> int:
    """Send the unsent alerts of a customer in order; return how many are out.

    The first that cannot be sent stops the others, so that they stay in order; all are tried again
    after a pause that doubles. A worker that dies after the mail has left and before that is noted
    sends it once more, under the same Message-ID.
    """
    claimed = claim_alerts(customer_id=customer_id, now=now)
    for sent, alert in enumerate(claimed):
        try:
            _mail(alert)
        except (SMTPException, OSError) as error:
            _put_off(claimed[sent:], reason=f"{type(error).__name__}: {error}", now=now)
            return sent
        BudgetAlert.objects.filter(pk=alert.pk).update(sent_at=now, claimed_until=None, failure="")
    return len(claimed)


def customers_to_tell(*, now: datetime, limit: int) -> list[int]:
    """Return customers with alerts that are to be sent and that no worker has in hand."""
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    rows = BudgetAlert.objects.filter(free, sent_at=None).order_by("customer_id")
    return list(rows.values_list("customer_id", flat=True).distinct()[:limit])


def _mail(alert: BudgetAlert) -> None:
    if not alert.email:
        return
    message = message_of(alert)
    context = {
        "message": message,
        "customer": alert.customer.name,
        "link": f"{settings.PUBLIC_URL}/portal/spend/" if settings.PUBLIC_URL else "",
    }
    mail = EmailMultiAlternatives(
        subject=message.subject,
        body=render_to_string("billing/mail/budget_alert.txt", context),
        to=[alert.email],
        headers={
            "Message-ID": f"<budget-alert-{alert.pk}-{alert.created_at:%Y%m%d%H%M%S}@tollgate>"
        },
    )
    mail.attach_alternative(
        render_to_string("billing/mail/budget_alert.html", context), "text/html"
    )
    mail.send()


def _put_off(alerts: Sequence[BudgetAlert], *, reason: str, now: datetime) -> None:
    first = alerts[0]
    pause = min(PAUSE * 2 ** min(first.attempts, 10), PAUSE_MAX)
    ids = [alert.pk for alert in alerts]
    BudgetAlert.objects.filter(pk__in=ids).update(claimed_until=now + pause)
    BudgetAlert.objects.filter(pk=first.pk).update(attempts=F("attempts") + 1, failure=reason)
