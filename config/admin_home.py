"""The admin's home page: a queue of work for finance.

Each provider answers for one kind of work and makes one read; ``PROVIDERS`` lists them in the
order of the page. A provider returns None for a person who may not see that work.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.http import HttpRequest
from django.utils import timezone

from billing.queries.credit_page import amount_in
from billing.queries.trouble import (
    alerts_in_trouble,
    endpoints_in_trouble,
    jobs_falling_silent,
    top_ups_in_trouble,
)
from billing.queries.work import (
    Waiting,
    credit_requests_waiting,
    grants_awaiting_payment,
    parked_statements,
    statements_in_review,
    unpriced_usage,
)
from billing.wording import Money, Quantity
from config.admin_queue import COUNTED as _COUNTED
from config.admin_queue import SHOWN as _SHOWN
from config.admin_queue import Provider, Row, WorkQueue
from config.admin_queue import counted as _counted
from config.admin_queue import day as _day
from config.admin_queue import first as _first
from config.admin_queue import link as _link
from plans.models import PlanVersion
from plans.reviews import (
    awaiting_approval,
    awaiting_publication,
    drafts_waiting,
    sent_back_to,
)
from usage.models import Outcome, QuarantinedEvent
from usage.outcome_queries import awaiting_reviewer, open_disputes

_UNPRICED_OF: Final = timedelta(days=62)


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the queues of work to the home page."""
    found = (provider(request) for provider in PROVIDERS)
    context["queues"] = [queue for queue in found if queue is not None]
    context["title"] = "What is to be done"
    return context


def to_approve(request: HttpRequest) -> WorkQueue | None:
    """Return the versions that wait for an approver."""
    if not request.user.has_perm("plans.publish_planversion"):
        return None
    shown, counted = _first(awaiting_approval()[: _COUNTED + 1])
    return WorkQueue(
        title="Versions awaiting approval",
        counted=counted,
        link=_link("plans_planversion_changelist", "status=submitted"),
        rows=[_version_row(each, since=each.submitted_at, by=each.submitted_by) for each in shown],
    )


def to_publish(request: HttpRequest) -> WorkQueue | None:
    """Return the versions that are approved and not published."""
    if not request.user.has_perm("plans.publish_planversion"):
        return None
    shown, counted = _first(awaiting_publication()[: _COUNTED + 1])
    return WorkQueue(
        title="Approved versions to publish",
        counted=counted,
        link=_link("plans_planversion_changelist", "status=approved"),
        rows=[_version_row(each, since=each.approved_at, by=each.approved_by) for each in shown],
    )


def sent_back(request: HttpRequest) -> WorkQueue | None:
    """Return the person's own versions that came back, with what was said."""
    author = request.user.pk
    if author is None or not request.user.has_perm("plans.change_planversion"):
        return None
    shown: list[Any]
    shown, counted = _first(sent_back_to(author_id=author)[: _COUNTED + 1])
    return WorkQueue(
        title="Changes requested of you",
        counted=counted,
        link=_link("plans_planversion_changelist", "status=draft"),
        rows=[_version_row(each, since=each.created_at)._replace(detail=each.asked)
              for each in shown],
    )  # fmt: skip


def drafts(request: HttpRequest) -> WorkQueue | None:
    """Return the drafts that are to be submitted."""
    if not request.user.has_perm("plans.change_planversion"):
        return None
    shown, counted = _first(drafts_waiting()[: _COUNTED + 1])
    return WorkQueue(
        title="Drafts to submit",
        counted=counted,
        link=_link("plans_planversion_changelist", "status=draft"),
        rows=[_version_row(each, since=each.created_at, by=each.created_by) for each in shown],
    )


def _version_row(version: PlanVersion, *, since: datetime | None, by: Any = None) -> Row:
    assert since is not None
    return Row(
        title=f"{version.plan.name}, version {version.number}",
        detail=f"Since {_day(since)}" + (f", by {by.get_username()}" if by else ""),
        link=_link("plans_planversion_change", pk=version.pk),
    )


def statements_to_review(request: HttpRequest) -> WorkQueue | None:
    """Return the statements that a person must approve, those due first on top."""
    if not request.user.has_perm("billing.view_statement"):
        return None
    found = statements_in_review(limit=_COUNTED)
    return WorkQueue(
        title="Statements to review",
        counted=_counted(len(found.rows), has_more=found.has_more),
        link=_link("billing_statement_changelist", "status__exact=review"),
        rows=[
            Row(
                title=f"{each.head.customer_name}, {each.head.total}",
                detail=f"{each.head.span} ({each.head.zone}), due on {each.head.final_from}",
                link=_link("billing_statement_change", pk=each.head.id),
            )
            for each in found.rows[:_SHOWN]
        ],
    )


