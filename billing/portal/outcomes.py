"""The customers' pages of outcomes: in the portal, and behind a signed link in an e-mail."""

from datetime import datetime
from typing import Any

from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from billing.outcome_links import Asked, read_link
from billing.portal.access import customer_form, customer_page, guarded
from billing.queries.outcomes import asked_of, outcome_list
from plans.errors import OperationError
from plans.models import Customer
from usage.models import Outcome, StepVia
from usage.operations.outcome_steps import Actor, take_step
from usage.outcome_states import Action

_ACTIONS: dict[str, Action] = {"verify": "verify", "reject": "reject", "dispute": "dispute"}


@customer_page
def outcomes(request: HttpRequest, *, customer: Customer) -> HttpResponse:
    """List the customer's outcomes with what is expected, contested, and to decide."""
    return _listed(request, customer)


@require_POST
@customer_form
def take(request: HttpRequest, *, customer: Customer, outcome_id: int, action: str) -> HttpResponse:
    """Verify, reject or dispute an outcome of the customer's."""
    by: Any = request.user
    problem = _take(request, customer.pk, outcome_id, action, Actor(StepVia.PORTAL, by=by))
    return _listed(request, customer, problem=problem) if problem else redirect("portal:outcomes")


@guarded
@require_safe
def asked(request: HttpRequest, token: str) -> HttpResponse:
    """List what a signed link asks about."""
    return _asked(request, token, _read(token))


@guarded
@require_POST
def answered(request: HttpRequest, token: str, outcome_id: int, action: str) -> HttpResponse:
    """Verify or reject one of the outcomes that a signed link asks about."""
    link = _read(token)
    if action == "dispute" or not link.first <= outcome_id <= link.last:
        raise Http404
    actor = Actor(StepVia.LINK, who=link.email)
    problem = _take(request, link.customer, outcome_id, action, actor)
    return _asked(request, token, link, problem=problem)


def _now(customer: Customer) -> datetime:
    """Return the time at which a customer stands: the real one, or its test clock's."""
    return customer.clock_at or timezone.now()


def _read(token: str) -> Asked:
    try:
        return read_link(token)
    except signing.BadSignature as error:
        raise Http404 from error


def _take(
    request: HttpRequest, customer_id: int, outcome_id: int, action: str, actor: Actor
) -> str:
    """Take the step; return why it was refused, or ""."""
    rows = Outcome.objects.filter(pk=outcome_id, customer_id=customer_id)
    outcome = rows.select_related("customer").first()
    if outcome is None or action not in _ACTIONS:
        raise Http404
    try:
        take_step(
            outcome=outcome, action=_ACTIONS[action], actor=actor,
            reason=request.POST.get("reason", ""), now=_now(outcome.customer),
        )  # fmt: skip
    except OperationError as refusal:
        return refusal.message
    return ""


def _listed(request: HttpRequest, customer: Customer, *, problem: str = "") -> HttpResponse:
    after = request.GET.get("after", "")
    if after and not (after.isascii() and after.isdigit() and len(after) < 19):
        raise Http404
    found = outcome_list(customer=customer, now=_now(customer), after=int(after) if after else None)
    context = {
        "customer_name": customer.name, "zone": customer.time_zone, "section": "outcomes",
        "list": found, "rows": found.rows, "problem": problem,
    }  # fmt: skip
    return render(request, "portal/outcomes.html", context, status=409 if problem else 200)


def _asked(request: HttpRequest, token: str, link: Asked, *, problem: str = "") -> HttpResponse:
    customer, rows = asked_of(
        customer_id=link.customer, first=link.first, last=link.last, now=timezone.now()
    )
    context = {
        "customer_name": customer.name, "zone": customer.time_zone, "rows": rows, "token": token,
        "problem": problem,
    }  # fmt: skip
    return render(request, "portal/verify.html", context, status=409 if problem else 200)
