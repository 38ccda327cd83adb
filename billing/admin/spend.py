"""Spend so far of every customer as finance sees it, and how well jobs are estimated."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import action, display

from billing.models import Spend
from billing.queries.accuracy import LOOKED_BACK, accuracy_by_class
from billing.wording import Money, Span, moment
from plans.admin.base import HouseAdmin

_PAGE = "admin/billing/spend/accuracy.html"


@admin.register(Spend)
class SpendAdmin(HouseAdmin):
    """What customers have spent in their running periods; a sweep keeps it."""

    list_display = ("customer_name", "period", "spent_words", "held_words", "as_of", "problem")
    list_filter = (("problem_code", admin.EmptyFieldListFilter),)
    list_select_related = ("customer",)
    search_fields = ("customer__name", "customer__key")
    ordering = ("customer_id",)
    actions_list = ("accuracy",)
    fields = ("customer", "spent", "usage_spent", "held", "running", "rated_at", "problem")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Leave it to the sweep."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Leave it to the sweep."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Leave it to the sweep."""
        return False

    @display(description="Customer", ordering="customer__name")
    def customer_name(self, spend: Spend) -> str:
        """Return the customer's name and key."""
        return format_html(
            '{} <span class="tg-subtle">{}</span>', spend.customer.name, spend.customer.key
        )

    @display(description="Period")
    def period(self, spend: Spend) -> str:
        """Return the period that it was rated for, in the customer's zone."""
        if spend.period_start is None or spend.period_end is None:
            return "—"
        return str(Span(spend.period_start, spend.period_end, spend.customer.time_zone))

    @display(description="Spent", ordering="spent")
    def spent_words(self, spend: Spend) -> str:
        """Return what the period came to, to the right."""
        return _money(Money(spend.spent, spend.customer.currency))

    @display(description="Held for jobs", ordering="held")
    def held_words(self, spend: Spend) -> str:
        """Return what jobs hold, to the right."""
        return _money(Money(spend.held, spend.customer.currency))

    @display(description="As of", ordering="rated_at")
    def as_of(self, spend: Spend) -> str:
        """Return when it was rated, in the customer's zone."""
        return moment(spend.rated_at, zone=spend.customer.time_zone) if spend.rated_at else "—"

    @action(description="How well jobs are estimated", url_path="accuracy", permissions=["view"])
    def accuracy(self, request: HttpRequest) -> HttpResponse:
        """Show the share of jobs that came to something within their range, by class."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "How well jobs are estimated",
            "days": LOOKED_BACK.days,
            "rows": accuracy_by_class(now=timezone.now()),
        }
        return TemplateResponse(request, _PAGE, context)


def _money(amount: Money) -> str:
    return format_html('<span class="tg-money">{}</span>', amount)