def credit_to_approve(request: HttpRequest) -> WorkQueue | None:
    """Return the credit that waits for a second person, the longest waiting on top."""
    if not request.user.has_perm("billing.approve_creditrequest"):
        return None
    shown, counted = _first(credit_requests_waiting()[: _COUNTED + 1])
    return WorkQueue(
        title="Credit awaiting approval",
        counted=counted,
        link=_link("billing_creditrequest_changelist", "status__exact=requested"),
        rows=[
            Row(
                title=f"{each.pool.customer.name}, {each.get_kind_display().lower()} of "
                f"{Quantity(each.amount, each.pool.unit_id)}",
                detail=f"{each.reason} Since {_day(each.requested_at)}, by {each.asker}",
                link=_link("billing_creditrequest_change", pk=each.pk),
            )
            for each in shown
        ],
    )


def credit_to_be_paid(request: HttpRequest) -> WorkQueue | None:
    """Return the credit that waits for its payment, the longest waiting on top."""
    if not request.user.has_perm("billing.add_creditgrant"):
        return None
    shown, counted = _first(grants_awaiting_payment()[: _COUNTED + 1])
    return WorkQueue(
        title="Credit waiting for its payment",
        counted=counted,
        link=_link("billing_creditpool_changelist"),
        rows=[
            Row(
                title=f"{each.pool.customer.name}, {amount_in(each.amount, each.pool.unit)}",
                detail=f"{Money(each.cost, each.currency)} since {_day(each.effective_at)}"
                if each.cost
                else f"Since {_day(each.effective_at)}",
                link=_link("billing_creditpool_paid", pk=each.pool_id),
            )
            for each in shown
        ],
        quiet="All credit that needs payment is paid.",
    )


def parked_customers(request: HttpRequest) -> WorkQueue | None:
    """Return the customers whose statement was set aside, with the reason."""
    if not request.user.has_perm("billing.view_statement"):
        return None
    found = parked_statements(limit=_COUNTED)
    may_retry = request.user.has_perm("billing.finalise_statement")
    return WorkQueue(
        title="Parked customers",
        counted=_counted(len(found.rows), has_more=found.has_more),
        link=_link("billing_statement_changelist", "parked_at__isempty=0"),
        rows=[_parked(each, may_retry=may_retry) for each in found.rows[:_SHOWN]],
        quiet="No customer is set aside.",
    )


def _parked(each: Waiting, *, may_retry: bool) -> Row:
    return Row(
        title=f"{each.head.customer_name}, {each.head.span}",
        detail=each.reason,
        link=_link("billing_statement_change", pk=each.head.id),
        retry=_link("billing_statement_retry", pk=each.head.id) if may_retry else "",
    )


def quarantined_events(request: HttpRequest) -> WorkQueue | None:
    """Return the events that could not be taken, with the reason."""
    if not request.user.has_perm("usage.view_quarantinedevent"):
        return None
    waiting = QuarantinedEvent.objects.filter(replayed_at=None, dismissed_at=None).order_by("id")
    shown, counted = _first(waiting[: _COUNTED + 1])
    return WorkQueue(
        title="Quarantined events",
        counted=counted,
        link=_link("usage_quarantinedevent_changelist"),
        rows=[
            Row(
                title=f"{event.source}, {event.event_id}",
                detail=event.reason,
                link=_link("usage_quarantinedevent_change", pk=event.pk),
            )
            for event in shown
        ],
        quiet="Every event was taken.",
    )


def unpriced(request: HttpRequest) -> WorkQueue | None:
    """Return the usage of the last two months' statements that no plan prices."""
    if not request.user.has_perm("billing.view_statement"):
        return None
    now = timezone.now()
    found = unpriced_usage(start=now - _UNPRICED_OF, end=now, limit=_COUNTED + 1)
    return WorkQueue(
        title="Usage without a price",
        counted=_counted(len(found), has_more=len(found) > _COUNTED),
        link=_link("plans_meter_changelist"),
        rows=[
            Row(
                title=each.meter_name,
                detail=f"{each.quantity} of {each.customers} "
                f"customer{'' if each.customers == 1 else 's'}, whose plans do not price it",
                link=_link("plans_meter_changelist", f"q={each.meter_key}"),
            )
            for each in found[:_SHOWN]
        ],
        quiet="All usage of the last two months has a price.",
    )


