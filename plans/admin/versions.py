"""A plan version on one page: name and currency, then its prices, then when it starts."""

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils import timezone
from unfold.decorators import display

from plans.admin.base import HouseAdmin
from plans.admin.comparing import ComparingPages
from plans.admin.documents import VersionDocuments
from plans.admin.editor import EditorPages
from plans.admin.evidence import latest_evidence, links_for
from plans.admin.filters import StatusFilter
from plans.admin.tables import PriceTables
from plans.admin.version_copies import CopyPages
from plans.admin.version_publishing import PublishingPages
from plans.admin.version_reviews import ReviewPages
from plans.admin.version_words import STATUS_LABELS, hindrances, named, on, page_of
from plans.agreed import agreed_on
from plans.models import PlanVersion
from plans.operations.drafts import delete_draft
from plans.reviews import timeline

__all__ = ["STATUS_LABELS", "PlanVersionAdmin", "hindrances", "named", "on", "page_of"]


@admin.register(PlanVersion)
class PlanVersionAdmin(
    EditorPages,
    ReviewPages,
    PublishingPages,
    CopyPages,
    ComparingPages,
    PriceTables,
    VersionDocuments,
    HouseAdmin,
):
    """Drafts can be changed; what is submitted or published is shown, and copied into a draft."""

    list_display = ("named", "status", "currency", "in_force_from", "in_force_until", "note")
    list_display_links = ("named",)
    list_select_related = ("plan",)
    list_filter = (StatusFilter, "currency")
    search_fields = ("plan__name", "plan__key", "note")
    ordering = ("plan__name", "-number")
    change_form_template = "admin/plans/planversion/change_form.html"
    actions_detail = (
        "submit",
        "approve",
        "publish",
        "copy",
        "compare",
        "request_changes",
        "withdraw",
        "in_currency",
        "move",
        "retire",
        "call_off",
        "download_version",
    )

    def get_urls(self) -> list[URLPattern]:
        """Add what the editor speaks to."""
        return [*self.editor_urls(), *super().get_urls()]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave the form empty: the editor is the page."""
        return ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[PlanVersion]:
        """Load what the page names."""
        rows: QuerySet[PlanVersion] = super().get_queryset(request)
        return rows.select_related(
            "plan", "created_by", "submitted_by", "approved_by", "published_by"
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Start versions from their plan, or from another version."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Freeze what is submitted or published."""
        allowed: bool = super().has_change_permission(request, obj)
        return allowed and (obj is None or obj.is_draft)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep what is submitted or published."""
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed and (obj is None or obj.is_draft)

    def named_in_history(self, row: PlanVersion) -> str:
        """Name the version with its plan."""
        return named(row)

    @display(description="Version", ordering="plan__name")
    def named(self, version: PlanVersion) -> str:
        """Name the version with its plan."""
        return named(version)

    @display(description="Status", label=STATUS_LABELS)
    def status(self, version: PlanVersion) -> str:
        """Return the status now, derived from the dates."""
        return version.status_at(timezone.now())

    @display(description="In force from (UTC)", ordering="effective_from")
    def in_force_from(self, version: PlanVersion) -> str:
        """Return the start with its zone in the heading."""
        return on(version.effective_from)

    @display(description="Until (UTC)", ordering="effective_until")
    def in_force_until(self, version: PlanVersion) -> str:
        """Return the end with its zone in the heading."""
        return on(version.effective_until)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:  # fmt: skip
        """Show the version in the editor, which saves by an address of its own."""
        if request.method == "POST":
            return HttpResponseNotAllowed(["GET"])
        version = self.get_object(request, object_id)
        context = {} if version is None else self._context(request, version)
        answer: HttpResponse = super().change_view(request, object_id, form_url, context)
        return answer

    def _context(self, request: HttpRequest, version: PlanVersion) -> dict[str, Any]:
        status = version.status_at(timezone.now())
        return {
            "title": named(version),
            "subtitle": "",
            "version": version,
            "status": status,
            "status_label": STATUS_LABELS[status],
            "agreed_on": agreed_on(version, at=timezone.now()),
            "evidence": latest_evidence(version),
            "version_links": links_for(request, version),
            "can_copy": request.user.has_perm("plans.add_planversion"),
            "is_author": request.user.pk in version.author_ids,
            "steps": timeline(version),
            **self.editor_context(request, version),
        }

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete the draft with its prices by its operation."""
        delete_draft(version=obj)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """Say why a published version stays."""
        version = self.get_object(request, object_id)
        if _is_published(version):
            message = f"{named(version)} is published: it stays. Retire it instead."
            messages.error(request, message)
            return HttpResponseRedirect(page_of(version))
        answer: HttpResponse = super().delete_view(request, object_id, extra_context)
        return answer

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        """Return to the plans."""
        messages.success(request, "The draft was deleted.")
        return HttpResponseRedirect(reverse("admin:plans_plan_changelist"))

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """Offer the actions that fit the version's status."""
        allowed: list[Any] = super().get_actions_detail(request, object_id)
        version = self.get_object(request, str(object_id))
        if version is None:
            return []
        fitting = _fitting(version, by=request.user.pk, now=timezone.now())
        return [each for each in allowed if each.path in fitting]


def _is_published(version: PlanVersion | None) -> bool:
    return version is not None and version.published_at is not None


_COPIES = frozenset({"copy", "currency"})
_FITTING = {
    "draft": frozenset({"submit"}),
    "submitted": frozenset({"approve", "request-changes", "withdraw"}),
    "approved": frozenset({"publish", "request-changes", "withdraw"}),
    "scheduled": _COPIES | {"move", "call-off"},
    "in force": _COPIES | {"move", "retire"},
    "retired": _COPIES | {"move"},
    "called off": _COPIES,
}


def _fitting(version: PlanVersion, *, by: int | None, now: datetime) -> frozenset[str]:
    """Return the paths of the actions that a version's status has for a person."""
    fitting = _FITTING[version.status_at(now)]
    if version.effective_until is not None:
        fitting -= {"retire", "call-off"}
    fitting |= {"compare", "yaml"}
    return fitting - ({"approve"} if by in version.author_ids else {"withdraw"})
