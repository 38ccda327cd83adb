"""Dry runs in the admin: started from a version's page, watched, read, and downloaded as CSV."""

import csv
from collections.abc import Iterator
from functools import partial
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from billing.admin.dry_run_pages import StartForm, chart_of
from billing.dry_runs.operations import request_dry_run
from billing.models import DryRun
from billing.queries.dry_runs import (
    CSV_HEADER,
    FAILED,
    FINISHED,
    RUNNING,
    WAITING,
    Head,
    csv_rows,
    findings_of,
    head_of,
    is_current,
    latest_finished,
    listed,
)
from billing.tasks import dry_run
from plans.admin.actions import ActionPage, answer, sent
from plans.admin.base import HouseAdmin
from plans.admin.evidence import Evidence
from plans.admin.versions import hindrances, named, page_of
from plans.models import PlanVersion
from plans.pricelist import price_cards

_TEMPLATES = "admin/billing/dryrun"


@admin.register(DryRun)
class DryRunAdmin(HouseAdmin):
    """What versions would have billed. Nothing is typed here but what to try."""

    list_display = ("name", "months", "of_plan", "customers", "difference", "state", "requested")
    list_display_links = ("name",)
    search_fields = ("version__plan__name", "version__plan__key", "fingerprint")
    search_help_text = "A part of a plan's name or key, or a fingerprint"
    ordering = ("-id",)
    paginator = InfinitePaginator
    show_full_result_count = False
    change_form_template = f"{_TEMPLATES}/change_form.html"
    fields = ()

    class Media:
        css = {"all": ("billing/lines.css", "billing/admin.css", "billing/dry_runs.css")}

    # The list

    def get_queryset(self, request: HttpRequest) -> QuerySet[DryRun]:
        """Load what the pages name."""
        return listed(super().get_queryset(request))

    @display(description="Version")
    def name(self, run: DryRun) -> str:
        """Name the version that was tried."""
        return head_of(run).version_name

    @display(description="Months", ordering="first_month")
    def months(self, run: DryRun) -> str:
        """Name the months."""
        return str(head_of(run).months)

    @display(description="Subscribers of")
    def of_plan(self, run: DryRun) -> str:
        """Name the plan whose subscribers were taken."""
        return head_of(run).plan_name

    @display(description="Customers")
    def customers(self, run: DryRun) -> str:
        """Return how many customers there are, to the right."""
        return _to_the_right(f"{run.customers_total:,}")

    @display(description="Difference")
    def difference(self, run: DryRun) -> str:
        """Return the difference of the totals, to the right; none before the end."""
        head = head_of(run)
        return _to_the_right(head.totals.difference if head.fingerprint else "\N{EN DASH}")

    @display(
        description="Status",
        label={WAITING: "info", RUNNING: "info", FINISHED: "success", FAILED: "danger"},
    )
    def state(self, run: DryRun) -> str:
        """Return how far the run is."""
        return head_of(run).state

    @display(description="Asked for", ordering="requested_at")
    def requested(self, run: DryRun) -> str:
        """Return when and by whom."""
        return head_of(run).requested

    # What may be done

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Start dry runs from a version's page."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What was found is not edited."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let a dry run go with its draft; no page deletes it alone."""
        return request.user.has_perm("plans.delete_planversion")

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Keep what was found."""
        raise PermissionDenied

    # The pages

    def get_urls(self) -> list[URLPattern]:
        """Add the page that starts one, the progress, and the file."""
        view = self.admin_site.admin_view
        mine = [
            path("start/<int:version_id>/", view(self.start), name="billing_dryrun_start"),
            path("<int:run_id>/progress/", view(self.progress), name="billing_dryrun_progress"),
            path("<int:run_id>/results.csv", view(self.results), name="billing_dryrun_csv"),
        ]
        return [*mine, *super().get_urls()]

    def start(self, request: HttpRequest, version_id: int) -> HttpResponse:
        """Ask for months and customers, and start a dry run of a version."""
        if not request.user.has_perm("billing.add_dryrun"):
            raise PermissionDenied
        versions = PlanVersion.objects.select_related("plan")
        version = get_object_or_404(versions, pk=version_id)
        started: list[DryRun] = []
        found = answer(self, request, _start_page(request, version, started=started))
        return HttpResponseRedirect(address_of(started[0])) if started else found

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:  # fmt: skip
        """Show how far the dry run is, or what it found."""
        run = self.get_object(request, object_id)
        context = {} if run is None else _context(run, request)
        found: HttpResponse = super().change_view(request, object_id, form_url, context)
        return found

    def progress(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """Answer htmx with how far the dry run is; once it has ended, have the page read again."""
        head = head_of(self._run(request, run_id))
        shown = TemplateResponse(request, f"{_TEMPLATES}/_progress.html", {"head": head})
        if not head.is_under_way:
            shown.headers["HX-Refresh"] = "true"
        return shown

    def results(self, request: HttpRequest, run_id: int) -> HttpResponseBase:
        """Return every customer's amounts as a CSV file."""
        run = self._run(request, run_id)
        return StreamingHttpResponse(
            _csv_lines(run),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="dry-run-{run.pk}.csv"'},
        )

    def _run(self, request: HttpRequest, run_id: int) -> DryRun:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return get_object_or_404(self.get_queryset(request), pk=run_id)


