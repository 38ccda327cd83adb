"""Send what is due to endpoints, signed by Standard Webhooks, and keep what was answered.

Every message goes out at least once; a receiver knows one that it had by its ``webhook-id``.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx
from django.db import transaction
from standardwebhooks import Webhook

from billing.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from billing.webhooks import locks
from billing.webhooks.endpoints import rules_now
from billing.webhooks.guard import AddressRefused, resolve

# https://github.com/standard-webhooks/standard-webhooks: what passes after each failed attempt.
SCHEDULE: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
DISABLE_AFTER: Final = timedelta(days=5)
BATCH: Final = 20
ANSWER_BYTES_MAX: Final = 2000
ANSWER_SECONDS_MAX: Final = 15
TIMEOUT: Final = httpx.Timeout(10, connect=5)
GONE: Final = 410

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of an attempt; ``status_code`` is None where there was no answer."""

    at: datetime
    address: str = ""
    headers: dict[str, str]
    duration_ms: int = 0
    status_code: int | None = None
    answer: str = ""
    error: str = ""

    @property
    def is_success(self) -> bool:
        """Say whether the receiver took the message."""
        return self.status_code is not None and 200 <= self.status_code < 300


def deliver_due(*, clock: Clock, limit: int = BATCH) -> int:
    """Send what is due, and return how many attempts were made; 0 says that nothing waits.

    After one failure the endpoint's other messages of the batch are left for the next one.
    """
    claimed = locks.claim_deliveries(now=clock(), limit=limit)
    failed: set[int] = set()
    with httpx.Client(timeout=TIMEOUT, trust_env=False, follow_redirects=False) as client:
        for delivery in claimed:
            if delivery.endpoint_id in failed:
                _give_back(delivery, now=clock())
                continue
            outcome = attempt(delivery, client=client, clock=clock)
            record(delivery, outcome)
            if not outcome.is_success:
                failed.add(delivery.endpoint_id)
    return len(claimed)


def attempt(delivery: WebhookDelivery, *, client: httpx.Client, clock: Clock) -> Outcome:
    """Send a message once and return what came of it. Nothing is written."""
    at, started = clock(), time.monotonic()
    headers = signed_headers(delivery, at=at)
    try:
        target = resolve(delivery.endpoint.url, rules=rules_now())
    except (AddressRefused, OSError) as error:
        return Outcome(at=at, headers=headers, error=str(error))
    try:
        with client.stream(
            "POST",
            target.url,
            content=delivery.event.payload.encode(),
            headers={**headers, "Host": target.host_header},
            extensions={"sni_hostname": target.host},
        ) as response:
            answer = _first_bytes(response, started=started)
    except httpx.HTTPError as error:
        return Outcome(
            at=at,
            address=target.address,
            headers=headers,
            duration_ms=_ms_since(started),
            error=f"{type(error).__name__}: {error}",
        )
    return Outcome(
        at=at,
        address=target.address,
        headers=headers,
        duration_ms=_ms_since(started),
        status_code=response.status_code,
        answer=answer,
    )


def signed_headers(delivery: WebhookDelivery, *, at: datetime) -> dict[str, str]:
    """Return the headers of a message, signed with every secret that is valid at that time."""
    endpoint, event = delivery.endpoint, delivery.event
    secrets = [endpoint.secret]
    if endpoint.previous_until is not None and at < endpoint.previous_until:
        secrets.append(endpoint.previous_secret)
    stamp = at.astimezone(UTC)
    signatures = [Webhook(each).sign(event.message_id, stamp, event.payload) for each in secrets]
    return {
        "webhook-id": event.message_id,
        "webhook-timestamp": str(int(stamp.timestamp())),
        "webhook-signature": " ".join(signatures),
        "content-type": "application/json",
        "accept-encoding": "identity",
        "user-agent": "Tollgate-Webhooks/1",
    }


@transaction.atomic
def record(delivery: WebhookDelivery, outcome: Outcome) -> None:
    """Keep an attempt, and when the next one is; an endpoint that failed for days is disabled.

    Where a worker was so slow that another took the delivery over, only the log is kept.
    """
    WebhookAttempt.objects.create(
        delivery=delivery,
        at=outcome.at,
        address=outcome.address,
        headers={
            name: text for name, text in outcome.headers.items() if name.startswith("webhook")
        },
        duration_ms=outcome.duration_ms,
        status_code=outcome.status_code,
        answer=outcome.answer,
        error=outcome.error,
    )
    ours = WebhookDelivery.objects.filter(pk=delivery.pk, claimed_until=delivery.claimed_until)
    made = delivery.attempts + 1
    if outcome.is_success:
        ours.update(status="delivered", attempts=made, claimed_until=None, ended_at=outcome.at)
    elif made > len(SCHEDULE):
        ours.update(status="failed", attempts=made, claimed_until=None, ended_at=outcome.at)
    else:
        again = outcome.at + pause_after(made, seed=delivery.pk)
        ours.update(attempts=made, claimed_until=None, next_at=again)
    _note_health(delivery.endpoint_id, outcome)


def pause_after(attempts: int, *, seed: int) -> timedelta:
    """Return what passes after so many failed attempts, with up to a tenth more to spread them."""
    spread = (seed * 7919 + attempts * 104_729) % 100
    return SCHEDULE[attempts - 1] * (1000 + spread) / 1000


def _note_health(endpoint_id: int, outcome: Outcome) -> None:
    live = WebhookEndpoint.objects.filter(pk=endpoint_id, disabled_at=None)
    if outcome.is_success:
        live.filter(failing_since__isnull=False).update(failing_since=None)
        return
    live.filter(failing_since=None).update(failing_since=outcome.at)
    if outcome.status_code == GONE:
        live.update(disabled_at=outcome.at, disabled_reason="It answered 410 Gone.")
        return
    since = outcome.at - DISABLE_AFTER
    reason = f"It has failed for {DISABLE_AFTER.days} days."
    live.filter(failing_since__lte=since).update(disabled_at=outcome.at, disabled_reason=reason)


def _give_back(delivery: WebhookDelivery, *, now: datetime) -> None:
    rows = WebhookDelivery.objects.filter(pk=delivery.pk, claimed_until=delivery.claimed_until)
    rows.update(claimed_until=None, next_at=now + SCHEDULE[0])


def _first_bytes(response: httpx.Response, *, started: float) -> str:
    found = b""
    for piece in response.iter_raw():
        found += piece
        late = time.monotonic() - started > ANSWER_SECONDS_MAX
        if len(found) >= ANSWER_BYTES_MAX or late:
            break
    return found[:ANSWER_BYTES_MAX].decode("utf-8", "replace").replace("\x00", "")


def _ms_since(started: float) -> int:
    return int((time.monotonic() - started) * 1000)
