"""Customers, with their workspaces, subscriptions and portal users on one page."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, reverse
from django.utils import timezone
from unfold.admin import TabularInline
from unfold.decorators import action, display

from plans.admin.action_forms import PortalUserForm
from plans.admin.actions import ActionPage, answer, sent
from plans.admin.agreed_prices import agreed_context, agreed_urls
from plans.admin.base import HouseAdmin, ReasonForm, label_input
from plans.admin.customer_pages import links_of, page_urls, pages_of, subscriptions_of
from plans.models import Customer, Membership, Subject, Subscription, Workspace
from plans.operations.portal_users import create_portal_user


class SubjectForm(forms.ModelForm):  # type: ignore[type-arg]
    """A customer or a workspace, whose key no other of either may have."""

    def clean_key(self) -> str:
        """Refuse a key that another customer or workspace has."""
        key: str = self.cleaned_data["key"]
        if "key" in self.changed_data and Subject.objects.filter(key=key).exists():
            raise forms.ValidationError(
                f"The key “{key}” is taken by another customer or workspace.", code="key_taken"
            )
        return key


class CustomerForm(ReasonForm, SubjectForm):
    """A customer, and why it is changed."""


class WorkspaceForm(SubjectForm):
    """A workspace in a row, whose inputs are named for those who do not see the heading."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            label_input(field, f"Workspace {field.label or name}")


class WorkspaceInline(TabularInline):
    """The parts of a customer."""

    model = Workspace
    form = WorkspaceForm
    fields = ("name", "key")
    ordering = ("name",)
    extra = 0
    hide_title = True
    show_change_link = False
    verbose_name_plural = "Workspaces: teams or projects whose usage is shown separately"


@admin.register(Customer)
class CustomerAdmin(HouseAdmin):
    """Customers by name, with the plan that each is on now."""

    form = CustomerForm
    list_display = ("name", "key", "currency", "time_zone", "plan_now", "requires_review")
    list_filter = ("currency", "requires_review")
    search_fields = ("name", "key", "email")
    ordering = ("name",)
    inlines = (WorkspaceInline,)
    prepopulated_fields = {"key": ("name",)}
    change_form_template = "admin/plans/customer/change_form.html"
    actions_detail = ("add_portal_user",)
    fieldsets = (
        ("Who is billed", {"fields": (("name", "key"), "email")}),
        ("How it is billed", {
            "fields": (("currency", "time_zone"), ("grace_hours", "requires_review")),
        }),
        ("To test with", {"fields": ("clock_at",), "classes": ("collapse",)}),
    )  # fmt: skip

    def get_urls(self) -> list[URLPattern]:
        """Add the pages about subscriptions and agreed prices."""
        return [*page_urls(self), *agreed_urls(self), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Customer]:
        """Name the present plan by a subquery."""
        now = timezone.now()
        current = Subscription.objects.filter(customer=OuterRef("pk"), starts_at__lte=now)
        current = current.filter(Q(ends_at=None) | Q(ends_at__gt=now))
        rows: QuerySet[Customer] = super().get_queryset(request)
        return rows.annotate(present_plan=Subquery(current.values("plan__name")[:1]))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Fix the clock from the beginning, and currency and zone under a subscription."""
        if obj is None:
            return ()
        if not obj.subscriptions.exists():
            return ("clock_at",)
        return ("currency", "time_zone", "clock_at")

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Any]:
        """Propose a key from the name of a new customer only."""
        return {} if obj else self.prepopulated_fields

    @display(description="Plan now", empty_value="—", ordering="present_plan")
    def plan_now(self, customer: Any) -> str | None:
        """Return the plan that the customer is on now."""
        name: str | None = customer.present_plan
        return name

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:  # fmt: skip
        """Show the customer with its subscriptions, portal users and statements."""
        customer = self.get_object(request, object_id)
        context = {} if customer is None else _context(request, customer)
        found: HttpResponse = super().change_view(request, object_id, form_url, context)
        return found

    def has_invite_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether the person may make portal users."""
        return request.user.has_perm("plans.add_membership")

    @action(description="Add a portal user", url_path="portal-user", permissions=["invite"])
    def add_portal_user(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Make a user who belongs to the customer."""
        customer = get_object_or_404(Customer, pk=object_id)

        def run(cleaned: dict[str, Any]) -> str:
            create_portal_user(
                customer=customer,
                username=cleaned["username"],
                email=cleaned["email"],
                password=cleaned["password"],
            )
            message = f"{cleaned['username']} may now sign in to the portal of {customer.name}."
            self.log_change(request, customer, message)
            return message

        page = ActionPage(
            title=f"Add a portal user of {customer.name}",
            button="Add the user",
            form=PortalUserForm(sent(request)),
            effects=(
                f"The user can read the statements of {customer.name} in the portal.",
                "The user sees nothing of any other customer, and nothing of the admin.",
            ),
            run=run,
            back=_page(customer),
        )
        return answer(self, request, page)


def _context(request: HttpRequest, customer: Customer) -> dict[str, Any]:
    members = Membership.objects.filter(customer=customer).select_related("user")
    now = timezone.now()
    return {
        **agreed_context(request, customer, now=now),
        "subtitle": "",
        "subscriptions": subscriptions_of(request, customer, now=now),
        "subscription_pages": pages_of(request, customer),
        "portal_users": [member.user for member in members.order_by("user__username")],
        "links": links_of(customer),
    }


def _page(customer: Customer) -> str:
    return reverse("admin:plans_customer_change", args=[customer.pk])
