"""What other apps add to a customer's page: lists to go to, and pages about its subscriptions."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from unfold.admin import ModelAdmin

from plans.models import Customer, Subscription

SCHEDULED: Final = "scheduled"
RUNNING: Final = "running"
ENDING: Final = "ending"
OVER: Final = "over"


class CustomerLink(NamedTuple):
    """A list of another app that can be filtered by customer; that app adds it to ``LINKS``."""

    title: str
    view_name: str
    parameter: str


class CustomerPage(NamedTuple):
    """A page about a customer's subscriptions; the app that has it adds it to ``PAGES``.

    ``route`` lies below the customer's own address. The page is offered at each subscription in one
    of ``states``, or beside the heading where there are none. ``view`` takes the ModelAdmin, the
    request, and the ids of the customer and the subscription.
    """

    title: str
    name: str
    route: str
    view: Callable[..., HttpResponse]
    permission: str
    states: frozenset[str] = frozenset()


LINKS: list[CustomerLink] = []
PAGES: list[CustomerPage] = []


def page_urls(model_admin: ModelAdmin) -> list[URLPattern]:
    """Return the addresses of the pages that were added."""
    return [
        path(
            f"<int:customer_id>/{page.route}",
            model_admin.admin_site.admin_view(_bound(page, model_admin)),
            name=page.name,
        )
        for page in PAGES
    ]


def _bound(page: CustomerPage, model_admin: ModelAdmin) -> Callable[..., HttpResponse]:
    def view(request: HttpRequest, **ids: int) -> HttpResponse:
        return page.view(model_admin, request, **ids)

    return view


def links_of(customer: Customer) -> list[tuple[str, str]]:
    """Return title and address of each list that can be filtered by the customer."""
    found = []
    for link in LINKS:
        try:
            address = reverse(f"admin:{link.view_name}")
        except NoReverseMatch:
            continue
        found.append((link.title, f"{address}?{link.parameter}={customer.pk}"))
    return found


def pages_of(request: HttpRequest, customer: Customer) -> list[tuple[str, str]]:
    """Return title and address of the pages that need no subscription, as the person may use."""
    return [
        (page.title, reverse(f"admin:{page.name}", args=[customer.pk]))
        for page in PAGES
        if not page.states and request.user.has_perm(page.permission)
    ]


def subscriptions_of(
    request: HttpRequest, customer: Customer, *, now: datetime
) -> list[dict[str, Any]]:
    """Return the customer's subscriptions, the latest first, with the pages that fit each."""
    rows = Subscription.objects.filter(customer=customer).select_related("plan")
    found = []
    for place, row in enumerate(rows.order_by("-starts_at")):
        state = _state(row, now=now)
        found.append(
            {
                "plan": row.plan,
                "state": state,
                "starts": day(row.starts_at, customer),
                "ends": day(row.ends_at, customer) if row.ends_at else "",
                "anchor_date": row.anchor_date,
                "pages": _fitting(request, row, state) if state != OVER or place == 0 else [],
            }
        )
    return found


def _fitting(request: HttpRequest, row: Subscription, state: str) -> list[tuple[str, str]]:
    return [
        (page.title, reverse(f"admin:{page.name}", args=[row.customer_id, row.pk]))
        for page in PAGES
        if state in page.states and request.user.has_perm(page.permission)
    ]


def _state(row: Subscription, *, now: datetime) -> str:
    if row.starts_at > now:
        return SCHEDULED
    if row.ends_at is None:
        return RUNNING
    return ENDING if row.ends_at > now else OVER


def day(at: datetime, customer: Customer) -> str:
    """Write a time in the customer's zone; the time of day only where it is not midnight."""
    local = at.astimezone(ZoneInfo(customer.time_zone))
    clock = "" if local.time() == datetime.min.time() else f" {local:%H:%M}"
    return f"{local:%d %B %Y}{clock} ({customer.time_zone})"