def holds_about_to_expire(request: HttpRequest) -> WorkQueue | None:
    """Return the running jobs that expire within minutes unless they report."""
    if not request.user.has_perm("usage.view_job"):
        return None
    shown, counted = _first(jobs_falling_silent(now=timezone.now())[: _COUNTED + 1])
    return WorkQueue(
        title="Holds about to expire",
        counted=counted,
        link=_link("usage_job_changelist", "state__exact=running"),
        rows=[
            Row(
                title=f"{job.customer.name}, {job.key}",
                detail=f"{_held(job)}, expires at {job.silent_at.astimezone(UTC):%H:%M} UTC",
                link=_link("usage_job_change", pk=job.pk),
            )
            for job in shown
        ],
        quiet="Every job has reported of late.",
    )


def _held(job: Any) -> str:
    return f"{Money(job.held.normalize() + 0, job.customer.currency)} held"


def failing_webhooks(request: HttpRequest) -> WorkQueue | None:
    """Return the endpoints whose messages do not arrive, and those disabled by that."""
    if not request.user.has_perm("billing.view_webhookendpoint"):
        return None
    shown, counted = _first(endpoints_in_trouble()[: _COUNTED + 1])
    return WorkQueue(
        title="Failing webhooks",
        counted=counted,
        link=_link("billing_webhookendpoint_changelist"),
        rows=[
            Row(
                title=f"{each.customer.name if each.customer else 'Every customer'}, {each.url}",
                detail=each.disabled_reason or _failing(each.failing_since),
                link=_link("billing_webhookendpoint_change", pk=each.pk),
            )
            for each in shown
        ],
        quiet="All webhooks arrive.",
    )


def _failing(since: datetime | None) -> str:
    return f"It has failed since {_day(since)}" if since else ""


def unsent_alerts(request: HttpRequest) -> WorkQueue | None:
    """Return the alerts of budgets that could not be mailed yet."""
    if not request.user.has_perm("billing.view_budgetalert"):
        return None
    shown, counted = _first(alerts_in_trouble()[: _COUNTED + 1])
    return WorkQueue(
        title="Alerts that could not be mailed",
        counted=counted,
        link=_link("billing_budgetalert_changelist", "sent_at__isempty=1"),
        rows=[
            Row(
                title=f"{each.customer.name}, {each.email}",
                detail=each.failure,
                link=_link("billing_budgetalert_change", pk=each.pk),
            )
            for each in shown
        ],
        quiet="All alerts are out.",
    )


def failing_top_ups(request: HttpRequest) -> WorkQueue | None:
    """Return the top-ups that could not buy a pack, with the reason."""
    if not request.user.has_perm("billing.view_creditpool"):
        return None
    shown, counted = _first(top_ups_in_trouble()[: _COUNTED + 1])
    return WorkQueue(
        title="Failing top-ups",
        counted=counted,
        link=_link("billing_creditpool_changelist"),
        rows=[
            Row(
                title=f"{each.pool.customer.name}, {each.pool.name}",
                detail=("Disabled: " if each.disabled_at else "") + each.failure,
                link=_link("billing_creditpool_change", pk=each.pool_id),
            )
            for each in shown
        ],
        quiet="Every top-up works.",
    )


def outcomes_to_verify(request: HttpRequest) -> WorkQueue | None:
    """Return the outcomes that a reviewer must look at, those due first on top."""
    if not request.user.has_perm("usage.review_outcome"):
        return None
    shown, counted = _first(awaiting_reviewer()[: _COUNTED + 1])
    return WorkQueue(
        title="Outcomes to verify",
        counted=counted,
        link=_link("usage_outcome_changelist", "state__exact=pending"),
        rows=[_outcome_row(each, until=each.verify_by) for each in shown],
    )


def disputes(request: HttpRequest) -> WorkQueue | None:
    """Return the disputes that finance must decide."""
    if not request.user.has_perm("usage.decide_outcome"):
        return None
    shown, counted = _first(open_disputes()[: _COUNTED + 1])
    return WorkQueue(
        title="Disputes to decide",
        counted=counted,
        link=_link("usage_outcome_changelist", "state__exact=disputed"),
        rows=[_outcome_row(each, until=None) for each in shown],
    )


def _outcome_row(outcome: Outcome, *, until: datetime | None) -> Row:
    said = f"{outcome.customer.name}, of {_day(outcome.happened_at)}"
    return Row(
        title=f"{outcome.contract.name}, “{outcome.key}”",
        detail=said + (f", until {_day(until)}" if until else ""),
        link=_link("usage_outcome_change", pk=outcome.pk),
    )


PROVIDERS: list[Provider] = [
    to_approve,
    to_publish,
    sent_back,
    drafts,
    statements_to_review,
    credit_to_approve,
    credit_to_be_paid,
    parked_customers,
    outcomes_to_verify,
    disputes,
    quarantined_events,
    unpriced,
    holds_about_to_expire,
    failing_webhooks,
    unsent_alerts,
    failing_top_ups,
]
