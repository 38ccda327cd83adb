"""The customer's credit and commitments, and buying packs."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from billing.credits.buying import PACKS_MOST, buy_pack
from billing.portal.access import customer_form, customer_page
from billing.portal.views import after_of, page_of
from billing.queries.commitments import commitments_page
from billing.queries.credit_page import Offer, credit_page, offers_to
from plans.errors import OperationError
from plans.models import Customer


class QuantityForm(forms.Form):
    """How many packs are asked for."""

    quantity = forms.IntegerField(min_value=1, max_value=PACKS_MOST, required=False)


class BuyForm(forms.Form):
    """What was shown before it was confirmed; ``order`` is sent again by a double click."""

    quantity = forms.IntegerField(min_value=1, max_value=PACKS_MOST)
    amount = forms.DecimalField()
    order = forms.UUIDField()


@customer_page
def credit(request: HttpRequest, *, customer: Customer) -> HttpResponse:
    """Show the customer's pools, what was drawn of them, and the packs on sale."""
    page = credit_page(customer=customer, at=_now(customer), after=after_of(request, digits=19))
    return page_of(request, "credit", customer=customer, page=page, most=PACKS_MOST)


@customer_page
def commitments(request: HttpRequest, *, customer: Customer) -> HttpResponse:
    """Show how the customer's commitments stand."""
    found = commitments_page(customer=customer, now=_now(customer))
    return page_of(request, "commitments", customer=customer, rows=found)


@customer_form
def buy(request: HttpRequest, *, customer: Customer, key: str) -> HttpResponse:
    """Restate what packs cost, and buy them once it is confirmed."""
    now = _now(customer)
    if request.method != "POST":
        asked = QuantityForm(request.GET)
        quantity = (asked.cleaned_data["quantity"] or 1) if asked.is_valid() else 1
        problem = "" if asked.is_valid() else f"Buy between 1 and {PACKS_MOST:,} packs."
        offer = _offer(customer, key, quantity, now=now)
        return _confirm(request, customer, offer, order=str(uuid4()), problem=problem)
    form = BuyForm(request.POST)
    if not form.is_valid():
        offer = _offer(customer, key, 1, now=now)
        problem = "Nothing was bought: the order was incomplete. Look at it and confirm it again."
        return _confirm(request, customer, offer, order=str(uuid4()), problem=problem)
    said = form.cleaned_data
    offer = _offer(customer, key, said["quantity"], now=now)
    problem = _buy(request, customer, offer, said=said, now=now)
    if problem:
        return _confirm(request, customer, offer, order=str(uuid4()), problem=problem)
    return HttpResponseRedirect(reverse("portal:credit"))


def _buy(
    request: HttpRequest, customer: Customer, offer: Offer, *, said: dict[str, Any], now: datetime
) -> str:
    """Buy what was shown; return why it was refused, or ""."""
    shown: Decimal = said["amount"]
    if shown != offer.amount.amount:
        return f"Nothing was bought: the price is {offer.amount} now. Confirm it if that is right."
    try:
        bought = buy_pack(
            customer=customer, pack_key=offer.key, quantity=offer.quantity, now=now,
            key=f"portal:{said['order']}", by_id=request.user.pk,
        )  # fmt: skip
    except OperationError as refusal:
        return refusal.message
    paid = " It may be used once it is paid." if bought.grant.needs_payment else ""
    messages.success(
        request,
        f"{offer.credits} are bought for {offer.amount}, which stands on the statement of this"
        f" period.{paid}",
    )
    return ""


def _offer(customer: Customer, key: str, quantity: int, *, now: datetime) -> Offer:
    for offer in offers_to(customer=customer, at=now, quantity=quantity):
        if offer.key == key:
            return offer
    raise Http404


def _confirm(
    request: HttpRequest, customer: Customer, offer: Offer, *, order: str, problem: str
) -> HttpResponse:
    return page_of(
        request, "buy", customer=customer, offer=offer, order=order, problem=problem,
        status=409 if problem else 200,
    )  # fmt: skip


def _now(customer: Customer) -> datetime:
    """Return the time at which a customer stands: the real one, or its test clock's."""
    return customer.clock_at or timezone.now()
