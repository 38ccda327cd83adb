"""The quarantine, and the search over all events, which is no list of rows to edit."""

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextInputWidget

from plans.admin.actions import ActionPage, answer, sent
from plans.admin.base import HouseAdmin
from usage.admin.access import ReasonForm
from usage.models import QuarantinedEvent
from usage.operations.quarantine import ReplayReport, dismiss_many, replay
from usage.queries import EventSearch, SearchTooWide, estimate_events, find_events

_CHOSEN_MAX = 200
_EVENTS_PER_PAGE = 100


class SearchForm(forms.Form):
    """What to look for among all events."""

    subject = forms.CharField(
        label="Customer or workspace (key)", required=False, widget=UnfoldAdminTextInputWidget
    )
    source = forms.CharField(required=False, widget=UnfoldAdminTextInputWidget)
    event_id = forms.CharField(label="Id", required=False, widget=UnfoldAdminTextInputWidget)
    type = forms.CharField(required=False, widget=UnfoldAdminTextInputWidget)
    before = forms.DateTimeField(required=False, widget=forms.HiddenInput)


class StateFilter(admin.SimpleListFilter):
    """Waiting, replayed or dismissed; waiting unless asked otherwise."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the states besides the one that is shown by default."""
        return [("replayed", "Replayed"), ("dismissed", "Dismissed"), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        """Call the default by its name."""
        for choice in super().choices(changelist):
            yield choice | ({"display": "Waiting"} if choice["query_string"] == "?" else {})

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[QuarantinedEvent]
    ) -> QuerySet[QuarantinedEvent]:
        """Keep the rows of the chosen state."""
        match self.value():
            case "replayed":
                return queryset.exclude(replayed_at=None)
            case "dismissed":
                return queryset.exclude(dismissed_at=None)
            case "all":
                return queryset
        return queryset.filter(replayed_at=None, dismissed_at=None)


