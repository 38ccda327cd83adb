"""Jobs of all customers, with all that is known of each."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from billing.admin.ledger import ReadOnlyAdmin
from billing.queries.jobs import job_page, row_of
from usage.models import Job


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    """Jobs, newest first. The page of one says what it was estimated at and what it came to."""

    list_display = (
        "key", "customer_name", "job_class", "state", "admitted_at", "estimate", "amount_words",
        "held_words",
    )  # fmt: skip
    list_display_links = ("key",)
    list_select_related = ("customer", "workspace", "job_class")
    list_filter = ("state", "job_class")
    search_fields = ("=key", "=public_id")
    search_help_text = "The job's key or its id, whole."
    ordering = ("-pk",)
    paginator = InfinitePaginator
    fields = (("key", "customer_name"),)
    change_form_template = "admin/billing/job/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        """Load what a row names."""
        rows: QuerySet[Job] = super().get_queryset(request)
        return rows.select_related("customer", "workspace", "job_class")

    def get_urls(self) -> list[URLPattern]:
        """Find a job by the id that events and services name it by, too."""
        named = self.admin_site.admin_view(self.named)
        mine = [path("id/<uuid:public_id>/", named, name="usage_job_named")]
        return [*mine, *super().get_urls()]

    def named(self, request: HttpRequest, public_id: UUID) -> HttpResponse:
        """Go to the page of a job by its id."""
        job = get_object_or_404(Job, public_id=public_id)
        return HttpResponseRedirect(reverse("admin:usage_job_change", args=[job.pk]))

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Let the customer's page link to its jobs."""
        return lookup == "customer__id__exact" or super().lookup_allowed(lookup, value, request)

    @display(description="Customer")
    def customer_name(self, job: Job) -> str:
        """Return the customer's name, with the workspace's."""
        return f"{job.customer.name}, {job.workspace.name}" if job.workspace else job.customer.name

    @display(description="Estimate", empty_value="—")
    def estimate(self, job: Job) -> str | None:
        """Return the range at admission."""
        found = row_of(job).estimate
        return str(found) if found else None

    @display(description="Came to", empty_value="—")
    def amount_words(self, job: Job) -> str | None:
        """Return what it came to, and how that lies by the range."""
        row = row_of(job)
        if row.amount is None:
            return None
        return f"{row.amount}, {row.verdict}" if row.verdict else str(row.amount)

    @display(description="Held", empty_value="—")
    def held_words(self, job: Job) -> str | None:
        """Return what is held for it now."""
        held = row_of(job).held
        return str(held) if held else None

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:  # fmt: skip
        """Show the job with its attempts, steps, usage and children."""
        job = self.get_object(request, object_id)
        context = {} if job is None else {"title": f"Job {job.key}", "page": job_page(job)}
        found: HttpResponse = super().change_view(request, object_id, form_url, context)
        return found
