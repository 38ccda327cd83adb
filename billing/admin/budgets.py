"""Budgets of customers and workspaces, and the alerts that they sent."""

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import (
    UnfoldAdminEmailInputWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from billing.admin.ledger import ReadOnlyAdmin
from billing.alerts.changing import change_budget, standing_of
from billing.alerts.noticing import use_of
from billing.models import BudgetAlert
from billing.portal.forms import BudgetForm as PortalBudgetForm
from billing.wording import Money, day, moment
from plans.admin.actions import ActionPage, answer, sent
from plans.admin.base import NumberInput
from plans.admin.customer_pages import PAGES, CustomerPage
from plans.models import Budget, Customer
from plans.operations.budgets import BudgetTerms, Scope, remove_budget
from plans.timeline import SOURCES, own_rows

SOURCES[Budget] = [own_rows(Budget, "The budget", added="was set")]


class BudgetForm(PortalBudgetForm):
    """What the portal asks, in the look of the admin; finance must say why."""

    def __init__(self, data: Any = None, *, terms: BudgetTerms | None, currency: str) -> None:
        super().__init__(data, terms=terms, currency=currency)
        for name in ("amount", "throttle_percent", "throttle_to"):
            self.fields[name].widget = NumberInput()
        self.fields["alerts"].widget = UnfoldAdminTextInputWidget()
        self.fields["email"].widget = UnfoldAdminEmailInputWidget()
        self.fields["email"].help_text = "Empty: the customer's own address."
        self.fields["stops"].widget = UnfoldBooleanWidget()
        self.fields["reason"] = forms.CharField(
            label="Reason", max_length=500, widget=UnfoldAdminTextInputWidget,
            help_text="Kept in the history with your name.",
        )  # fmt: skip


class ScopeForm(forms.Form):
    """Whose budget."""

    scope = forms.ChoiceField(label="Budget of", widget=UnfoldAdminSelectWidget)

    def __init__(self, *args: Any, customer: Customer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        named = [(each.key, each.name) for each in customer.workspaces.order_by("name")]
        field: Any = self.fields["scope"]
        field.choices = [("", f"{customer.name} as a whole"), *named]
        field.required = False


@admin.register(Budget)
class BudgetAdmin(ReadOnlyAdmin):
    """Budgets, with what counts against each; one is set from the customer's page."""

    list_display = ("customer_name", "whose", "amount_words", "used", "alerts_at", "stops")
    list_display_links = ("customer_name",)
    list_select_related = ("customer", "workspace", "customer__spend")
    list_filter = ("stops",)
    search_fields = ("customer__name", "customer__key", "workspace__name", "workspace__key")
    ordering = ("customer__name", "workspace__name")
    fields = (
        "customer_name", "whose", "amount_words", "used", "alerts_at", "stops",
        "throttle_percent", "throttle_to", "email",
    )  # fmt: skip
    actions_detail = ("change_terms", "remove")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Let the customer's page link to its budgets."""
        return lookup == "customer__id__exact" or super().lookup_allowed(lookup, value, request)

    def has_set_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether the person may set budgets."""
        return request.user.has_perm("plans.change_budget")

    @display(description="Customer", ordering="customer__name")
    def customer_name(self, budget: Budget) -> str:
        """Return the customer's name."""
        return budget.customer.name

    @display(description="Workspace", empty_value="All of it", ordering="workspace__name")
    def whose(self, budget: Budget) -> str | None:
        """Return the workspace's name."""
        return budget.workspace.name if budget.workspace else None

    @display(description="Budget", ordering="amount")
    def amount_words(self, budget: Budget) -> str:
        """Return the amount in the customer's currency."""
        return str(Money(budget.amount.normalize() + 0, budget.customer.currency))

    @display(description="Spent and held")
    def used(self, budget: Budget) -> str:
        """Return what counts against it, and its share."""
        use = use_of(budget, spend=getattr(budget.customer, "spend", None))
        total = use.total if use else Decimal(0)
        words = Money(total.normalize() + 0, budget.customer.currency)
        return f"{words} ({total * 100 / budget.amount:.0f}%)"

    @display(description="Alerts at")
    def alerts_at(self, budget: Budget) -> str:
        """Return the shares at which it alerts."""
        return ", ".join(f"{percent}%" for percent in budget.alert_percents) or "—"

    @action(
        description="Change", url_path="change-terms", permissions=["set"],
        variant=ActionVariant.PRIMARY,
    )  # fmt: skip
    def change_terms(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Change what the budget says."""
        scope = _scope_of(object_id)
        back = reverse("admin:plans_budget_change", args=[object_id])
        return answer(self, request, _set_page(request, scope, back=back))

    @action(
        description="Remove", url_path="remove", permissions=["set"],
        variant=ActionVariant.DANGER,
    )  # fmt: skip
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let nothing limit this spend any more."""
        scope = _scope_of(object_id)

        def run(_: dict[str, Any]) -> str:
            remove_budget(scope=scope)
            return f"The budget of {scope.name} is removed."

        page = ActionPage(
            title=f"Remove the budget of {scope.name}",
            button="Remove the budget",
            danger=True,
            form=WhyForm(sent(request)),
            effects=standing_of(scope).effects_of(None),
            run=run,
            back=reverse("admin:plans_budget_changelist"),
        )
        return answer(self, request, page)


def _scope_of(budget_id: str) -> Scope:
    rows = Budget.objects.select_related("customer", "workspace")
    budget = get_object_or_404(rows, pk=budget_id)
    return Scope(customer=budget.customer, workspace=budget.workspace)


class WhyForm(forms.Form):
    """Why."""

    reason = forms.CharField(label="Reason", max_length=500, widget=UnfoldAdminTextInputWidget)


def set_budget_page(
    model_admin: ModelAdmin, request: HttpRequest, customer_id: int
) -> HttpResponse:
    """Ask from the customer's page whose budget is set, then what it says."""
    if not request.user.has_perm("plans.change_budget"):
        raise Http404
    customer = get_object_or_404(Customer, pk=customer_id)
    key = request.GET.get("of")
    back = reverse("admin:plans_customer_change", args=[customer.pk])
    if key is None and customer.workspaces.exists():
        return answer(model_admin, request, _choose_page(request, customer, back=back))
    workspace = get_object_or_404(customer.workspaces, key=key) if key else None
    scope = Scope(customer=customer, workspace=workspace)
    return answer(model_admin, request, _set_page(request, scope, back=back))


def _choose_page(request: HttpRequest, customer: Customer, *, back: str) -> ActionPage:
    choose = ScopeForm(sent(request), customer=customer)
    at = reverse("admin:plans_customer_budget", args=[customer.pk])
    chosen = choose.cleaned_data["scope"] if choose.is_valid() else ""
    return ActionPage(
        title=f"Set a budget of {customer.name}",
        button="Go on",
        form=choose,
        effects=("A budget limits a customer as a whole, or one of its workspaces.",),
        run=lambda _: "Say what the budget is.",
        back=f"{at}?of={chosen}" if request.method == "POST" else back,
    )


def _set_page(request: HttpRequest, scope: Scope, *, back: str) -> ActionPage:
    standing = standing_of(scope)
    form = BudgetForm(sent(request), terms=standing.terms, currency=scope.customer.currency)

    def run(_: dict[str, Any]) -> str:
        effects = standing.effects_of(form.terms)
        change_budget(scope=scope, terms=form.terms, now=timezone.now())
        return " ".join((f"The budget of {scope.name} is set.", *effects))

    verb = "Change" if standing.terms else "Set"
    return ActionPage(
        title=f"{verb} the budget of {scope.name}",
        button="Set the budget",
        form=form,
        effects=(
            f"{standing.used_words} is spent or held in this period.",
            "The budget holds at once, in this period and in those that follow.",
            "The customer sees it in the portal, and can change it there.",
        ),
        run=run,
        back=back,
    )


@admin.register(BudgetAlert)
class BudgetAlertAdmin(ReadOnlyAdmin):
    """What budgets alerted of, newest first, and what could not be mailed yet."""

    list_display = ("customer_name", "whose", "what", "period", "created_at", "sent_at", "failure")
    list_select_related = ("customer", "workspace")
    list_filter = ("kind", ("sent_at", admin.EmptyFieldListFilter))
    search_fields = ("customer__name", "customer__key")
    ordering = ("-pk",)
    fields = (
        "customer_name", "whose", "what", "period", "budget_words", "used", "email", "created_at",
        "sent_at", "attempts", "failure", "rearmed_at",
    )  # fmt: skip

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Let the customer's page link to its alerts."""
        return lookup == "customer__id__exact" or super().lookup_allowed(lookup, value, request)

    @display(description="Customer", ordering="customer__name")
    def customer_name(self, alert: BudgetAlert) -> str:
        """Return the customer's name."""
        return alert.customer.name

    @display(description="Workspace", empty_value="All of it")
    def whose(self, alert: BudgetAlert) -> str | None:
        """Return the workspace's name."""
        return alert.workspace.name if alert.workspace else None

    @display(description="What")
    def what(self, alert: BudgetAlert) -> str:
        """Return the share that was reached, or the day on which the budget will end."""
        return f"Ends on {day(alert.ends_on)}" if alert.ends_on else f"{alert.percent}% reached"

    @display(description="Period from")
    def period(self, alert: BudgetAlert) -> str:
        """Return when the period began."""
        return moment(alert.period_start, zone=alert.customer.time_zone)

    @display(description="Budget then")
    def budget_words(self, alert: BudgetAlert) -> str:
        """Return the budget at that time."""
        return str(Money(alert.budget_amount.normalize() + 0, alert.customer.currency))

    @display(description="Spent and held then")
    def used(self, alert: BudgetAlert) -> str:
        """Return what counted against it."""
        currency = alert.customer.currency
        spent, held = (Money(each.normalize() + 0, currency) for each in (alert.spent, alert.held))
        return f"{spent} spent, {held} held"


PAGES.append(
    CustomerPage(
        "Set a budget",
        "plans_customer_budget",
        "budget/",
        set_budget_page,
        "plans.change_budget",
    )
)
