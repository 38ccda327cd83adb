"""API keys: issued with a secret that is shown once, revoked with a reason, never deleted."""

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
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from plans.admin.actions import ActionPage, already, answer, sent
from plans.admin.base import HouseAdmin
from plans.timeline import SOURCES, own_rows
from usage.models import ApiKey, Scope
from usage.operations.api_keys import issue_key, revoke_key

SOURCES[ApiKey] = [own_rows(ApiKey, "The key", added="was issued")]


class IssueForm(forms.Form):
    """Which service gets a key, and what for."""

    name = forms.CharField(
        label="Service", max_length=200, widget=UnfoldAdminTextInputWidget,
        help_text="The service that uses the key.",
    )  # fmt: skip
    scopes = forms.MultipleChoiceField(
        label="It may", choices=Scope.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )


class ReasonForm(forms.Form):
    """Why."""

    reason = forms.CharField(label="Reason", max_length=500, widget=UnfoldAdminTextInputWidget)


@admin.register(ApiKey)
class ApiKeyAdmin(HouseAdmin):
    """API keys by service, with when each was last used."""

    list_display = ("name", "starts_with", "may", "created_at", "last_used_at", "is_valid")
    search_fields = ("name", "prefix")
    ordering = ("name", "id")
    actions_detail = ("revoke",)
    fields = ("name", "starts_with", "may", "created_at", "last_used_at", "revoked_at")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep keys as they are: they are only issued and revoked."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep revoked keys: they say who once had access."""
        return False

    def has_revoke_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether the person may revoke keys."""
        return request.user.has_perm("usage.change_apikey")

    @display(description="Begins with")
    def starts_with(self, key: ApiKey) -> str:
        """Return what names the key to people."""
        return f"{key.prefix}…"

    @display(description="May")
    def may(self, key: ApiKey) -> str:
        """Return the scopes in words."""
        return "; ".join(Scope(scope).label for scope in key.scopes)

    @display(description="Valid", boolean=True)
    def is_valid(self, key: ApiKey) -> bool:
        """Say whether the key still opens anything."""
        return key.revoked_at is None

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Issue a key, and show its secret on the page that answers, and nowhere else."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = IssueForm(sent(request))
        if request.method == "POST" and form.is_valid():
            return self._issue(request, form.cleaned_data)
        page = ActionPage(
            title="Issue an API key",
            button="Issue the key",
            form=form,
            effects=(
                "The next page shows the key's secret once. Only a digest of it is kept.",
                "Whoever has the secret may do what is chosen here, until the key is revoked.",
            ),
            run=lambda _: "",
            back=reverse("admin:usage_apikey_changelist"),
        )
        return answer(self, request, page)

    def _issue(self, request: HttpRequest, cleaned: dict[str, Any]) -> HttpResponse:
        key, secret = issue_key(name=cleaned["name"], scopes=cleaned["scopes"], now=timezone.now())
        self.log_addition(request, key, f"Issued {key}.")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "The key is issued",
            "key": key,
            "secret": secret,
            "media": self.media,
        }
        return TemplateResponse(request, "admin/usage/apikey_issued.html", context)

    @action(
        description="Revoke", url_path="revoke", permissions=["revoke"],
        variant=ActionVariant.DANGER,
    )  # fmt: skip
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End the key at once."""
        key = get_object_or_404(ApiKey, pk=object_id)
        back = reverse("admin:usage_apikey_change", args=[key.pk])
        if key.revoked_at is not None:
            return already(request, f"{key.name} was revoked before.", back=back)

        def run(cleaned: dict[str, Any]) -> str:
            revoke_key(key_id=key.pk, now=timezone.now())
            self.log_change(request, key, f"Revoked: {cleaned['reason']}")
            return f"{key} is revoked."

        page = ActionPage(
            title=f"Revoke the key of {key.name}?",
            button="Revoke the key",
            danger=True,
            form=ReasonForm(sent(request)),
            effects=(
                f"Every request with the key that begins with {key.prefix} is refused from now on.",
                "It cannot be made valid again: issue a new key instead.",
            ),
            run=run,
            back=back,
        )
        return answer(self, request, page)
