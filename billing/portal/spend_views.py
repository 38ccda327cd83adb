"""What has been spent and is held, and the budgets that limit it."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from billing.alerts.changing import change_budget, standing_of
from billing.portal.access import customer_form, customer_page
from billing.portal.forms import BudgetForm
from billing.portal.views import page_of
from billing.queries.spend import spend_page
from plans.acting import acting
from plans.errors import OperationError
from plans.models import Customer
from plans.operations.budgets import Scope, remove_budget


@customer_page
def spend(request: HttpRequest, *, customer: Customer) -> HttpResponse:
    """Show this period's spend and holds against the budgets."""
    page = spend_page(customer=customer, now=timezone.now())
    return page_of(request, "spend", customer=customer, page=page)


@customer_form
def budget(request: HttpRequest, *, customer: Customer, key: str = "") -> HttpResponse:
    """Set, change or remove the budget of the customer or of one of its workspaces."""
    scope = _scope(customer, key)
    standing = standing_of(scope)
    form = BudgetForm(request.POST or None, terms=standing.terms, currency=customer.currency)
    effects: tuple[str, ...] = ()
    if request.method == "POST" and "remove" in request.POST:
        return _remove(request, scope)
    if form.is_valid():
        effects = standing.effects_of(form.terms)
        if "save" in request.POST:
            saved = _save(request, scope, form)
            if saved is not None:
                return saved
    return page_of(
        request,
        "budget",
        customer=customer,
        scope=scope,
        standing=standing,
        form=form,
        effects=effects,
    )


def _scope(customer: Customer, key: str) -> Scope:
    if not key:
        return Scope(customer=customer)
    workspace = customer.workspaces.filter(key=key).first()
    if workspace is None:
        raise Http404
    return Scope(customer=customer, workspace=workspace)


def _save(request: HttpRequest, scope: Scope, form: BudgetForm) -> HttpResponse | None:
    """Store the budget; None, with the form saying why, where it is refused."""
    try:
        with acting(by=_person(request), reason=form.cleaned_data["reason"]):
            change_budget(scope=scope, terms=form.terms, now=timezone.now())
    except OperationError as refusal:
        for problem in refusal.problems:
            field = problem.field if problem.field in form.fields else None
            form.add_error(field, problem.message)
        return None
    messages.success(request, f"The budget of {scope.name} is set. It holds from now on.")
    return HttpResponseRedirect(reverse("portal:spend"))


def _remove(request: HttpRequest, scope: Scope) -> HttpResponse:
    try:
        with acting(by=_person(request), reason=request.POST.get("reason", "")[:500]):
            remove_budget(scope=scope)
    except OperationError as refusal:
        messages.info(request, refusal.message)
    else:
        messages.success(request, f"The budget of {scope.name} is removed.")
    return HttpResponseRedirect(reverse("portal:spend"))


def _person(request: HttpRequest) -> Any:
    return request.user
