"""Claims on what is to be sent, and the locks of endpoints. Each is taken in a transaction."""

from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction

from billing.models import WebhookDelivery, WebhookEndpoint

CLAIM_LASTS: Final = timedelta(minutes=5)

_CLAIM = """
UPDATE billing_webhookdelivery d SET claimed_until = %(until)s
FROM (SELECT d.id FROM billing_webhookdelivery d
      JOIN billing_webhookendpoint e ON e.id = d.endpoint_id
      WHERE d.status = 'pending' AND d.next_at <= %(now)s AND e.disabled_at IS NULL
        AND (d.claimed_until IS NULL OR d.claimed_until <= %(now)s)
      ORDER BY d.next_at, d.id LIMIT %(limit)s FOR NO KEY UPDATE OF d SKIP LOCKED) AS ready
WHERE d.id = ready.id RETURNING d.id
"""


@transaction.atomic
def claim_deliveries(*, now: datetime, limit: int) -> list[WebhookDelivery]:
    """Claim deliveries that are due and that no other worker has, in the order they came about."""
    values: dict[str, Any] = {"now": now, "until": now + CLAIM_LASTS, "limit": limit}
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, values)
        ids = [row[0] for row in cursor.fetchall()]
    rows = WebhookDelivery.objects.filter(pk__in=ids).select_related("event", "endpoint")
    return list(rows.order_by("event_id", "pk"))


def endpoint(*, endpoint_id: int) -> WebhookEndpoint:
    """Lock an endpoint's row."""
    return WebhookEndpoint.objects.select_for_update(of=("self",)).get(pk=endpoint_id)


def delivery(*, delivery_id: int) -> WebhookDelivery:
    """Lock a delivery's row."""
    return WebhookDelivery.objects.select_for_update(of=("self",)).get(pk=delivery_id)


def endpoints_of_jobs(*, types: list[str]) -> list[WebhookEndpoint]:
    """Lock the live endpoints that ask for one of these types and that nobody else has locked."""
    rows = WebhookEndpoint.objects.filter(event_types__overlap=types, disabled_at=None)
    return list(rows.select_for_update(of=("self",), skip_locked=True).order_by("pk"))