@admin.register(QuarantinedEvent)
class QuarantinedEventAdmin(HouseAdmin):
    """Events that could not be taken, with why, and the ways out."""

    list_display = ("received_at", "source", "event_id", "code", "reason", "state")
    list_filter = (StateFilter, "code")
    search_fields = ("event_id", "source", "reason")
    ordering = ("-id",)
    actions = ("replay_selected", "dismiss_selected")
    actions_list = ("replay_mended",)
    actions_detail = ("replay_one", "dismiss_one")
    fields = (
        "source", "event_id", "code", "reason", "received_at", "event_as_it_came", "replayed_at",
        "dismissed_at", "dismissed_reason", "dismissed_by",
    )  # fmt: skip

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Leave it to the ingest."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep events as they came."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Lose nothing: an event is replayed or dismissed."""
        return False

    def has_clear_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether the person may replay and dismiss."""
        return request.user.has_perm("usage.change_quarantinedevent")

    @display(description="State", label={"waiting": "warning", "replayed": "success"})
    def state(self, event: QuarantinedEvent) -> str:
        """Return where the event stands."""
        if event.replayed_at:
            return "replayed"
        return "dismissed" if event.dismissed_at else "waiting"

    @display(description="Event as it came")
    def event_as_it_came(self, event: QuarantinedEvent) -> str:
        """Return the CloudEvent, indented."""
        text = json.dumps(event.payload, indent=2, ensure_ascii=False)
        return format_html('<pre class="whitespace-pre-wrap">{}</pre>', text)

    def get_urls(self) -> list[URLPattern]:
        """Add the search over all events, and the page that dismisses those chosen in the list."""
        view = self.admin_site.admin_view
        return [
            path("events/", view(self.events), name="usage_event_changelist"),
            path("dismiss/", view(self.dismiss_chosen), name="usage_quarantinedevent_dismiss"),
            *super().get_urls(),
        ]

    @admin.action(description="Replay: try again now", permissions=["clear"])
    def replay_selected(self, request: HttpRequest, queryset: QuerySet[QuarantinedEvent]) -> None:
        """Send the chosen events through the ingest again."""
        ids = list(queryset.values_list("pk", flat=True)[:_CHOSEN_MAX])
        messages.info(request, _outcome(replay(now=timezone.now(), ids=ids)))

    @admin.action(description="Dismiss, with a reason", permissions=["clear"])
    def dismiss_selected(
        self, request: HttpRequest, queryset: QuerySet[QuarantinedEvent]
    ) -> HttpResponse:
        """Ask for the reason first."""
        ids = queryset.values_list("pk", flat=True)[:_CHOSEN_MAX]
        return HttpResponseRedirect(_dismiss_address(ids))

    @action(description="Replay what can be taken now", permissions=["clear"])
    def replay_mended(self, request: HttpRequest) -> HttpResponse:
        """Try all whose customer and type are known by now."""
        page = ActionPage(
            title="Replay the quarantine",
            button="Replay",
            form=forms.Form(sent(request)),
            effects=(
                "What has a known customer and type by now is stored, and billed by its own time.",
                "The others stay here. This also happens by itself every hour.",
            ),
            run=lambda _: _outcome(replay(now=timezone.now())),
            back=reverse("admin:usage_quarantinedevent_changelist"),
        )
        return answer(self, request, page)

    @action(
        description="Replay", url_path="replay", permissions=["clear"],
        variant=ActionVariant.PRIMARY,
    )  # fmt: skip
    def replay_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Try this event again."""
        back = reverse("admin:usage_quarantinedevent_change", args=[object_id])
        page = ActionPage(
            title="Replay this event",
            button="Replay",
            form=forms.Form(sent(request)),
            effects=("If its cause is mended, the event is stored, and billed by its own time.",),
            run=lambda _: _outcome(replay(now=timezone.now(), ids=[int(object_id)])),
            back=back,
        )
        return answer(self, request, page)

    @action(description="Dismiss", url_path="dismiss", permissions=["clear"])
    def dismiss_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for the reason first."""
        return HttpResponseRedirect(_dismiss_address([int(object_id)]))

    def dismiss_chosen(self, request: HttpRequest) -> HttpResponse:
        """Dismiss the events that the address names."""
        if not self.has_clear_permission(request):
            raise PermissionDenied
        words = request.GET.get("ids", "").split(",")
        ids = [int(word) for word in words if word.isascii() and word.isdigit()][:_CHOSEN_MAX]
        waiting = QuarantinedEvent.objects.filter(pk__in=ids, replayed_at=None, dismissed_at=None)

        def run(cleaned: dict[str, Any]) -> str:
            done = dismiss_many(
                ids=ids, reason=cleaned["reason"], by=request.user, now=timezone.now()
            )
            return f"{done} events are dismissed." if done != 1 else "1 event is dismissed."

        page = ActionPage(
            title="Dismiss events",
            button="Dismiss",
            danger=True,
            form=ReasonForm(sent(request)),
            effects=(
                f"{waiting.count()} waiting events leave the quarantine and are never billed.",
                "The reason and your name are kept with each.",
            ),
            run=run,
            back=reverse("admin:usage_quarantinedevent_changelist"),
        )
        return answer(self, request, page)

    def events(self, request: HttpRequest) -> HttpResponse:
        """Search all stored events; nothing can be changed here."""
        if not request.user.has_perm("usage.view_event"):
            raise PermissionDenied
        form = SearchForm(request.GET or None)
        found, problem = [], ""
        if form.is_valid():
            try:
                found = find_events(EventSearch(**form.cleaned_data), limit=_EVENTS_PER_PAGE)
            except SearchTooWide as error:
                problem = str(error)
        context = {
            **self.admin_site.each_context(request),
            "title": "Usage events",
            "form": form,
            "found": found,
            "problem": problem,
            "stored": estimate_events(),
            "older": _older(request, found),
            "media": self.media,
        }
        return TemplateResponse(request, "admin/usage/events.html", context)


def _older(request: HttpRequest, found: list[Any]) -> str:
    """Return the query of the next page; "" where there is none."""
    if len(found) < _EVENTS_PER_PAGE:
        return ""
    query = request.GET.copy()
    query["before"] = found[-1].time.isoformat()
    return query.urlencode()


def _dismiss_address(ids: Any) -> str:
    address = reverse("admin:usage_quarantinedevent_dismiss")
    return f"{address}?ids={','.join(str(pk) for pk in ids)}"


def _outcome(report: ReplayReport) -> str:
    return f"{report.replayed} stored, {report.waiting} still in quarantine."
