"""A plan version on one page: name and currency, then its prices, then when it starts."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin, messages
from django.db import models
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminExpandableTextareaWidget

from plans.admin.action_forms import ConfirmForm, PublishForm, RetireForm
from plans.admin.actions import ActionPage, Hindrance, already, answer, sent
from plans.admin.base import HouseAdmin, ReasonForm
from plans.admin.documents import VersionDocuments
from plans.admin.evidence import latest_evidence, links_for
from plans.admin.filters import StatusFilter
from plans.admin.tables import PriceTables
from plans.models import PlanVersion
from plans.operations.drafts import change_draft, delete_draft
from plans.operations.publishing import publish_version, retire_version
from plans.operations.versions import new_version_from
from plans.pricelist import PriceCard, price_cards, publishing_problems, version_before

STATUS_LABELS = {
    "draft": "warning",
    "scheduled": "info",
    "in force": "success",
    "retired": "default",
}
_PATH = re.compile(r"^prices\[(\d+)\]\.?(.*)$")


@admin.register(PlanVersion)
class PlanVersionAdmin(PriceTables, VersionDocuments, HouseAdmin):
    """Drafts can be changed; what is published is shown, and copied into a new draft."""

    list_display = ("named", "status", "currency", "in_force_from", "in_force_until", "note")
    list_display_links = ("named",)
    list_select_related = ("plan",)
    list_filter = (StatusFilter, "currency")
    search_fields = ("plan__name", "plan__key", "note")
    ordering = ("plan__name", "-number")
    form = ReasonForm
    fieldsets = ((None, {"fields": ("currency", "note")}),)
    formfield_overrides = {
        **HouseAdmin.formfield_overrides,
        models.TextField: {"widget": UnfoldAdminExpandableTextareaWidget},
    }
    change_form_template = "admin/plans/planversion/change_form.html"
    actions_detail = ("publish", "copy", "retire", "download_version")

    def get_queryset(self, request: HttpRequest) -> QuerySet[PlanVersion]:
        """Load what the page names."""
        rows: QuerySet[PlanVersion] = super().get_queryset(request)
        return rows.select_related("plan", "created_by", "published_by")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Start versions from their plan, or from another version."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Freeze what is published."""
        allowed: bool = super().has_change_permission(request, obj)
        return allowed and not _is_published(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep what is published."""
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed and not _is_published(obj)

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
        """Show the version with its prices in words."""
        version = self.get_object(request, object_id)
        context = {} if version is None else self._context(request, version)
        answer: HttpResponse = super().change_view(request, object_id, form_url, context)
        return answer

    def _context(self, request: HttpRequest, version: PlanVersion) -> dict[str, Any]:
        status = version.status_at(timezone.now())
        can_edit = request.user.has_perm("plans.change_price") and status == "draft"
        return {
            "title": named(version),
            "subtitle": "",
            "version": version,
            "status": status,
            "status_label": STATUS_LABELS[status],
            "cards": price_cards(version),
            "can_edit_prices": can_edit,
            "evidence": latest_evidence(version),
            "version_links": links_for(request, version),
            "can_copy": request.user.has_perm("plans.add_planversion"),
        }

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm, change: bool) -> None:  # type: ignore[type-arg]
        """Store the draft's own fields by its operation."""
        change_draft(version=obj, currency=obj.currency, note=obj.note)

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

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Stay on the page: its prices come next."""
        messages.success(request, f"{named(obj)} was saved.")
        return HttpResponseRedirect(page_of(obj))

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        """Return to the plans."""
        messages.success(request, "The draft was deleted.")
        return HttpResponseRedirect(reverse("admin:plans_plan_changelist"))

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """Offer the actions that fit the version's status."""
        allowed: list[Any] = super().get_actions_detail(request, object_id)
        version = self.get_object(request, str(object_id))
        fitting = _fitting(version) if version else frozenset()
        return [each for each in allowed if each.path in fitting]

    def has_publish_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether the person may publish and retire versions."""
        return request.user.has_perm("plans.publish_planversion")

    def has_copy_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether the person may start drafts."""
        return request.user.has_perm("plans.add_planversion")

    @action(
        description="Publish", url_path="publish", permissions=["publish"],
        variant=ActionVariant.PRIMARY,
    )  # fmt: skip
    def publish(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Publish a draft from a time on."""
        version = get_object_or_404(self.get_queryset(request), pk=object_id)
        if version.published_at is not None:
            message = f"{named(version)} was published on {on(version.published_at)} UTC."
            return already(request, message, back=page_of(version))
        return answer(self, request, self._publish_page(request, version))

    def _publish_page(self, request: HttpRequest, version: PlanVersion) -> ActionPage:
        now, before, cards = timezone.now(), version_before(version), price_cards(version)

        def run(cleaned: dict[str, Any]) -> str:
            at = cleaned["effective_from"]
            publish_version(version=version, effective_from=at, by=request.user, now=now)  # type: ignore[arg-type]
            message = f"{named(version)} is published, in force from {on(at)} UTC."
            self.log_change(request, version, message)
            return message

        initial = {"effective_from": _proposed_start(before, now=now)}
        return ActionPage(
            title=f"Publish {named(version)}?",
            button="Publish",
            form=PublishForm(sent(request), initial=initial),
            effects=_publish_effects(version, before, cards),
            hindrances=hindrances(version, cards),
            run=run,
            back=page_of(version),
        )

    @action(
        description="New version from this", url_path="copy", permissions=["copy"],
        variant=ActionVariant.PRIMARY,
    )  # fmt: skip
    def copy(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Start a draft with everything that this version has."""
        version = get_object_or_404(self.get_queryset(request), pk=object_id)
        started: list[PlanVersion] = []

        def run(_: dict[str, Any]) -> str:
            started.append(new_version_from(version=version, by=request.user))  # type: ignore[arg-type]
            return f"{version.plan.name}, version {started[0].number} is a draft."

        page = ActionPage(
            title=f"New version from {named(version)}?",
            button="Start the draft",
            form=ConfirmForm(sent(request)),
            effects=(
                f"A draft is started with all prices of version {version.number}.",
                f"Version {version.number} stays as it is until the draft is published.",
            ),
            run=run,
            back=page_of(version),
        )
        found = answer(self, request, page)
        return HttpResponseRedirect(page_of(started[0])) if started else found

    @action(description="Retire", url_path="retire", permissions=["publish"])
    def retire(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End a published version without a successor."""
        version = get_object_or_404(self.get_queryset(request), pk=object_id)
        if version.effective_until is not None:
            message = f"{named(version)} ends on {on(version.effective_until)} UTC already."
            return already(request, message, back=page_of(version))
        now = timezone.now()

        def run(cleaned: dict[str, Any]) -> str:
            retire_version(version=version, at=cleaned["at"], now=now)
            message = f"{named(version)} ends on {on(cleaned['at'])} UTC."
            self.log_change(request, version, message)
            return message

        page = ActionPage(
            title=f"Retire {named(version)}?",
            button="Retire",
            danger=True,
            form=RetireForm(sent(request), initial={"at": _next_midnight(now)}),
            effects=(
                f"From then on {version.plan.name} has no price, and nobody can be put on it.",
                "This is final. To change prices, make a new version instead.",
            ),
            run=run,
            back=page_of(version),
        )
        return answer(self, request, page)


def named(version: PlanVersion) -> str:
    """Name a version with its plan, which must be loaded."""
    return f"{version.plan.name}, version {version.number}"


def on(at: datetime | None) -> str:
    """Write a time in UTC, whose name stands beside; a dash for none."""
    return "—" if at is None else f"{at.astimezone(UTC):%d %B %Y %H:%M}"


def page_of(version: PlanVersion) -> str:
    """Return the address of a version's page."""
    return reverse("admin:plans_planversion_change", args=[version.pk])


def hindrances(version: PlanVersion, cards: list[PriceCard]) -> list[Hindrance]:
    """Return what keeps a draft from being published, each with the page that mends it."""
    found = []
    for problem in publishing_problems(version):
        match = _PATH.match(problem.field)
        if match is None:
            found.append(Hindrance(where=problem.field, message=problem.message))
            continue
        price = cards[int(match[1])].price
        link = reverse("admin:plans_price_change", args=[price.pk])
        where = f"{price.name}: {match[2].replace('_', ' ')}"
        found.append(Hindrance(where=where, message=problem.message, link=link))
    return found


def _publish_effects(
    version: PlanVersion, before: PlanVersion | None, cards: list[PriceCard]
) -> list[str]:
    prices = "The one price" if len(cards) == 1 else f"All {len(cards)} prices"
    effects = [
        f"{prices} in {version.currency} and everything else in this version is frozen for ever.",
        f"Usage of {version.plan.name} from the time below on is priced by this version.",
    ]
    if before is not None and before.effective_until is None:
        effects.append(f"Version {before.number}, in force now, ends at that time.")
    if before is None:
        effects.append(
            "Nobody is subscribed yet, so it may begin in the past: then customers can start "
            "on the first of this month, whatever their time zone."
        )
    return effects


def _proposed_start(before: PlanVersion | None, *, now: datetime) -> datetime:
    """Propose the start of last month for a plan's first version, else the next midnight."""
    if before is None:
        this_month = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return (this_month - timedelta(days=1)).replace(day=1)
    return _next_midnight(max(now, before.effective_from or now))


def _next_midnight(now: datetime) -> datetime:
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=1)


def _is_published(version: PlanVersion | None) -> bool:
    return version is not None and version.published_at is not None


def _fitting(version: PlanVersion) -> frozenset[str]:
    if version.published_at is None:
        return frozenset({"publish", "yaml"})
    if version.effective_until is None:
        return frozenset({"copy", "retire", "yaml"})
    return frozenset({"copy", "yaml"})
