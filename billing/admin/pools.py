"""Credit pools of customers: what was granted, what is held, and granting more."""

from datetime import datetime
from decimal import Decimal
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
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from billing.admin.ledger import in_unit
from billing.admin.moving import AWAITS, expire_page, transfer_page
from billing.admin.purchases import paid_page, purchase_rows
from billing.admin.refilling import limit_page, low_balance_page, settings_of, top_up_page
from billing.credits.queries import annotated_with_balances
from billing.credits.requests import request_grant
from billing.models import CreditGrant, CreditPool, Hold, UnitOfAccount
from billing.wording import Money, moment
from plans.admin.action_forms import DateInput
from plans.admin.actions import ActionPage, answer, sent
from plans.admin.base import HouseAdmin, NumberInput
from plans.rating import local_midnight

GRANTS_SHOWN = 100


class GrantForm(forms.Form):
    """What is added to a pool; dates are days of the customer's billing time zone."""

    source = forms.ChoiceField(
        label="Why it is granted",
        choices=[
            (CreditGrant.Source.PROMOTION, "Promotion: given away"),
            (CreditGrant.Source.SERVICE, "Service credit: we fell short"),
            (CreditGrant.Source.BOUGHT, "Bought"),
        ],
        widget=UnfoldAdminSelectWidget,
    )
    amount = forms.DecimalField(max_digits=26, decimal_places=12, widget=NumberInput)
    cost = forms.DecimalField(
        label="Sold for", required=False, min_value=0, max_digits=26, decimal_places=4,
        widget=NumberInput, help_text="In the customer's currency. Empty: given away.",
    )  # fmt: skip
    expires_on = forms.DateField(
        label="Expires", required=False, widget=DateInput, help_text="Empty: never."
    )
    priority = forms.IntegerField(
        min_value=0, max_value=32767, initial=100, widget=NumberInput,
        help_text="Credit with a lower number is used first.",
    )  # fmt: skip
    key = forms.CharField(
        label="Reference", max_length=200, widget=UnfoldAdminTextInputWidget,
        help_text="An order's or a ticket's number. The same reference is granted once.",
    )  # fmt: skip
    note = forms.CharField(
        label="Reason", widget=UnfoldAdminTextInputWidget,
        help_text="Kept in the journal.",
    )  # fmt: skip


@admin.register(UnitOfAccount)
class UnitOfAccountAdmin(HouseAdmin):
    """Currencies as they come to be used, and the credits that finance defines."""

    list_display = ("code", "name", "kind", "decimals", "approval_above")
    list_filter = ("kind",)
    ordering = ("kind", "code")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Leave a unit as it is, but for who may move it: balances are counted in it."""
        return () if obj is None else ("code", "name", "kind", "decimals")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep a unit: balances are counted in it."""
        return False


