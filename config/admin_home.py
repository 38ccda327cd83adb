"""The admin's home page: a queue of work for finance.

Each provider answers for one kind of work and makes one read; ``PROVIDERS`` lists them in the
order of the page. A provider returns None for a person who may not see that work.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, TypeVar

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from billing.queries.work import (
    Waiting,
    credit_requests_waiting,
    parked_statements,
    statements_in_review,
    unpriced_usage,
)
from billing.wording import Quantity
from plans.models import PlanVersion
from plans.reviews import (
    awaiting_approval,
    awaiting_publication,
    drafts_waiting,
    sent_back_to,
)
from usage.models import QuarantinedEvent

_SHOWN: Final = 5
_COUNTED: Final = 50
_UNPRICED_OF: Final = timedelta(days=62)

Found = TypeVar("Found")


class Row(NamedTuple):
    """One piece of work; ``retry`` is the page that tries it again."""

    title: str
    detail: str
    link: str = ""
    retry: str = ""


class WorkQueue(NamedTuple):
    """One kind of work: how much waits ("50+" where there is more), its list, its first rows."""

    title: str
    counted: str
    link: str
    rows: Sequence[Row]
    quiet: str = "Nothing waits."


Provider = Callable[[HttpRequest], WorkQueue | None]


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
                detail=f"{each.reason} Since {_day(each.requested_at)}, "
                f"by {each.requested_by.get_username()}",
                link=_link("billing_creditrequest_change", pk=each.pk),
            )
            for each in shown
        ],
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


PROVIDERS: list[Provider] = [
    to_approve,
    to_publish,
    sent_back,
    drafts,
    statements_to_review,
    credit_to_approve,
    parked_customers,
    quarantined_events,
    unpriced,
]


def _first(rows: Iterable[Found]) -> tuple[list[Found], str]:
    found = list(rows)
    return found[:_SHOWN], _counted(len(found), has_more=len(found) > _COUNTED)


def _counted(rows: int, *, has_more: bool) -> str:
    return f"{_COUNTED}+" if has_more else str(rows)


def _link(view: str, query: str = "", *, pk: int | None = None) -> str:
    """Return an admin page's address; "" where that page is not there."""
    try:
        address = reverse(f"admin:{view}", args=[] if pk is None else [pk])
    except NoReverseMatch:
        return ""
    return f"{address}?{query}" if query else address


def _day(at: datetime) -> str:
    return f"{at.astimezone(UTC):%d %B %Y}"
