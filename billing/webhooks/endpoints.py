"""Make, change and end the endpoints that are told of events, and send them things by hand."""

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from django.conf import settings
from django.db import transaction

from billing.models import EventType, WebhookDelivery, WebhookEndpoint, WebhookEvent
from billing.webhooks import locks
from billing.webhooks.guard import Rules, check_url
from plans.errors import OperationError
from plans.models import Customer
from usage.horizon import current_horizon

OLD_SECRET_LASTS: Final = timedelta(hours=24)
SECRET_BYTES: Final = 32


class EndpointInvalid(OperationError):
    """What was said about an endpoint cannot be."""

    code = "endpoint_invalid"


class EndpointDisabled(OperationError):
    """Nothing is sent to a disabled endpoint."""

    code = "endpoint_disabled"


class StillUnderWay(OperationError):
    """The delivery waits for its next attempt already."""

    code = "still_under_way"


def rules_now() -> Rules:
    """Return where webhooks may go by the settings."""
    return Rules(allows_http=settings.DEBUG, private_hosts=settings.WEBHOOK_PRIVATE_HOSTS)


def create_endpoint(
    *,
    customer: Customer | None,
    url: str,
    event_types: Sequence[str],
    description: str = "",
    now: datetime,
) -> tuple[WebhookEndpoint, str]:
    """Make an endpoint, of one customer or of all; return it with its secret, shown this once.

    It is told of what happens from now on. Raises EndpointInvalid, AddressRefused.
    """
    _check(url, event_types)
    endpoint = WebhookEndpoint.objects.create(
        customer=customer,
        url=url,
        event_types=sorted(set(event_types)),
        description=description.strip(),
        secret=_new_secret(),
        jobs_horizon=current_horizon(),
        created_at=now,
    )
    return endpoint, endpoint.secret


@transaction.atomic
def change_endpoint(
    *, endpoint_id: int, url: str, event_types: Sequence[str], description: str
) -> WebhookEndpoint:
    """Change where an endpoint is and what it is told of.

    Raises EndpointInvalid, AddressRefused.
    """
    _check(url, event_types)
    row = locks.endpoint(endpoint_id=endpoint_id)
    if (
        EventType.JOB_SETTLED not in row.event_types
        and EventType.JOB_EXPIRED not in row.event_types
    ):
        row.jobs_horizon = current_horizon()
    row.url, row.description = url, description.strip()
    row.event_types = sorted(set(event_types))
    row.save(update_fields=["url", "description", "event_types", "jobs_horizon"])
    return row


@transaction.atomic
def rotate_secret(*, endpoint_id: int, now: datetime) -> str:
    """Give an endpoint a new secret and return it, shown this once.

    For 24 hours messages are signed with both, so that a receiver can change without losing one.
    """
    row = locks.endpoint(endpoint_id=endpoint_id)
    row.previous_secret, row.previous_until = row.secret, now + OLD_SECRET_LASTS
    row.secret = _new_secret()
    row.save(update_fields=["previous_secret", "previous_until", "secret"])
    return row.secret


@transaction.atomic
def disable_endpoint(*, endpoint_id: int, reason: str, now: datetime) -> bool:
    """Send an endpoint nothing from now on; return False where it was disabled before."""
    row = locks.endpoint(endpoint_id=endpoint_id)
    if row.disabled_at is not None:
        return False
    row.disabled_at, row.disabled_reason = now, reason
    row.save(update_fields=["disabled_at", "disabled_reason"])
    return True


@transaction.atomic
def enable_endpoint(*, endpoint_id: int) -> bool:
    """Send to an endpoint again, first what waited; False where it was not disabled.

    What happened meanwhile is not told.
    """
    row = locks.endpoint(endpoint_id=endpoint_id)
    if row.disabled_at is None:
        return False
    row.disabled_at, row.disabled_reason, row.failing_since = None, "", None
    row.jobs_horizon = current_horizon()
    row.save(update_fields=["disabled_at", "disabled_reason", "failing_since", "jobs_horizon"])
    return True


@transaction.atomic
def replay_delivery(*, delivery_id: int, now: datetime) -> WebhookDelivery:
    """Send a message that was delivered or given up once more, under the same message id.

    Raises StillUnderWay, EndpointDisabled.
    """
    row = locks.delivery(delivery_id=delivery_id)
    if row.status == WebhookDelivery.Status.PENDING and row.attempts == 0:
        raise StillUnderWay("The message is about to be sent already.")
    if row.endpoint.disabled_at is not None:
        raise EndpointDisabled(f"{row.endpoint.url} is disabled. Enable it first.")
    row.status, row.attempts = WebhookDelivery.Status.PENDING, 0
    row.next_at, row.claimed_until, row.ended_at = now, None, None
    row.save(update_fields=["status", "attempts", "next_at", "claimed_until", "ended_at"])
    return row


@transaction.atomic
def send_test(*, endpoint: WebhookEndpoint, now: datetime) -> WebhookDelivery:
    """Send an endpoint a message of the type ``endpoint.test``. Raises EndpointDisabled."""
    if endpoint.disabled_at is not None:
        raise EndpointDisabled(f"{endpoint.url} is disabled. Enable it first.")
    event = WebhookEvent.objects.create(
        key=f"{EventType.TEST}:{uuid4().hex}",
        type=EventType.TEST,
        customer=endpoint.customer,
        happened_at=now,
        payload=f'{{"type":"{EventType.TEST.value}","timestamp":"{now.isoformat()}","data":{{}}}}',
    )
    return WebhookDelivery.objects.create(event=event, endpoint=endpoint, next_at=now)


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _check(url: str, event_types: Sequence[str]) -> None:
    if not event_types or not set(event_types) <= set(EventType.values):
        raise EndpointInvalid("Choose what the endpoint is told of.", field="event_types")
    check_url(url, rules=rules_now())
