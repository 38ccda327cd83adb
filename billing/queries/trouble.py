"""What of jobs, alerts and webhooks waits for a person, as rows for the queue on the home page."""

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q, QuerySet

from billing.models import BudgetAlert, TopUp, WebhookEndpoint
from usage.models import Job

SILENT_WITHIN: Final = timedelta(minutes=5)


def jobs_falling_silent(*, now: datetime) -> "QuerySet[Job]":
    """Return the open jobs that expire within five minutes unless they report, soonest first."""
    jobs = Job.objects.filter(ended_at=None, silent_at__lte=now + SILENT_WITHIN)
    return jobs.select_related("customer").order_by("silent_at")


def endpoints_in_trouble() -> "QuerySet[WebhookEndpoint]":
    """Return the endpoints whose messages fail or that were disabled by it, oldest first."""
    failing = Q(failing_since__isnull=False)
    return WebhookEndpoint.objects.filter(failing).select_related("customer").order_by("pk")


def alerts_in_trouble() -> "QuerySet[BudgetAlert]":
    """Return the alerts that could not be mailed at least once and wait, oldest first."""
    alerts = BudgetAlert.objects.filter(sent_at=None, attempts__gt=0)
    return alerts.select_related("customer").order_by("pk")


def top_ups_in_trouble() -> "QuerySet[TopUp]":
    """Return the top-ups that failed since their last success, also those disabled by it."""
    return TopUp.objects.filter(failures__gt=0).select_related("pool__customer").order_by("pk")
