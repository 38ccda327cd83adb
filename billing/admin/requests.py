"""Credit that needs a second person: what waits, and approving or declining it."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextInputWidget

from billing.admin.ledger import ReadOnlyAdmin, in_unit
from billing.credits.requests import approve_credit_request, decline_credit_request
from billing.models import CreditRequest
from plans.admin.action_forms import ConfirmForm
from plans.admin.actions import ActionPage, already, answer, sent

_PARTS = ("pool__customer", "pool__unit", "grant", "to_pool", "requested_by", "requested_key")

_EFFECTS = {
    "Approve": "It is done at once, as it was asked for.",
    "Decline": "Nothing is done; the reason is kept with the request.",
}


class DeclineForm(forms.Form):
    """Why it is declined."""

    reason = forms.CharField(label="Reason", widget=UnfoldAdminTextInputWidget)


@admin.register(CreditRequest)
class CreditRequestAdmin(ReadOnlyAdmin):
    """What was asked for, by whom and why, and who decided."""

    list_display = ("customer_name", "kind", "moved", "reason", "asked_by", "status")
    list_display_links = ("customer_name",)
    list_filter = ("status", "kind")
    search_fields = ("pool__customer__name", "pool__customer__key", "key", "reason")
    ordering = ("-id",)
    fields = (
        ("customer_name", "kind", "moved"), ("pool", "grant", "to_pool"), ("key", "reason"),
        ("asked_by", "requested_at"), ("status", "approved_by", "declined_by", "decided_at"),
        "answer",
    )  # fmt: skip
    readonly_fields = ("customer_name", "moved", "asked_by")
    actions_detail = ("approve", "decline")

    def get_queryset(self, request: HttpRequest) -> QuerySet[CreditRequest]:
        """Load what a page names at once."""
        rows: QuerySet[CreditRequest] = super().get_queryset(request)
        return rows.select_related(*_PARTS)

    def has_approve_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether the person may approve and decline."""
        return request.user.has_perm("billing.approve_creditrequest")

    @display(description="Customer", ordering="pool__customer__name")
    def customer_name(self, request: CreditRequest) -> str:
        """Return the customer's name."""
        return request.pool.customer.name

    @display(description="Amount")
    def moved(self, request: CreditRequest) -> str:
        """Return the amount in its unit."""
        return in_unit(request.amount, request.pool.unit)

    @display(description="Requested by", ordering="requested_by__username")
    def asked_by(self, request: CreditRequest) -> str:
        """Name the person or the service."""
        return request.asker

    @action(
        description="Approve", url_path="approve", permissions=["approve"],
        variant=ActionVariant.PRIMARY,
    )  # fmt: skip
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Do what was asked for."""
        wanted = get_object_or_404(self.get_queryset(request), pk=object_id)

        def run(_: dict[str, Any]) -> str:
            by_id = request.user.pk
            assert by_id is not None
            approve_credit_request(request=wanted, now=timezone.now(), by_id=by_id)
            return f"Approved: {_words(wanted)}."

        return self._decide(request, wanted, run=run, button="Approve", form=ConfirmForm)

    @action(description="Decline", url_path="decline", permissions=["approve"])
    def decline(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Leave it undone, and say why."""
        wanted = get_object_or_404(self.get_queryset(request), pk=object_id)

        def run(cleaned: dict[str, Any]) -> str:
            by_id = request.user.pk
            assert by_id is not None
            decline_credit_request(
                request=wanted, answer=cleaned["reason"], now=timezone.now(), by_id=by_id
            )
            return f"Declined: {_words(wanted)}."

        return self._decide(request, wanted, run=run, button="Decline", form=DeclineForm)

    def _decide(
        self, request: HttpRequest, wanted: CreditRequest, *, run: Any, button: str, form: Any
    ) -> HttpResponse:
        back = reverse("admin:billing_creditrequest_changelist")
        if wanted.status != CreditRequest.Status.REQUESTED:
            return already(request, f"This is decided: {wanted.get_status_display()}.", back=back)
        page = ActionPage(
            title=f"{button}: {_words(wanted)}",
            button=button,
            form=form(sent(request)),
            effects=(
                f"{wanted.asker} asked for it: {wanted.reason}",
                _EFFECTS[button],
            ),
            run=run,
            back=back,
            danger=button == "Decline",
        )
        return answer(self, request, page)


def _words(wanted: CreditRequest) -> str:
    amount = in_unit(wanted.amount, wanted.pool.unit)
    where = f"{wanted.pool.customer.name}, {wanted.pool.name}"
    if wanted.to_pool is not None:
        return f"{wanted.get_kind_display()} of {amount}, {where}, to {wanted.to_pool.name}"
    return f"{wanted.get_kind_display()} of {amount}, {where}"
