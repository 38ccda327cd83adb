"""The admin's home page: a queue of work for finance.

Each provider answers for one kind of work and makes one read; ``PROVIDERS`` lists them in the
order of the page. A provider returns None for a person who may not see that work.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_POST

from billing.models import Statement
from billing.runs import retry_parked
from plans.pricelist import drafts_waiting
from usage.models import QuarantinedEvent

_SHOWN: Final = 5
_COUNTED: Final = 1000


class Row(NamedTuple):
    """One piece of work. ``retry`` is an address that takes a POST to try it again."""

    title: str
    detail: str
    link: str = ""
    retry: str = ""


class WorkQueue(NamedTuple):
    """One kind of work: how much there is (counted to 1,000), its list, and its first rows."""

    title: str
    waiting: int
    link: str
    rows: Sequence[Row]
    quiet: str = "Nothing waits."

    @property
    def counted(self) -> str:
        """Return the count as it is shown."""
        return f"{_COUNTED:,}+" if self.waiting >= _COUNTED else f"{self.waiting:,}"


Provider = Callable[[HttpRequest], WorkQueue | None]


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the queues of work to the home page."""
    found = (provider(request) for provider in PROVIDERS)
    context["queues"] = [queue for queue in found if queue is not None]
    context["title"] = "What is to be done"
    return context


def drafts(request: HttpRequest) -> WorkQueue | None:
    """Return the drafts that wait for publication."""
    if not request.user.has_perm("plans.view_planversion"):
        return None
    rows = drafts_waiting()
    return WorkQueue(
        title="Drafts awaiting publication",
        waiting=rows[:_COUNTED].count(),
        link=_link("plans_planversion_changelist", "status=draft"),
        rows=[
            Row(
                title=f"{draft.plan.name}, version {draft.number}",
                detail=f"Since {_day(draft.created_at)}"
                + (f", by {draft.created_by.get_username()}" if draft.created_by else ""),
                link=_link("plans_planversion_change", pk=draft.pk),
            )
            for draft in rows[:_SHOWN]
        ],
    )


def statements_to_review(request: HttpRequest) -> WorkQueue | None:
    """Return the statements that a person must approve, those due first on top."""
    if not request.user.has_perm("billing.view_statement"):
        return None
    rows = Statement.objects.filter(status=Statement.Status.REVIEW, parked_at=None)
    return WorkQueue(
        title="Statements to review",
        waiting=rows[:_COUNTED].count(),
        link=_link("billing_statement_changelist", "status__exact=review"),
        rows=[
            Row(
                title=f"{each.customer.name}, {each.total:,.2f} {each.currency}",
                detail=f"{_day(each.period_start)} to {_day(each.period_end)} UTC, "
                f"to be finalised on {_day(each.finalise_due_at)}",
                link=_link("billing_statement_change", pk=each.pk),
            )
            for each in rows.select_related("customer").order_by("finalise_due_at")[:_SHOWN]
        ],
    )


def parked_customers(request: HttpRequest) -> WorkQueue | None:
    """Return the customers whose statement was set aside, with the reason."""
    if not request.user.has_perm("billing.view_statement"):
        return None
    rows = Statement.objects.filter(parked_at__isnull=False)
    return WorkQueue(
        title="Parked customers",
        waiting=rows[:_COUNTED].count(),
        link=_link("billing_statement_changelist", "parked_at__isempty=0"),
        rows=[
            Row(
                title=each.customer.name,
                detail=each.parked_reason,
                link=_link("billing_statement_change", pk=each.pk),
                retry=_retry(request, each),
            )
            for each in rows.select_related("customer").order_by("parked_at")[:_SHOWN]
        ],
        quiet="No customer is set aside.",
    )


def quarantined_events(request: HttpRequest) -> WorkQueue | None:
    """Return the events that could not be taken, with the reason."""
    if not request.user.has_perm("usage.view_quarantinedevent"):
        return None
    rows = QuarantinedEvent.objects.filter(replayed_at=None, dismissed_at=None)
    return WorkQueue(
        title="Quarantined events",
        waiting=rows[:_COUNTED].count(),
        link=_link("usage_quarantinedevent_changelist"),
        rows=[
            Row(
                title=f"{event.source}, {event.event_id}",
                detail=event.reason,
                link=_link("usage_quarantinedevent_change", pk=event.pk),
            )
            for event in rows.order_by("id")[:_SHOWN]
        ],
        quiet="Every event was taken.",
    )


@require_POST
def retry(request: HttpRequest, statement_id: int) -> HttpResponse:
    """Let a parked statement be tried again by the next run."""
    if not request.user.has_perm("billing.finalise_statement"):
        raise PermissionDenied
    if retry_parked(statement_ids=[statement_id]):
        messages.success(request, "The statement is tried again with the next run.")
    else:
        messages.info(request, "The statement waits for the next run already.")
    return HttpResponseRedirect(reverse("admin:index"))


def _retry(request: HttpRequest, statement: Statement) -> str:
    may = request.user.has_perm("billing.finalise_statement")
    return reverse("retry-parked", args=[statement.pk]) if may else ""


PROVIDERS: list[Provider] = [drafts, statements_to_review, parked_customers, quarantined_events]


def _link(view: str, query: str = "", *, pk: int | None = None) -> str:
    """Return an admin page's address; "" where that page is not there."""
    try:
        address = reverse(f"admin:{view}", args=[] if pk is None else [pk])
    except NoReverseMatch:
        return ""
    return f"{address}?{query}" if query else address


def _day(at: datetime) -> str:
    return f"{at.astimezone(UTC):%d %B %Y}"