def evidence_of(version: PlanVersion) -> Evidence | None:
    """Return what the version's latest dry run found, as evidence for its approval."""
    run = latest_finished(version=version)
    if run is None or run.finished_at is None:
        return None
    head = head_of(run)
    return Evidence(
        fingerprint=run.fingerprint,
        is_current=is_current(run),
        totals=_totals_in_words(head),
        tested_at=run.finished_at,
        link=address_of(run),
    )


def address_of(run: DryRun) -> str:
    """Return the address of a dry run's page."""
    return reverse("admin:billing_dryrun_change", args=[run.pk])


def _totals_in_words(head: Head) -> str:
    totals, failed = head.totals, head.customers_failed
    words = (
        f"{head.months}, {head.customers:,} customer{'' if head.customers == 1 else 's'} of "
        f"{head.plan_name}: {totals.old} becomes {totals.new} "
        f"({totals.difference}, {totals.percent})."
    )
    return words + (f" {failed:,} could not be rated." if failed else "")


def _start_page(request: HttpRequest, version: PlanVersion, *, started: list[DryRun]) -> ActionPage:
    now = timezone.now()
    form = StartForm(sent(request), version=version, now=now)

    def run(cleaned: dict[str, Any]) -> str:
        asked = request_dry_run(
            version=version,
            plan=cleaned["plan"],
            months=form.months,
            customer_keys=cleaned["customer_keys"],
            by=request.user,  # type: ignore[arg-type]
            now=now,
        )
        transaction.on_commit(partial(dry_run.delay, asked.pk), robust=True)
        started.append(asked)
        return f"The dry run of {named(version)} has started."

    return ActionPage(
        title=f"Dry run of {named(version)}",
        button="Start the dry run",
        form=form,
        effects=(
            "The real usage of past months is rated by this version, as if it had been in force.",
            "Nothing is billed, and no statement changes. Earlier months are not corrected.",
            f"The result is kept with version {version.number}, for those who approve it.",
        ),
        hindrances=hindrances(version, price_cards(version)),
        run=run,
        back=page_of(version),
    )


def _context(run: DryRun, request: HttpRequest) -> dict[str, Any]:
    head = head_of(run)
    findings = findings_of(run) if head.fingerprint else None
    return {
        "title": f"Dry run of {head.version_name}",
        "subtitle": "",
        "head": head,
        "findings": findings,
        "chart": chart_of(findings.bars) if findings else None,
        "may_start": request.user.has_perm("billing.add_dryrun"),
    }


def _csv_lines(run: DryRun) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(CSV_HEADER)
    for row in csv_rows(run):
        yield writer.writerow(row)


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def _to_the_right(text: str) -> str:
    return format_html('<span class="tg-money">{}</span>', text)
