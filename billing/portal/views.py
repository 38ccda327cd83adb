"""The customers' pages. Each reads one query and shows it."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone

from billing.models import StatementLine
from billing.portal.access import customer_page
from billing.portal.charts import cards
from billing.queries import portal
from billing.queries.events import BadCursor, line_events_page
from billing.queries.pages import statement_page
from billing.queries.statements import finalised_of
from plans.models import Customer

CHARTS_ON_OVERVIEW = 3


@customer_page
def overview(request: HttpRequest, *, customer: Customer) -> HttpResponse:
    """Show this period so far and the latest statements."""
    found = portal.overview(customer=customer, now=timezone.now())
    current = found.current.usage
    return page_of(
        request,
        "overview",
        customer=customer,
        current=found.current,
        list=found.statements,
        cards=cards(current, most=CHARTS_ON_OVERVIEW) if current else [],
    )


@customer_page
def usage(request: HttpRequest, *, customer: Customer) -> HttpResponse:
    """Show this period's usage by meter, day, dimension and workspace."""
    current = portal.current_period(customer=customer, now=timezone.now())
    found = cards(current.usage) if current.usage else []
    return page_of(request, "usage", customer=customer, current=current, cards=found)


@customer_page
def statements(request: HttpRequest, *, customer: Customer) -> HttpResponse:
    """List the customer's statements."""
    found = portal.statement_list(customer=customer, after=after_of(request))
    return page_of(request, "statements", customer=customer, list=found)


@customer_page
def statement(request: HttpRequest, *, customer: Customer, number: str) -> HttpResponse:
    """Show one statement with its explanation."""
    found = get_object_or_404(finalised_of(customer=customer), number=number)
    page = statement_page(statement=found, after=after_of(request) or 0)
    return page_of(request, "statement", customer=customer, page=page)


@customer_page
def line_events(
    request: HttpRequest, *, customer: Customer, number: str, position: int
) -> HttpResponse:
    """Show the usage events behind one line."""
    found = get_object_or_404(finalised_of(customer=customer), number=number)
    try:
        page = line_events_page(
            statement=found, position=position, after=request.GET.get("after", "")
        )
    except (StatementLine.DoesNotExist, BadCursor) as error:
        raise Http404 from error
    return page_of(request, "events", customer=customer, page=page)


def page_of(
    request: HttpRequest, name: str, *, customer: Customer, status: int = 200, **context: Any
) -> HttpResponse:
    """Render a page of the portal in its frame."""
    context |= {"customer_name": customer.name, "zone": customer.time_zone, "section": name}
    return render(request, f"portal/{name}.html", context, status=status)


def after_of(request: HttpRequest, *, digits: int = 9) -> int | None:
    """Return where the page goes on from. Raises Http404 for what no page has offered."""
    text = request.GET.get("after", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= digits):
        raise Http404
    return int(text)
