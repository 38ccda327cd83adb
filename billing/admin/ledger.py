"""The journal: what was posted for whom, when and why, with both sides of every entry."""

from collections.abc import Iterable
from decimal import Decimal
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from billing.admin.finance import report_page
from billing.models import LedgerAccount, LedgerEntry, LedgerTransaction, UnitOfAccount
from billing.queries.credit_page import amount_in
from billing.wording import moment
from plans.admin.base import HouseAdmin

_ENTRIES = Prefetch(
    "entries", LedgerEntry.objects.select_related("account__unit", "grant").order_by("pk")
)


class ReadOnlyAdmin(HouseAdmin):
    """Pages of what only operations write."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Leave it to the operations."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Leave it to the operations."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep what was posted."""
        return False


@admin.register(LedgerTransaction)
class LedgerTransactionAdmin(ReadOnlyAdmin):
    """The journal, newest first."""

    list_display = ("happened", "customer_name", "reason", "moved", "key", "note")
    list_display_links = ("happened",)
    list_filter = ("reason",)
    list_select_related = ("customer",)
    search_fields = ("customer__name", "customer__key", "key")
    search_help_text = "A part of a customer's name or key, or of what was posted"
    ordering = ("-id",)
    paginator = InfinitePaginator
    fields = (
        ("customer_name", "reason"), ("happened", "recorded"), "key", "note", "postings",
        ("statement_link", "corrected"),
    )  # fmt: skip
    readonly_fields = (
        "customer_name", "happened", "recorded", "postings", "statement_link", "corrected",
    )  # fmt: skip

    def get_urls(self) -> list[URLPattern]:
        """Put finance's report beside the journal."""
        view = self.admin_site.admin_view(partial(report_page, self))
        own = [path("report/", view, name="billing_finance_report")]
        found: list[URLPattern] = own + super().get_urls()
        return found

    def get_queryset(self, request: HttpRequest) -> QuerySet[LedgerTransaction]:
        """Load the entries of a page at once."""
        rows: QuerySet[LedgerTransaction] = super().get_queryset(request)
        return rows.select_related("customer", "corrects", "statement").prefetch_related(_ENTRIES)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Let the customer's page link to its journal."""
        return lookup == "customer__id__exact" or super().lookup_allowed(lookup, value, request)

    @display(description="Customer", ordering="customer__name")
    def customer_name(self, posted: LedgerTransaction) -> str:
        """Return the customer's name and key."""
        return format_html(
            '{} <span class="tg-subtle">{}</span>', posted.customer.name, posted.customer.key
        )

    @display(description="Happened", ordering="happened_at")
    def happened(self, posted: LedgerTransaction) -> str:
        """Return when it happened, in the customer's zone."""
        return _at(posted, posted.happened_at)

    @display(description="Recorded")
    def recorded(self, posted: LedgerTransaction) -> str:
        """Return when it was recorded, in the customer's zone."""
        return _at(posted, posted.recorded_at)

    @display(description="Moved")
    def moved(self, posted: LedgerTransaction) -> str:
        """Return what was debited, with the account."""
        entries = [entry for entry in posted.entries.all() if entry.amount > 0]
        return _listed((_amount(entry), _account(entry)) for entry in entries)

    @display(description="Entries")
    def postings(self, posted: LedgerTransaction) -> SafeString:
        """Return all entries as a table with debits and credits."""
        return format_html(
            '<div class="tg-scroll"><table class="tg-table"><thead><tr><th scope="col">Account'
            '</th><th scope="col" class="tg-right">Debit</th><th scope="col" class="tg-right">'
            "Credit</th></tr></thead><tbody>{}</tbody></table></div>",
            format_html_join(
                "",
                '<tr><th scope="row">{} <span class="tg-subtle">{}</span></th>'
                '<td class="tg-right tg-amount">{}</td><td class="tg-right tg-amount">{}</td></tr>',
                (_row(entry) for entry in posted.entries.all()),
            ),
        )

    @display(description="Statement")
    def statement_link(self, posted: LedgerTransaction) -> str:
        """Return the number of the statement that was posted."""
        return (posted.statement.number or "—") if posted.statement else "—"

    @display(description="Corrects")
    def corrected(self, posted: LedgerTransaction) -> str:
        """Return the key of the transaction that this one takes back."""
        return posted.corrects.key if posted.corrects else "—"


def in_unit(amount: Decimal, unit: UnitOfAccount) -> str:
    """Write an amount of a currency as money, of a credit with its code."""
    return amount_in(amount, unit)


def _at(posted: LedgerTransaction, at: Any) -> str:
    zone = posted.customer.time_zone
    return format_html('{} <span class="tg-subtle">{}</span>', moment(at, zone=zone), zone)


def _amount(entry: LedgerEntry) -> str:
    return in_unit(abs(entry.amount), entry.account.unit)


def _account(entry: LedgerEntry) -> str:
    return LedgerAccount.Kind(entry.account.kind).label.partition(":")[0]


def _row(entry: LedgerEntry) -> tuple[str, str, str, str]:
    grant = entry.grant.key if entry.grant else ""
    amount = _amount(entry)
    return (_account(entry), grant, *((amount, "") if entry.amount > 0 else ("", amount)))


def _listed(pairs: Iterable[tuple[str, str]]) -> SafeString:
    return format_html_join(
        "", '<span class="tg-money">{} <span class="tg-subtle">{}</span></span>', pairs
    )
