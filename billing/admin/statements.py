"""Statements as finance reads them: found in a list, explained line by line, approved, retried."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.paginator import InfinitePaginator

from billing.admin.pages import NOTHING, approve_page, finance_of, page_position, retry_page
from billing.models import Statement, StatementLine
from billing.queries.events import BadCursor, line_events_page
from billing.queries.pages import statement_page
from billing.queries.verification import verify_one
from billing.runs import retry_parked
from billing.wording import Money, Span
from plans.admin.actions import already, answer, sent
from plans.admin.base import HouseAdmin
from plans.models import Customer

_PARKED = "Parked"


@admin.register(Statement)
class StatementAdmin(HouseAdmin):
    """Every customer's statements. Nothing is typed here: a run builds them, a person approves."""

    list_display = ("name", "customer_name", "period", "state", "total_words", "parked_reason")
    list_filter = ("status", ("parked_at", admin.EmptyFieldListFilter))
    list_select_related = ("customer",)
    search_fields = ("number",)
    search_help_text = "A statement's number, or a part of a customer's name or key"
    ordering = ("-id",)
    paginator = InfinitePaginator
    show_full_result_count = False
    list_fullwidth = True
    actions = ("retry_selected",)
    actions_detail = ("approve", "retry", "verify")
    change_form_template = "admin/billing/statement/change_form.html"
    fields = ()

    class Media:
        css = {"all": ("billing/lines.css", "billing/admin.css")}

    # The list

    def get_queryset(self, request: HttpRequest) -> QuerySet[Statement]:
        """Leave the facts where they are: they are the bulk of a statement."""
        rows: QuerySet[Statement] = super().get_queryset(request)
        return rows.select_related("customer").defer("facts")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Statement], search_term: str
    ) -> tuple[QuerySet[Statement], bool]:
        """Find by the whole number, or by customers, so that statements are not read through."""
        if not search_term:
            return queryset, False
        customers = Customer.objects.filter(
            Q(name__icontains=search_term) | Q(key__icontains=search_term)
        )
        number = Q(number=search_term.strip().upper()) | Q(number=search_term.strip())
        return queryset.filter(number | Q(customer__in=customers.values("id"))), False

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Let the customer's page link to its statements."""
        return lookup == "customer__id__exact" or super().lookup_allowed(lookup, value, request)

    @display(description="Statement")
    def name(self, statement: Statement) -> str:
        """Return the number, or that there is none yet."""
        return statement.number or "Not numbered yet"

    @display(description="Customer", ordering="customer__name")
    def customer_name(self, statement: Statement) -> str:
        """Return the customer's name and key."""
        customer: Customer = statement.customer
        return format_html('{} <span class="tg-subtle">{}</span>', customer.name, customer.key)

    @display(description="Period", ordering="period_start")
    def period(self, statement: Statement) -> str:
        """Return the period in the customer's zone, which stands beside it."""
        customer: Customer = statement.customer
        span = Span(statement.period_start, statement.period_end, customer.time_zone)
        return format_html('{} <span class="tg-subtle">{}</span>', span, span.zone)

    @display(
        description="Status",
        label={
            "Due": "info", "Draft": "info", "In review": "warning", "Finalised": "success",
            _PARKED: "danger",
        },
    )  # fmt: skip
    def state(self, statement: Statement) -> str:
        """Return the status; parked goes before all others."""
        return _PARKED if statement.parked_at else statement.get_status_display()

    @display(description="Total", ordering="total")
    def total_words(self, statement: Statement) -> str:
        """Return the total in the currency, to the right; none before there is a draft."""
        total = Money(statement.total, statement.currency) if statement.drafted_at else NOTHING
        return format_html('<span class="tg-money">{}</span>', total)

    # What may be done

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A run opens statements."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What a statement says follows from its facts."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What was owed is not forgotten."""
        return False

    def has_finalise_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether the person may approve statements and retry parked ones."""
        return request.user.has_perm("billing.finalise_statement")

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """Offer what the statement's status allows."""
        found = super().get_actions_detail(request, object_id)
        fitting = _fitting_actions(Statement.objects.defer("facts").filter(pk=object_id).first())
        return [each for each in found if each.path in fitting]

    @action(
        description="Approve", url_path="approve", permissions=["finalise"],
        variant=ActionVariant.PRIMARY,
    )  # fmt: skip
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Approve a statement in review, after restating its amount."""
        statement, back = self._statement(request, object_id)
        if statement.approved_at or statement.status != Statement.Status.REVIEW:
            return already(request, "It is not in review, or was approved already.", back=back)
        data, now = sent(request), timezone.now()
        page = approve_page(statement, data=data, by=request.user, now=now, back=back)
        return answer(self, request, page)

    @action(description="Retry", url_path="retry", permissions=["finalise"])
    def retry(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let a parked statement be tried again by the next run."""
        statement, back = self._statement(request, object_id)
        if not statement.parked_at:
            return already(request, "It is not parked: the next run takes it.", back=back)
        page = retry_page(statement, data=sent(request), back=back)
        return answer(self, request, page)

    @action(description="Verify this statement", url_path="verify", permissions=["view"])
    def verify(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Build the statement again from its frozen facts and compare it to the cent."""
        statement, back = self._statement(request, object_id)
        differences = verify_one(statement=statement)
        if not differences:
            messages.success(
                request,
                f"{statement.number} was built again from its facts: every line, every total and "
                "the chain of hashes agree.",
            )
        for difference in differences:
            messages.error(request, f"{difference.number}: {difference.what}.")
        return HttpResponseRedirect(back)

    @action(description="Retry the parked ones", permissions=["finalise"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Statement]) -> None:
        """Let the chosen parked statements be tried again by the next run."""
        count = retry_parked(statement_ids=list(queryset.values_list("id", flat=True)))
        messages.success(request, f"{count} parked statement(s) are tried again by the next run.")

    # The pages

    def get_urls(self) -> list[URLPattern]:
        """Add the events behind a line, and the facts as a file."""
        view = self.admin_site.admin_view
        mine = [
            path(
                "<path:object_id>/lines/<int:position>/events/",
                view(self.line_events),
                name="billing_statement_events",
            ),
            path("<path:object_id>/facts.json", view(self.facts), name="billing_statement_facts"),
        ]
        return [*mine, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:  # fmt: skip
        """Show the statement with its explanations."""
        statement, _ = self._statement(request, object_id)
        context = {
            "page": statement_page(statement=statement, after=page_position(request)),
            "finance": finance_of(statement),
            "customer_id": statement.customer_id,
            "title": statement.number or "Statement in preparation",
            **(extra_context or {}),
        }
        found: HttpResponse = super().change_view(request, object_id, form_url, context)
        return found

    def line_events(self, request: HttpRequest, object_id: str, position: int) -> HttpResponse:
        """Show the usage events behind a line."""
        statement, _ = self._statement(request, object_id)
        try:
            page = line_events_page(
                statement=statement, position=position, after=request.GET.get("after", "")
            )
        except (StatementLine.DoesNotExist, BadCursor) as error:
            raise Http404 from error
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Events behind {page.line.description}",
            "page": page,
            "media": self.media,
        }
        return TemplateResponse(request, "admin/billing/statement/events.html", context)

    def facts(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return the frozen inputs of the statement as a JSON file."""
        statement, _ = self._statement(request, object_id)
        name = statement.number or f"{statement.customer.key}-draft"
        response = HttpResponse(statement.facts, content_type="application/json")
        response.headers["Content-Disposition"] = f'attachment; filename="{name}.facts.json"'
        return response

    def _statement(self, request: HttpRequest, object_id: str) -> tuple[Statement, str]:
        """Return the statement and the address of its page, for those who may see it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if not object_id.isdigit():
            raise Http404
        statement = get_object_or_404(
            self.get_queryset(request).select_related("approved_by"), pk=int(object_id)
        )
        return statement, reverse("admin:billing_statement_change", args=[statement.pk])


def _fitting_actions(statement: Statement | None) -> set[str]:
    """Return the paths of the actions that a statement's status allows."""
    if statement is None:
        return set()
    if statement.status == Statement.Status.FINALISED:
        return {"verify"}
    fitting = {"retry"} if statement.parked_at else set()
    if statement.status == Statement.Status.REVIEW and not statement.approved_at:
        fitting.add("approve")
    return fitting
