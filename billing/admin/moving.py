"""The pages of a pool on which credit is moved to another pool, or let go before its time."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django import forms
from django.db.models import F, Q
from django.http import HttpRequest
from django.urls import reverse
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from billing.admin.ledger import in_unit
from billing.credits.requests import request_expiry, request_transfer
from billing.models import CreditGrant, CreditPool, CreditRequest
from plans.admin.actions import ActionPage, sent
from plans.admin.base import NumberInput

AWAITS = "Another person must approve it: it waits on the home page."


class _GrantChoice(forms.ModelChoiceField):  # type: ignore[type-arg]
    def label_from_instance(self, grant: CreditGrant) -> str:
        """Return a grant's reference with what is free of it."""
        free = in_unit(grant.remaining - grant.held, grant.pool.unit)
        return f"{grant.key}: {free} free"


class ExpireForm(forms.Form):
    """Which grant of a pool expires now, and why."""

    grant = _GrantChoice(queryset=CreditGrant.objects.none(), widget=UnfoldAdminSelectWidget)
    key = forms.CharField(
        label="Reference", max_length=150, widget=UnfoldAdminTextInputWidget,
        help_text="An order's or a ticket's number. The same reference is done once.",
    )  # fmt: skip
    reason = forms.CharField(
        label="Reason", widget=UnfoldAdminTextInputWidget, help_text="Kept in the journal."
    )

    def __init__(self, data: Any, *, pool: CreditPool, now: datetime) -> None:
        super().__init__(data)
        free = CreditGrant.objects.filter(pool=pool, has_credit=True, remaining__gt=F("held"))
        in_time = free.filter(Q(expires_at=None) | Q(expires_at__gt=now))
        self.fields["grant"].queryset = in_time.select_related("pool__unit").order_by("pk")  # type: ignore[attr-defined]


class TransferForm(ExpireForm):
    """What of a grant moves to which pool of the same customer and unit, and why."""

    to_pool = forms.ModelChoiceField(
        label="To the pool", queryset=CreditPool.objects.none(), widget=UnfoldAdminSelectWidget
    )
    amount = forms.DecimalField(max_digits=26, decimal_places=12, widget=NumberInput)
    field_order = ("grant", "to_pool", "amount", "key", "reason")

    def __init__(self, data: Any, *, pool: CreditPool, now: datetime) -> None:
        super().__init__(data, pool=pool, now=now)
        others = CreditPool.objects.filter(customer=pool.customer_id, unit=pool.unit_id)
        self.fields["to_pool"].queryset = others.exclude(pk=pool.pk).order_by("name")  # type: ignore[attr-defined]


def expire_page(request: HttpRequest, pool: CreditPool, *, now: datetime) -> ActionPage:
    """Return the page on which what is free of a grant expires."""

    def run(cleaned: dict[str, Any]) -> str:
        grant = cleaned["grant"]
        waits = request_expiry(
            grant=grant, key=cleaned["key"], reason=cleaned["reason"], now=now,
            by_id=_by(request),
        )  # fmt: skip
        return _said(waits, f"What was free of “{grant.key}” has expired.")

    return _page(
        pool, run, title=f"Expire credit of {pool.customer.name}, {pool.name}",
        button="Expire", danger=True, form=ExpireForm(sent(request), pool=pool, now=now),
        effects=(
            "All that is free of the grant expires now; what it was sold for is breakage.",
            "What is held of it stays until its hold ends.",
        ),
    )  # fmt: skip


def transfer_page(request: HttpRequest, pool: CreditPool, *, now: datetime) -> ActionPage:
    """Return the page on which credit moves to another pool."""

    def run(cleaned: dict[str, Any]) -> str:
        waits = request_transfer(
            from_grant=cleaned["grant"], to_pool=cleaned["to_pool"], amount=cleaned["amount"],
            key=cleaned["key"], reason=cleaned["reason"], now=now, by_id=_by(request),
        )  # fmt: skip
        moved = f"{in_unit(cleaned['amount'], pool.unit)} were moved to {cleaned['to_pool'].name}."
        return _said(waits, moved)

    return _page(
        pool, run, title=f"Move credit of {pool.customer.name}, {pool.name}",
        button="Move", form=TransferForm(sent(request), pool=pool, now=now),
        effects=(
            "Free credit of one grant becomes a grant of the other pool, on the same terms.",
            "Its part of what it was sold for goes along.",
        ),
    )  # fmt: skip


def _page(pool: CreditPool, run: Callable[[dict[str, Any]], str], **said: Any) -> ActionPage:
    back = reverse("admin:billing_creditpool_change", args=[pool.pk])
    return ActionPage(run=run, back=back, **said)


def _said(waits: CreditRequest | None, done: str) -> str:
    return done if waits is None else AWAITS


def _by(request: HttpRequest) -> int:
    assert request.user.pk is not None
    return request.user.pk
