"""Customers, with their workspaces, subscriptions and portal users on one page."""

import zoneinfo
from datetime import datetime
from typing import Any, NamedTuple

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone
from unfold.admin import TabularInline
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from plans.admin.action_forms import EndForm, PortalUserForm, SubscribeForm
from plans.admin.actions import ActionPage, answer, sent
from plans.admin.base import HouseAdmin, ReasonForm, label_input
from plans.models import Customer, Membership, Subject, Subscription, Workspace
from plans.operations.portal_users import create_portal_user
from plans.operations.subscriptions import end_subscription, subscribe


class CustomerLink(NamedTuple):
    """A list of another app that can be filtered by customer; that app adds it to ``LINKS``."""

    title: str
    view_name: str
    parameter: str


LINKS: list[CustomerLink] = []


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
    actions_detail = ("subscribe", "add_portal_user")
    fieldsets = (
        ("Who is billed", {"fields": (("name", "key"), "email")}),
        ("How it is billed", {
            "fields": (("currency", "time_zone"), ("grace_hours", "requires_review")),
        }),
    )  # fmt: skip

    def get_urls(self) -> list[URLPattern]:
        """Add the page that ends a subscription."""
        end = path(
            "<int:customer_id>/subscriptions/<int:subscription_id>/end/",
            self.admin_site.admin_view(self.end),
            name="plans_customer_end",
        )
        return [end, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Customer]:
        """Name the present plan by a subquery."""
        now = timezone.now()
        current = Subscription.objects.filter(customer=OuterRef("pk"), starts_at__lte=now)
        current = current.filter(Q(ends_at=None) | Q(ends_at__gt=now))
        rows: QuerySet[Customer] = super().get_queryset(request)
        return rows.annotate(present_plan=Subquery(current.values("plan__name")[:1]))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Fix currency and zone under a subscription."""
        if obj is None or not obj.subscriptions.exists():
            return ()
        return ("currency", "time_zone")

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

    def has_subscribe_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether the person may subscribe customers."""
        return request.user.has_perm("plans.add_subscription")

    def has_invite_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether the person may make portal users."""
        return request.user.has_perm("plans.add_membership")

    @action(
        description="Subscribe to a plan", url_path="subscribe", permissions=["subscribe"],
        variant=ActionVariant.PRIMARY,
    )  # fmt: skip
    def subscribe(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Put the customer on a plan."""
        customer = get_object_or_404(Customer, pk=object_id)
        now = timezone.now()
        today = now.astimezone(zoneinfo.ZoneInfo(customer.time_zone)).date()
        form = SubscribeForm(sent(request), customer=customer, initial={"start_date": today})

        def run(cleaned: dict[str, Any]) -> str:
            subscription = subscribe(
                customer=customer,
                plan=cleaned["plan"],
                starts_at=form.starts_at,
                anchor_date=cleaned["anchor_date"],
                now=now,
            )
            starts = _day(subscription.starts_at, customer)
            message = f"{customer.name} is subscribed to {cleaned['plan'].name} from {starts}."
            self.log_change(request, customer, message)
            return message

        page = ActionPage(
            title=f"Subscribe {customer.name} to a plan",
            button="Subscribe",
            form=form,
            effects=(
                f"Usage of {customer.name} is priced by the plan, in {customer.currency}.",
                "From the first subscription on, the customer's currency and time zone are fixed.",
            ),
            run=run,
            back=_page(customer),
        )
        return answer(self, request, page)

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

    def end(self, request: HttpRequest, customer_id: int, subscription_id: int) -> HttpResponse:
        """End a subscription."""
        if not request.user.has_perm("plans.change_subscription"):
            raise PermissionDenied
        rows = Subscription.objects.select_related("customer", "plan")
        subscription = get_object_or_404(rows, pk=subscription_id, customer_id=customer_id)
        customer, plan, now = subscription.customer, subscription.plan, timezone.now()
        form = EndForm(sent(request), customer=customer)

        def run(_: dict[str, Any]) -> str:
            end_subscription(subscription=subscription, ends_at=form.ends_at, now=now)
            message = f"{customer.name} leaves {plan.name} on {_day(form.ends_at, customer)}."
            self.log_change(request, customer, message)
            return message

        page = ActionPage(
            title=f"End {customer.name}'s subscription to {plan.name}?",
            button="End the subscription",
            danger=True,
            form=form,
            effects=("Usage from that day on has no price, unless another subscription begins.",),
            run=run,
            back=_page(customer),
        )
        return answer(self, request, page)


def _context(request: HttpRequest, customer: Customer) -> dict[str, Any]:
    members = Membership.objects.filter(customer=customer).select_related("user")
    return {
        "subtitle": "",
        "subscriptions": _subscriptions(customer, now=timezone.now()),
        "portal_users": [member.user for member in members.order_by("user__username")],
        "may_end": request.user.has_perm("plans.change_subscription"),
        "links": _links(customer),
    }


def _subscriptions(customer: Customer, *, now: datetime) -> list[dict[str, Any]]:
    rows = Subscription.objects.filter(customer=customer).select_related("plan")
    return [
        {
            "plan": row.plan,
            "starts": _day(row.starts_at, customer),
            "ends": _day(row.ends_at, customer) if row.ends_at else "",
            "anchor_date": row.anchor_date,
            "is_over": row.ends_at is not None and row.ends_at <= now,
            "end_link": reverse("admin:plans_customer_end", args=[customer.pk, row.pk]),
        }
        for row in rows.order_by("-starts_at")
    ]


def _links(customer: Customer) -> list[tuple[str, str]]:
    found = []
    for link in LINKS:
        try:
            address = reverse(f"admin:{link.view_name}")
        except NoReverseMatch:
            continue
        found.append((link.title, f"{address}?{link.parameter}={customer.pk}"))
    return found


def _day(at: datetime, customer: Customer) -> str:
    local = at.astimezone(zoneinfo.ZoneInfo(customer.time_zone))
    clock = "" if local.time() == datetime.min.time() else f" {local:%H:%M}"
    return f"{local:%d %B %Y}{clock} ({customer.time_zone})"


def _page(customer: Customer) -> str:
    return reverse("admin:plans_customer_change", args=[customer.pk])
