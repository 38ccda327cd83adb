"""Plans: what is sold, each with its versions."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget

from plans.admin.action_forms import ConfirmForm
from plans.admin.actions import ActionPage, answer, sent
from plans.admin.base import HouseAdmin, ReasonForm
from plans.admin.documents import PlanDocuments
from plans.admin.versions import STATUS_LABELS, on, page_of
from plans.models import Plan, PlanVersion
from plans.models.fields import validate_currency
from plans.operations.drafts import start_plan
from plans.operations.versions import describe_plan, new_version_from, start_version
from plans.pricelist import plans_listed


class NewPlanForm(forms.ModelForm):  # type: ignore[type-arg]
    """A plan, with the currency of its first draft."""

    currency = forms.CharField(
        max_length=3,
        initial="USD",
        validators=[validate_currency],
        widget=UnfoldAdminTextInputWidget,
        help_text="What the plan bills in, by ISO 4217: USD, EUR, JPY. Fixed once it is published.",
    )


@admin.register(Plan)
class PlanAdmin(PlanDocuments, HouseAdmin):
    """Plans by name, with the version in force, the drafts, and who is subscribed now."""

    form = ReasonForm
    list_display = ("name", "key", "in_force", "drafts", "subscribers")
    search_fields = ("name", "key", "description")
    ordering = ("name",)
    fieldsets = (("What is sold", {"fields": (("name", "key"), "description")}),)
    prepopulated_fields = {"key": ("name",)}
    change_form_template = "admin/plans/plan/change_form.html"
    actions_list = ("import_documents", "download_all")
    actions_detail = ("start_draft", "download_plan")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Plan]:
        """Count by subqueries."""
        return plans_listed(super().get_queryset(request), now=timezone.now())

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kw: Any
    ) -> Any:
        """Ask a new plan for the currency of its first draft too."""
        if obj is None:
            kw["form"] = NewPlanForm
        return super().get_form(request, obj, change=change, **kw)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Ask a new plan for the currency of its first draft too."""
        if obj is None:
            return [("What is sold", {"fields": (("name", "key"), "currency", "description")})]
        return super().get_fieldsets(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Keep the key, by which documents and services know the plan."""
        return ("key",) if obj else ()

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Any]:
        """Propose a key from the name of a new plan only."""
        return {} if obj else self.prepopulated_fields

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep plans that were ever published."""
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed and not (obj is not None and obj.is_published)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """Say why a published plan stays."""
        plan = self.get_object(request, object_id)
        if plan is not None and plan.is_published:
            messages.error(request, f"{plan.name} has a published version: it stays.")
            return HttpResponseRedirect(_page(plan))
        found: HttpResponse = super().delete_view(request, object_id, extra_context)
        return found

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:  # fmt: skip
        """Show the plan with its versions."""
        versions = PlanVersion.objects.filter(plan_id=object_id).order_by("-number")
        rows = [_row(version) for version in versions.select_related("published_by")]
        found: HttpResponse = super().change_view(
            request, object_id, form_url, {"versions": rows, "subtitle": ""}
        )
        return found

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Create a plan together with its first draft."""
        if change:
            describe_plan(plan=obj, name=obj.name, description=obj.description)
            return
        draft = start_plan(
            key=obj.key,
            name=obj.name,
            description=obj.description,
            currency=form.cleaned_data["currency"],
            by=request.user,  # type: ignore[arg-type]
        )
        form.draft = draft
        obj.pk = draft.plan_id

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: Any = None
    ) -> HttpResponse:
        """Go on to the prices of the first draft."""
        messages.success(
            request, f"{obj.name} was made, with version 1 as a draft. Add its prices."
        )
        draft = PlanVersion.objects.get(plan_id=obj.pk, number=1)
        return HttpResponseRedirect(page_of(draft))

    def has_draft_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether the person may start drafts."""
        return request.user.has_perm("plans.add_planversion")

    @action(description="New draft", url_path="draft", permissions=["draft"])
    def start_draft(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Start a draft from the newest version, or an empty one where there is none."""
        plan = get_object_or_404(self.get_queryset(request), pk=object_id)
        latest = (
            PlanVersion.objects.filter(plan=plan).select_related("plan").order_by("number").last()
        )
        started: list[PlanVersion] = []

        def run(_: dict[str, Any]) -> str:
            by: Any = request.user
            if latest is None:
                started.append(start_version(plan=plan, currency="USD", by=by))
            else:
                started.append(new_version_from(version=latest, by=by))
            return f"{plan.name}, version {started[0].number} is a draft."

        origin = f"with all prices of version {latest.number}" if latest else "without prices"
        page = ActionPage(
            title=f"New draft of {plan.name}?",
            button="Start the draft",
            form=ConfirmForm(sent(request)),
            effects=(f"A draft of {plan.name} is started {origin}.", "Nothing published changes."),
            run=run,
            back=_page(plan),
        )
        found = answer(self, request, page)
        return HttpResponseRedirect(page_of(started[0])) if started else found

    @display(description="In force", empty_value="—", ordering="in_force")
    def in_force(self, plan: Any) -> str | None:
        """Return the version in force now."""
        return f"version {plan.in_force}" if plan.in_force else None

    @display(description="Drafts", ordering="drafts")
    def drafts(self, plan: Any) -> int:
        """Return how many drafts there are."""
        return int(plan.drafts)

    @display(description="Subscribed now", ordering="subscribers")
    def subscribers(self, plan: Any) -> int:
        """Return how many customers are subscribed now."""
        return int(plan.subscribers)


def _page(plan: Plan) -> str:
    return reverse("admin:plans_plan_change", args=[plan.pk])


def _row(version: PlanVersion) -> dict[str, Any]:
    status = version.status_at(timezone.now())
    return {
        "number": version.number,
        "link": page_of(version),
        "status": status,
        "label": STATUS_LABELS[status],
        "currency": version.currency,
        "effective_from": on(version.effective_from),
        "effective_until": on(version.effective_until),
        "published_by": version.published_by,
        "note": version.note,
    }
