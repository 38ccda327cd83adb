"""The report on outcomes, as a page and as CSV, and the e-mails that asked customers."""

import contextlib
import csv
from datetime import date, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone

from billing.models import OutcomeRequest
from billing.queries.outcome_reports import JobMoney, OutcomeReport, ReportRow, outcome_report
from billing.wording import Money
from plans.admin.base import HouseAdmin

_COLUMNS = (
    "contract", "customer", "claimed", "stand", "rejected", "reversed", "pending", "disputed",
    "success_percent", "days_to_verification", "revenue", "revenue_per_outcome",
    "unverified_at_end", "currency", "outcomes_with_jobs", "jobs", "jobs_settled", "jobs_rated",
    "jobs_rated_per_outcome", "margin", "margin_percent", "jobs_with_provider_cost",
    "provider_cost", "provider_cost_per_outcome", "margin_over_provider_cost",
    "margin_over_provider_cost_percent",
)  # fmt: skip


@admin.register(OutcomeRequest)
class OutcomeRequestAdmin(HouseAdmin):
    """E-mails that asked customers for their word."""

    list_display = ("customer", "email", "noted_at", "sent_at")
    list_select_related = ("customer",)
    ordering = ("-id",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Leave it to Beat."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep what was sent."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep what was sent."""
        return False

    def get_urls(self) -> list[URLPattern]:
        """Add the report."""
        view = self.admin_site.admin_view
        return [
            path("report/", view(self.report), name="billing_outcome_report"),
            path("report.csv", view(self.report_csv), name="billing_outcome_report_csv"),
            *super().get_urls(),
        ]

    def report(self, request: HttpRequest) -> HttpResponse:
        """Show what became of the outcomes of a month."""
        month, found = _asked(request)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Outcomes of {month:%B %Y}",
            "month": f"{month:%Y-%m}",
            "rows": found.rows,
            "is_cut": found.is_cut,
            "costs": [row for row in found.rows if row.revenue is not None or row.linked],
            "media": self.media,
        }
        return TemplateResponse(request, "admin/billing/outcome_report.html", context)

    def report_csv(self, request: HttpRequest) -> HttpResponse:
        """Send the same as CSV, without the totals of contracts."""
        month, found = _asked(request)
        answer = HttpResponse(content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="outcomes-{month:%Y-%m}.csv"'
        writer = csv.writer(answer)
        writer.writerow(_COLUMNS)
        writer.writerows(_csv_row(row) for row in found.rows if not row.is_total)
        return answer


def _asked(request: HttpRequest) -> tuple[date, OutcomeReport]:
    """Return the month that is asked for, the last one by itself, and its report."""
    if not request.user.has_perm("usage.view_outcome"):
        raise PermissionDenied
    month = (timezone.now().replace(day=1) - timedelta(days=1)).date().replace(day=1)
    with contextlib.suppress(ValueError):
        month = date.fromisoformat(f"{request.GET.get('month', '')}-01")
    return month, outcome_report(start=month, end=(month + timedelta(days=32)).replace(day=1))


def _csv_row(row: ReportRow) -> list[Any]:
    return [
        row.contract_key, row.customer_key, row.claimed, row.stands, row.rejected, row.reversed,
        row.pending, row.disputed, row.success, row.days, _plain(row.revenue), _plain(row.each),
        _plain(row.unverified), row.currency, row.linked, row.rated.jobs, row.rated.known,
        *_csv_money(row.rated), row.provider.known, *_csv_money(row.provider),
    ]  # fmt: skip


def _csv_money(jobs: JobMoney) -> list[str]:
    return [_plain(jobs.cost), _plain(jobs.each), _plain(jobs.margin), jobs.percent]


def _plain(money: Money | None) -> str:
    return "" if money is None else f"{money.amount:f}"
