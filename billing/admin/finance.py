"""Finance's report: deferred and recognised revenue by month, a chart, and the same as CSV."""

import csv
from collections.abc import Iterator, Sequence
from decimal import Decimal
from io import StringIO
from typing import Any, Final, NamedTuple

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.admin import ModelAdmin

from billing.queries.finance import FinanceMonth, finance_report
from plans.rating import minor_units

PERMISSION: Final = "billing.view_ledgertransaction"
COLUMNS: Final = (
    ("opening", "Deferred, opening"),
    ("sold", "Sold"),
    ("used", "Used"),
    ("expired", "Expired"),
    ("other", "Corrected"),
    ("closing", "Deferred, closing"),
    ("revenue", "Revenue recognised"),
    ("breakage", "Breakage"),
)
_MONTHS_DRAWN: Final = 24
_SLOT: Final = 28
_HEIGHT: Final = 120


class Bar(NamedTuple):
    """A month's deferred revenue at its end, as it is drawn."""

    x: int
    y: str
    height: str
    words: str


def report_page(model_admin: ModelAdmin, request: HttpRequest) -> HttpResponseBase:
    """Show the report, or return it as a file where the address asks for ``csv``."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    report = finance_report(until=timezone.now())
    if request.GET.get("format") == "csv":
        months = [month for found in report.months.values() for month in found]
        return StreamingHttpResponse(
            _csv(months),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="deferred-revenue.csv"'},
        )
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": "Deferred and recognised revenue",
        "columns": [label for _, label in COLUMNS],
        "currencies": [_currency(months) for months in report.months.values()],
        "outstanding": report.outstanding,
        "media": model_admin.media,
    }
    response: HttpResponse = TemplateResponse(request, "admin/billing/finance.html", context)
    return response


def _currency(months: Sequence[FinanceMonth]) -> dict[str, Any]:
    return {
        "code": months[0].currency,
        "rows": [
            {"month": f"{each.month:%B %Y}", "amounts": [each.money(name) for name, _ in COLUMNS]}
            for each in reversed(months)
        ],
        "bars": _bars(months[-_MONTHS_DRAWN:]),
        "width": _SLOT * min(len(months), _MONTHS_DRAWN),
        "height": _HEIGHT,
        "first": f"{months[-_MONTHS_DRAWN:][0].month:%B %Y}",
        "last": f"{months[-1].month:%B %Y}",
    }


def _bars(months: Sequence[FinanceMonth]) -> list[Bar]:
    highest = max(*(each.closing for each in months), Decimal(0)) or Decimal(1)
    found = []
    for place, each in enumerate(months):
        height = max(each.closing, Decimal(0)) * _HEIGHT / highest
        words = f"{each.month:%B %Y}: {each.money('closing')} deferred at its end"
        found.append(Bar(place * _SLOT + 3, f"{_HEIGHT - height:.2f}", f"{height:.2f}", words))
    return found


def _csv(months: Sequence[FinanceMonth]) -> Iterator[str]:
    yield _csv_line(["month (UTC)", "currency", *(label for _, label in COLUMNS)])
    for each in months:
        digits = minor_units(each.currency)
        amounts = [f"{getattr(each, name):.{digits}f}" for name, _ in COLUMNS]
        yield _csv_line([f"{each.month:%Y-%m}", each.currency, *amounts])


def _csv_line(cells: Sequence[str]) -> str:
    line = StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