@admin.register(CreditPool)
class CreditPoolAdmin(HouseAdmin):
    """Pools by customer, with what is available now."""

    list_display = ("customer_name", "name", "settled", "held", "available")
    list_display_links = ("name",)
    search_fields = ("customer__name", "customer__key", "key", "name")
    ordering = ("customer__name", "name")
    autocomplete_fields = ("customer",)
    fields = ("customer", ("name", "key"), "unit")
    prepopulated_fields = {"key": ("name",)}
    change_form_template = "admin/billing/creditpool/change_form.html"
    actions_detail = ("grant", "paid", "transfer", "expire", "top_up", "low_balance", "limit")

    def get_queryset(self, request: HttpRequest) -> QuerySet[CreditPool]:
        """Load the balances of a page at once."""
        rows: QuerySet[CreditPool] = super().get_queryset(request)
        return annotated_with_balances(rows.select_related("customer", "unit"), at=timezone.now())

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Leave a pool as it was opened; credit is added by an action."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep what was granted."""
        return False

    def has_grant_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether the person may grant credit."""
        return request.user.has_perm("billing.add_creditgrant")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Let the customer's page link to its pools."""
        return lookup == "customer__id__exact" or super().lookup_allowed(lookup, value, request)

    @display(description="Customer", ordering="customer__name")
    def customer_name(self, pool: CreditPool) -> str:
        """Return the customer's name."""
        return pool.customer.name

    @display(description="Settled")
    def settled(self, pool: Any) -> str:
        """Return what was granted and is neither used nor expired."""
        return in_unit(pool.settled, pool.unit)

    @display(description="Held")
    def held(self, pool: Any) -> str:
        """Return what is reserved of it."""
        return in_unit(pool.held, pool.unit)

    @display(description="Available")
    def available(self, pool: Any) -> str:
        """Return what may be held or used now."""
        return in_unit(pool.available, pool.unit)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:  # fmt: skip
        """Show the pool with its grants in the order of use, and its holds."""
        pool = self.get_object(request, object_id)
        context = {} if pool is None else {"title": str(pool), **_contents(pool)}
        found: HttpResponse = super().change_view(request, object_id, form_url, context)
        return found

    @action(
        description="Grant credit", url_path="grant", permissions=["grant"],
        variant=ActionVariant.PRIMARY,
    )  # fmt: skip
    def grant(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Add credit to the pool."""
        pool = get_object_or_404(self.get_queryset(request), pk=object_id)
        return answer(self, request, _grant_page(request, pool, now=timezone.now()))

    @action(description="Paid", url_path="paid", permissions=["grant"])
    def paid(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let a grant that waits for its payment be used."""
        pool = get_object_or_404(self.get_queryset(request), pk=object_id)
        now = pool.customer.clock_at or timezone.now()
        return answer(self, request, paid_page(self, request, pool, now=now))

    @action(description="Move credit", url_path="transfer", permissions=["grant"])
    def transfer(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Move credit to another pool of the customer."""
        pool = get_object_or_404(self.get_queryset(request), pk=object_id)
        return answer(self, request, transfer_page(request, pool, now=timezone.now()))

    @action(description="Expire credit", url_path="expire", permissions=["grant"])
    def expire(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let what is free of a grant expire now."""
        pool = get_object_or_404(self.get_queryset(request), pk=object_id)
        return answer(self, request, expire_page(request, pool, now=timezone.now()))

    @action(description="Top-up", url_path="top-up", permissions=["grant"])
    def top_up(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say when a pack is bought by itself."""
        pool = get_object_or_404(self.get_queryset(request), pk=object_id)
        return answer(self, request, top_up_page(request, pool))

    @action(description="Low balance", url_path="low-balance", permissions=["grant"])
    def low_balance(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say below what balance somebody is told."""
        pool = get_object_or_404(self.get_queryset(request), pk=object_id)
        return answer(self, request, low_balance_page(request, pool))

    @action(description="Limit a workspace", url_path="limit", permissions=["grant"])
    def limit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say what a workspace takes of the pool at most."""
        pool = get_object_or_404(self.get_queryset(request), pk=object_id)
        return answer(self, request, limit_page(request, pool))


def _grant_page(request: HttpRequest, pool: CreditPool, *, now: datetime) -> ActionPage:
    def run(cleaned: dict[str, Any]) -> str:
        by_id = request.user.pk
        assert by_id is not None
        waits = request_grant(
            pool=pool,
            key=cleaned["key"],
            amount=cleaned["amount"],
            terms={
                "source": cleaned["source"],
                "expires_at": _expiry(pool, cleaned["expires_on"]),
                "priority": cleaned["priority"],
                "cost": cleaned["cost"] or Decimal(0),
            },
            reason=cleaned["note"],
            now=now,
            by_id=by_id,
        )
        if waits is not None:
            return AWAITS
        return f"{in_unit(cleaned['amount'], pool.unit)} were granted to {pool.customer.name}."

    return ActionPage(
        title=f"Grant credit to {pool.customer.name}, {pool.name}",
        button="Grant",
        form=GrantForm(sent(request)),
        effects=(
            f"{in_unit(pool.available, pool.unit)} are available now; the grant is added.",  # type: ignore[attr-defined]
            f"It may be used at once, by all workspaces of {pool.customer.name}.",
            "The ledger keeps it: a grant is not changed afterwards, it is expired.",
        ),
        run=run,
        back=reverse("admin:billing_creditpool_change", args=[pool.pk]),
    )


def _expiry(pool: CreditPool, day: Any) -> datetime | None:
    return None if day is None else local_midnight(day, zone=pool.customer.time_zone)


def _contents(pool: Any) -> dict[str, Any]:
    zone, unit = pool.customer.time_zone, pool.unit
    grants = CreditGrant.objects.filter(pool=pool).order_by("-pk")[:GRANTS_SHOWN]
    holds = Hold.objects.filter(pool=pool).order_by("-pk")[:GRANTS_SHOWN]
    return {
        "balances": [
            ("Settled", in_unit(pool.settled, unit)),
            ("Held", in_unit(pool.held, unit)),
            ("Available", in_unit(pool.available, unit)),
        ],
        "settings": settings_of(pool),
        "zone": zone,
        "purchases": purchase_rows(pool),
        "grants": [
            {
                "key": grant.key,
                "source": grant.get_source_display(),
                "amount": in_unit(grant.amount, unit),
                "remaining": in_unit(grant.remaining, unit),
                "priority": grant.priority,
                "cost": Money(grant.cost, grant.currency) if grant.cost else "—",
                "expires": moment(grant.expires_at, zone=zone) if grant.expires_at else "Never",
                "note": grant.note,
            }
            for grant in grants
        ],
        "holds": [
            {
                "key": hold.key,
                "status": hold.get_status_display(),
                "amount": in_unit(hold.amount, unit),
                "used": in_unit(hold.used, unit),
                "until": moment(hold.expires_at, zone=zone),
            }
            for hold in holds
        ],
    }
