"""What the ingest takes at most; each bound can be set in the Django settings under its name."""

from datetime import datetime, timedelta

from django.conf import settings

from usage.ingest import Span


def batch_events_max() -> int:
    """Return the most events of one batch (`USAGE_BATCH_EVENTS_MAX`)."""
    return int(getattr(settings, "USAGE_BATCH_EVENTS_MAX", 10_000))


def body_bytes_max() -> int:
    """Return the most bytes of one request body (`USAGE_BODY_BYTES_MAX`)."""
    return int(getattr(settings, "USAGE_BODY_BYTES_MAX", 16 * 1024 * 1024))


def accepted_span(*, now: datetime) -> Span:
    """Return the event times that are accepted at `now`.

    `USAGE_EVENT_AGE_MAX` and `USAGE_EVENT_AHEAD_MAX` are timedeltas: 10 years and one day.
    """
    age: timedelta = getattr(settings, "USAGE_EVENT_AGE_MAX", timedelta(days=3653))
    ahead: timedelta = getattr(settings, "USAGE_EVENT_AHEAD_MAX", timedelta(days=1))
    return Span(now - age, now + ahead)
