"""The tiers or rates of a price from a file: uploaded, shown with what is wrong, confirmed."""

import json
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextInputWidget

from plans.acting import acting
from plans.catalogue.dump import price_content
from plans.catalogue.spreadsheets import FORMATS, MOST_BYTES, SpreadsheetInvalid, read_table
from plans.catalogue.tables import (
    Table,
    cells_of,
    columns_of,
    export_table,
    from_content,
    has_table,
    read_rows,
)
from plans.errors import OperationError
from plans.models import PlanVersion
from plans.operations.tables import PriceChanged, replace_table
from plans.queries import price_rows_of
from plans.terms import PriceRows

_TEMPLATE: Final = "admin/plans/table.html"


class TableForm(forms.Form):
    """A file with the rows."""

    table = forms.FileField(
        label="CSV or XLSX file",
        widget=UnfoldAdminFileFieldWidget({"accept": ".csv,.xlsx"}),
    )

    def clean_table(self) -> Any:
        """Refuse a file that is too long before it is read."""
        file = self.cleaned_data["table"]
        if file.size > MOST_BYTES:
            raise forms.ValidationError(f"The file has more than {MOST_BYTES:,} bytes.")
        return file


class ReplaceForm(forms.Form):
    """The rows and the price as they were shown, and why the one replaces the other."""

    rows = forms.CharField(widget=forms.HiddenInput, max_length=2_000_000)
    shown = forms.CharField(widget=forms.HiddenInput, max_length=2_000_000)
    reason = forms.CharField(
        required=False,
        label="Reason for the change",
        max_length=500,
        help_text="Kept in the history.",
        widget=UnfoldAdminTextInputWidget,
    )

    def read(self, rows: PriceRows) -> Table:
        """Return the table again. Raises SpreadsheetInvalid where it did not arrive whole."""
        try:
            said = json.loads(self.cleaned_data["rows"])
            return from_content([dict(row) for row in said], price=rows.price)
        except (ValueError, TypeError) as error:
            raise SpreadsheetInvalid("The rows did not arrive whole. Upload the file.") from error


class PriceTables:
    """What a version's admin does with tables: a page for each price that has one, and files."""

    def get_urls(self) -> list[URLPattern]:
        """Add the page of a price's table and its files, by version and the price's key."""
        admin: Any = self
        wrap = admin.admin_site.admin_view
        here = "<int:version_id>/prices/<str:key>/table"
        others: list[URLPattern] = super().get_urls()  # type: ignore[misc]
        return [
            path(f"{here}/", wrap(self.price_table), name="plans_planversion_table"),
            path(f"{here}.<str:kind>", wrap(self.table_file), name="plans_planversion_table_file"),
            *others,
        ]

    def table_file(
        self, request: HttpRequest, version_id: int, key: str, kind: str
    ) -> HttpResponse:
        """Send a price's table as a file."""
        rows = _rows(request, version_id, key)
        if kind not in FORMATS:
            raise Http404("There is no such format.")
        found = HttpResponse(export_table(rows, kind=kind), content_type=FORMATS[kind].CONTENT_TYPE)
        name = f"{rows.price.version.plan.key}-{key}.{kind}".replace(":", "-")
        found["Content-Disposition"] = f'attachment; filename="{name}"'
        return found

    def price_table(self, request: HttpRequest, version_id: int, key: str) -> HttpResponse:
        """Show a price's table, and replace it by a file's once that is confirmed."""
        rows = _rows(request, version_id, key)
        may = _may_replace(request, rows)
        if request.method != "POST":
            return self._table_page(request, rows, form=TableForm() if may else None)
        if not may:
            raise PermissionDenied
        if "rows" in request.POST:
            return self._replace(request, rows)
        form = TableForm(request.POST, request.FILES)
        if form.is_valid():
            file = form.cleaned_data["table"]
            try:
                dataset = read_table(file.read(), name=file.name)
            except SpreadsheetInvalid as refusal:
                form.add_error("table", refusal.message)
            else:
                return self._shown(request, rows, read_rows(dataset, price=rows.price))
        return self._table_page(request, rows, form=form)

    def _replace(self, request: HttpRequest, rows: PriceRows) -> HttpResponse:
        form, by = ReplaceForm(request.POST), request.user
        try:
            if not form.is_valid():
                raise SpreadsheetInvalid("The rows did not arrive whole. Upload the file again.")
            table = form.read(rows)
            if not table.is_good:
                return self._shown(request, rows, table)
            with acting(by=by, reason=form.cleaned_data["reason"]):  # type: ignore[arg-type]
                replace_table(
                    version=rows.price.version,
                    price_key=rows.price.key,
                    shown=json.loads(form.cleaned_data["shown"]),
                    tiers=table.tiers,
                    rates=table.rates,
                    by=by,  # type: ignore[arg-type]
                )
        except PriceChanged as refusal:
            return self._shown(request, rows, table, problem=refusal.message)
        except OperationError as refusal:
            messages.error(request, refusal.message)
            return HttpResponseRedirect(request.path)
        messages.success(request, f"{rows.price.name} has {len(table.rows)} rows now.")
        return HttpResponseRedirect(request.path)

    def _shown(
        self, request: HttpRequest, rows: PriceRows, table: Table, *, problem: str = ""
    ) -> HttpResponse:
        confirm = ReplaceForm(
            initial={
                "rows": json.dumps(table.content(), ensure_ascii=False),
                "shown": json.dumps(price_content(rows), ensure_ascii=False),
            }
        )
        found = {"table": table, "confirm": confirm if table.is_good else None}
        return self._table_page(request, rows, form=TableForm(), problem=problem, **found)

    def _table_page(self, request: HttpRequest, rows: PriceRows, **found: Any) -> HttpResponse:
        admin: Any = self
        price, version = rows.price, rows.price.version
        context = {
            **admin.admin_site.each_context(request),
            "opts": admin.opts,
            "title": f"{price.name}: {'rates' if not rows.tiers and rows.rates else 'table'}",
            "version": version,
            "price": price,
            "columns": list(columns_of(price)),
            "stored": cells_of(rows),
            "is_draft": version.published_at is None,
            "here": request.path,
            "files": [(kind, _file(version, price.key, kind)) for kind in FORMATS],
            "back": reverse("admin:plans_planversion_change", args=[version.pk]),
            "media": admin.media,
            **found,
        }
        return TemplateResponse(request, _TEMPLATE, context)


def _file(version: PlanVersion, key: str, kind: str) -> str:
    return reverse("admin:plans_planversion_table_file", args=[version.pk, key, kind])


def _rows(request: HttpRequest, version_id: int, key: str) -> PriceRows:
    if not request.user.has_perm("plans.view_price"):
        raise PermissionDenied
    get_object_or_404(PlanVersion, pk=version_id)
    rows = price_rows_of(version_id=version_id, price_key=key)
    if rows is None or not has_table(rows.price):
        raise Http404("The version has no such price with tiers or rates.")
    return rows


def _may_replace(request: HttpRequest, rows: PriceRows) -> bool:
    is_draft = rows.price.version.published_at is None
    return is_draft and request.user.has_perm("plans.change_price")
