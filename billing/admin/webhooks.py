"""Webhook endpoints, and the log of what was sent to them with every answer."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.paginator import InfinitePaginator
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from billing.admin.budgets import WhyForm
from billing.admin.ledger import ReadOnlyAdmin
from billing.models import EventType, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from billing.webhooks.endpoints import (
    change_endpoint,
    create_endpoint,
    disable_endpoint,
    enable_endpoint,
    replay_delivery,
    rotate_secret,
    send_test,
)
from plans.acting import acting
from plans.admin.action_forms import ConfirmForm
from plans.admin.actions import ActionPage, already, answer, sent
from plans.admin.base import HouseAdmin, add_refusal
from plans.errors import OperationError
from plans.models import Customer
from plans.timeline import SOURCES, own_rows

SOURCES[WebhookEndpoint] = [own_rows(WebhookEndpoint, "The endpoint", added="was added")]
_TYPES = [(value, label) for value, label in EventType.choices if value != EventType.TEST]
LOG_SHOWN = 50


class EndpointForm(forms.Form):
    """Where an endpoint is and what it is told of."""

    url = forms.URLField(
        label="Address", max_length=500, assume_scheme="https", widget=UnfoldAdminTextInputWidget,
        help_text="https://host/path, in the public internet.",
    )  # fmt: skip
    event_types = forms.MultipleChoiceField(
        label="It is told of", choices=_TYPES, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )
    description = forms.CharField(
        label="What it is for", max_length=200, required=False, widget=UnfoldAdminTextInputWidget
    )


class NewEndpointForm(EndpointForm):
    """The same, and whose events."""

    customer = forms.ModelChoiceField(
        label="Events of", queryset=Customer.objects.order_by("name"), required=False,
        empty_label="Every customer", widget=UnfoldAdminSelectWidget,
    )  # fmt: skip
    field_order = ("customer", "url", "event_types", "description")


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(HouseAdmin):
    """Endpoints by customer, with how they do."""

    list_display = ("url", "whose", "told_of", "health")
    list_display_links = ("url",)
    list_select_related = ("customer",)
    search_fields = ("url", "customer__name", "customer__key", "description")
    ordering = ("customer__name", "url")
    fields = (
        "url", "whose", "told_of", "description", "health", "failing_since", "disabled_at",
        "disabled_reason", "created_at",
    )  # fmt: skip
    readonly_fields = fields
    change_form_template = "admin/billing/webhookendpoint/change_form.html"
    actions_detail = ("edit", "test", "rotate", "disable", "enable")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Leave changes to the actions, which check the address."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep the log: an endpoint is disabled."""
        return False

    def has_manage_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether the person may change endpoints."""
        return request.user.has_perm("billing.change_webhookendpoint")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Let the customer's page link to its endpoints."""
        return lookup == "customer__id__exact" or super().lookup_allowed(lookup, value, request)

    @display(description="Events of", empty_value="Every customer", ordering="customer__name")
    def whose(self, endpoint: WebhookEndpoint) -> str | None:
        """Return the customer's name."""
        return endpoint.customer.name if endpoint.customer else None

    @display(description="Told of")
    def told_of(self, endpoint: WebhookEndpoint) -> str:
        """Return the types of events."""
        return ", ".join(endpoint.event_types)

    @display(
        description="Health", label={"Works": "success", "Fails": "warning", "Disabled": "danger"}
    )
    def health(self, endpoint: WebhookEndpoint) -> str:
        """Return whether its messages arrive."""
        if endpoint.disabled_at is not None:
            return "Disabled"
        return "Works" if endpoint.failing_since is None else "Fails"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:  # fmt: skip
        """Show the endpoint with its latest messages."""
        endpoint = self.get_object(request, object_id)
        context: dict[str, Any] = {}
        if endpoint is not None:
            rows = WebhookDelivery.objects.filter(endpoint=endpoint).select_related("event")
            context = {"deliveries": list(rows.order_by("-pk")[:LOG_SHOWN])}
        found: HttpResponse = super().change_view(request, object_id, form_url, context)
        return found

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Add an endpoint, and show its secret on the page that answers, and nowhere else."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = NewEndpointForm(sent(request))
        if request.method == "POST" and form.is_valid():
            try:
                with acting(by=request.user):  # type: ignore[arg-type]
                    row, secret = create_endpoint(**form.cleaned_data, now=timezone.now())
            except OperationError as refusal:
                add_refusal(form, refusal)
            else:
                return self._secret(request, row, secret)
        page = ActionPage(
            title="Add a webhook endpoint",
            button="Add the endpoint",
            form=form,
            effects=(
                "It is told of what happens from now on, signed by Standard Webhooks.",
                "The next page shows its secret once. Hand it to whoever runs the receiver.",
            ),
            run=lambda _: "",
            back=reverse("admin:billing_webhookendpoint_changelist"),
            only_shown=True,
        )
        return answer(self, request, page)

    def _secret(self, request: HttpRequest, row: WebhookEndpoint, secret: str) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "The secret of the endpoint",
            "endpoint": row,
            "secret": secret,
            "media": self.media,
        }
        return TemplateResponse(request, "admin/billing/webhookendpoint/secret.html", context)

    @action(description="Change", url_path="edit", permissions=["manage"])
    def edit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Change where it is and what it is told of."""
        row = get_object_or_404(WebhookEndpoint, pk=object_id)
        now_said = {"url": row.url, "event_types": row.event_types, "description": row.description}

        def run(cleaned: dict[str, Any]) -> str:
            change_endpoint(endpoint_id=row.pk, **cleaned)
            return "The endpoint is changed."

        page = ActionPage(
            title=f"Change {row.url}",
            button="Change the endpoint",
            form=EndpointForm(sent(request), initial=now_said),
            effects=("What waits is sent to the new address too.", "Its secret stays."),
            run=run,
            back=_page(row),
        )
        return answer(self, request, page)

    @action(description="Send a test", url_path="test", permissions=["manage"])
    def test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send a message of the type endpoint.test."""
        row = get_object_or_404(WebhookEndpoint, pk=object_id)

        def run(_: dict[str, Any]) -> str:
            send_test(endpoint=row, now=timezone.now())
            return "The test is on its way: the log below shows the answer within seconds."

        page = ActionPage(
            title=f"Send a test to {row.url}",
            button="Send a test",
            form=ConfirmForm(sent(request)),
            effects=("It gets a signed message of the type endpoint.test, without data.",),
            run=run,
            back=_page(row),
        )
        return answer(self, request, page)

    @action(description="New secret", url_path="rotate", permissions=["manage"])
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give it a new secret, and show that once."""
        row = get_object_or_404(WebhookEndpoint, pk=object_id)
        if request.method == "POST":
            return self._secret(request, row, rotate_secret(endpoint_id=row.pk, now=timezone.now()))
        page = ActionPage(
            title=f"Give {row.url} a new secret",
            button="Make a new secret",
            form=ConfirmForm(),
            effects=(
                "The next page shows the new secret once.",
                "For 24 hours messages are signed with the old one too.",
            ),
            run=lambda _: "",
            back=_page(row),
        )
        return answer(self, request, page)

    @action(
        description="Disable", url_path="disable", permissions=["manage"],
        variant=ActionVariant.DANGER,
    )  # fmt: skip
    def disable(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send it nothing from now on."""
        row = get_object_or_404(WebhookEndpoint, pk=object_id)
        if row.disabled_at is not None:
            return already(request, f"{row.url} is disabled already.", back=_page(row))

        def run(cleaned: dict[str, Any]) -> str:
            disable_endpoint(endpoint_id=row.pk, reason=cleaned["reason"], now=timezone.now())
            return f"{row.url} is disabled."

        page = ActionPage(
            title=f"Disable {row.url}",
            button="Disable the endpoint",
            danger=True,
            form=WhyForm(sent(request)),
            effects=("What happens while it is disabled is not told. What waits is kept.",),
            run=run,
            back=_page(row),
        )
        return answer(self, request, page)

    @action(description="Enable", url_path="enable", permissions=["manage"])
    def enable(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send to it again."""
        row = get_object_or_404(WebhookEndpoint, pk=object_id)
        if row.disabled_at is None:
            return already(request, f"{row.url} is not disabled.", back=_page(row))

        def run(_: dict[str, Any]) -> str:
            enable_endpoint(endpoint_id=row.pk)
            return f"{row.url} is enabled."

        page = ActionPage(
            title=f"Enable {row.url}",
            button="Enable the endpoint",
            form=ConfirmForm(sent(request)),
            effects=(
                f"It was disabled: {row.disabled_reason}",
                "What waited is sent first. What happened meanwhile is not told.",
            ),
            run=run,
            back=_page(row),
        )
        return answer(self, request, page)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    """Messages to endpoints, newest first; each with its attempts and their answers."""

    list_display = ("what", "endpoint", "status", "attempts", "next_at", "ended_at")
    list_display_links = ("what",)
    list_select_related = ("event", "endpoint")
    list_filter = ("status", "event__type")
    search_fields = ("=event__key",)
    ordering = ("-pk",)
    paginator = InfinitePaginator
    fields = ("what", "endpoint", "status", "attempts", "next_at", "ended_at")
    change_form_template = "admin/billing/webhookdelivery/change_form.html"
    actions_detail = ("replay",)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Let an endpoint's page link to its messages."""
        return lookup == "endpoint__id__exact" or super().lookup_allowed(lookup, value, request)

    def has_replay_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether the person may send messages again."""
        return request.user.has_perm("billing.change_webhookendpoint")

    @display(description="Event")
    def what(self, delivery: WebhookDelivery) -> str:
        """Return the event's key."""
        return delivery.event.key

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:  # fmt: skip
        """Show what was sent, and each attempt with its answer."""
        delivery = self.get_object(request, object_id)
        context: dict[str, Any] = {}
        if delivery is not None:
            log = WebhookAttempt.objects.filter(delivery=delivery).order_by("-pk")
            context = {"event": delivery.event, "log": list(log[:LOG_SHOWN])}
        found: HttpResponse = super().change_view(request, object_id, form_url, context)
        return found

    @action(
        description="Send again", url_path="replay", permissions=["replay"],
        variant=ActionVariant.PRIMARY,
    )  # fmt: skip
    def replay(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send the message once more."""
        row = get_object_or_404(
            WebhookDelivery.objects.select_related("event", "endpoint"), pk=object_id
        )

        def run(_: dict[str, Any]) -> str:
            replay_delivery(delivery_id=row.pk, now=timezone.now())
            return "The message is sent again within seconds."

        page = ActionPage(
            title=f"Send {row.event.key} again",
            button="Send again",
            form=ConfirmForm(sent(request)),
            effects=(
                f"{row.endpoint.url} gets the same content under the same message id.",
                "If it fails, it is tried again by the usual schedule.",
            ),
            run=run,
            back=reverse("admin:billing_webhookdelivery_change", args=[row.pk]),
        )
        return answer(self, request, page)


def _page(row: WebhookEndpoint) -> str:
    return reverse("admin:billing_webhookendpoint_change", args=[row.pk])
