"""What was bought into a pool, and the page on which a purchase is marked as paid."""

from datetime import date, datetime
from typing import Any

from django import forms
from django.http import HttpRequest
from django.urls import reverse
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from billing.credits.buying import mark_paid
from billing.models import CreditGrant, CreditPool, CreditPurchase
from billing.queries.credit_page import amount_in, came_from
from billing.wording import Money, day, day_of, moment
from plans.admin.action_forms import DateInput
from plans.admin.actions import ActionPage, sent
from plans.rating import local_midnight

PURCHASES_SHOWN = 100


class _WaitingChoice(forms.ModelChoiceField):  # type: ignore[type-arg]
    def label_from_instance(self, grant: CreditGrant) -> str:
        """Return what was bought, for how much, and when."""
        name = came_from(grant, getattr(grant, "purchase", None))
        since = day_of(grant.effective_at, zone=grant.pool.customer.time_zone)
        cost = f", {Money(grant.cost, grant.currency)}" if grant.cost else ""
        return f"{name}{cost}, of {since} ({grant.key})"


class PaidForm(forms.Form):
    """Which grant was paid on which day of the customer's time zone, and how that is known."""

    grant = _WaitingChoice(
        label="What was paid", queryset=CreditGrant.objects.none(), widget=UnfoldAdminSelectWidget,
        error_messages={"invalid_choice": "It is paid already, or needs no payment."},
    )  # fmt: skip
    paid_on = forms.DateField(
        label="Paid on", widget=DateInput, help_text="It may be used from the start of that day."
    )
    reason = forms.CharField(
        label="Reason", max_length=500, widget=UnfoldAdminTextInputWidget,
        help_text="How you know: the transfer's or the receipt's number. Kept in the history.",
    )  # fmt: skip

    def __init__(self, data: Any, *, pool: CreditPool, now: datetime) -> None:
        super().__init__(data)
        self._zone, self._now = pool.customer.time_zone, now
        waiting = CreditGrant.objects.filter(pool=pool, needs_payment=True, paid_at=None)
        rows = waiting.select_related("pool__customer", "purchase").order_by("effective_at", "pk")
        self.fields["grant"].queryset = rows  # type: ignore[attr-defined]

    def clean_paid_on(self) -> date:
        """Take no day that has not come."""
        found: date = self.cleaned_data["paid_on"]
        if local_midnight(found, zone=self._zone) > self._now:
            raise forms.ValidationError("That day has not come: give the day it was paid.")
        return found


def paid_page(
    model_admin: ModelAdmin, request: HttpRequest, pool: CreditPool, *, now: datetime
) -> ActionPage:
    """Return the page on which what waits for its payment becomes usable."""

    def run(cleaned: dict[str, Any]) -> str:
        grant, on = cleaned["grant"], cleaned["paid_on"]
        paid_at = local_midnight(on, zone=pool.customer.time_zone)
        mark_paid(grant_id=grant.pk, paid_at=paid_at, now=now)
        message = f"{amount_in(grant.amount, pool.unit)} are paid since {day(on)}: they may be used"
        model_admin.log_change(request, pool, f"{message}. “{grant.key}”. {cleaned['reason']}")
        return f"{message} by {pool.customer.name}."

    return ActionPage(
        title=f"Mark credit of {pool.customer.name}, {pool.name}, as paid",
        button="Mark as paid",
        form=PaidForm(sent(request), pool=pool, now=now),
        effects=(
            "All that the grant holds may be used from then on.",
            "No money is posted: the price stands on a statement, and its payment is posted there.",
        ),
        run=run,
        back=reverse("admin:billing_creditpool_change", args=[pool.pk]),
    )


def purchase_rows(pool: CreditPool) -> list[dict[str, Any]]:
    """Return the latest purchases into a pool, as its page writes them."""
    rows = CreditPurchase.objects.filter(grant__pool=pool)
    found = rows.select_related("grant", "bought_by", "billed_on").order_by("-pk")
    return [_purchase_row(each, pool) for each in found[:PURCHASES_SHOWN]]


def _purchase_row(row: CreditPurchase, pool: CreditPool) -> dict[str, Any]:
    zone, by = pool.customer.time_zone, row.bought_by
    return {
        "name": came_from(row.grant, row),
        "by": f"by {by.get_username()}" if by else "without a person",
        "bought": moment(row.bought_at, zone=zone),
        "credit": amount_in(row.grant.amount, pool.unit),
        "amount": Money(row.amount, pool.customer.currency),
        "payment": _payment(row.grant, zone=zone),
        "statement": row.billed_on,
    }


def _payment(grant: CreditGrant, *, zone: str) -> str:
    if not grant.needs_payment:
        return "Usable at once"
    return f"Paid {day_of(grant.paid_at, zone=zone)}" if grant.paid_at else "Waiting"
