"""One price of a draft: its charge model, its tiers and rates, and what it comes to."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet, Window
from django.db.models.functions import Coalesce, Lag
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST
from unfold.admin import TabularInline

from plans.admin.base import HouseAdmin, readable_numbers
from plans.admin.price_forms import (
    MOST_DIMENSIONS,
    PriceForm,
    RateForm,
    RateFormSet,
    TierForm,
    TierFormSet,
    unused_columns,
)
from plans.errors import OperationError
from plans.models import MatrixRate, Meter, PlanVersion, Price, Tier
from plans.models.prices import MODEL_COLUMNS, RATED_MODELS, TIERED_MODELS
from plans.operations.drafts import move_price, remove_price, save_price
from plans.pricelist import price_card
from plans.rating.charge import number


class _Rows(TabularInline):
    formfield_overrides = HouseAdmin.formfield_overrides
    hide_title = True
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let the price decide: it is a draft's, and the person may change it."""
        return self.has_change_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let the price decide: it is a draft's, and the person may change it."""
        return request.user.has_perm("plans.change_price") and not _is_frozen(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let the price decide: it is a draft's, and the person may change it."""
        return self.has_change_permission(request, obj)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Show the rows to whoever may see the price."""
        return request.user.has_perm("plans.view_price")


class TierInline(_Rows):
    """Tiers, typed as "up to" and price only; where each begins is derived."""

    model = Tier
    form = TierForm
    readonly_preprocess_fields = readable_numbers(Tier)
    formset = TierFormSet
    fields = ("begins_above", "up_to", "unit_amount", "flat_amount", "percent")
    readonly_fields = ("begins_above",)
    verbose_name_plural = "Tiers"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tier]:
        """Order the tiers by their bounds, each with the bound of the one before."""
        rows: QuerySet[Tier] = super().get_queryset(request)
        before = Window(
            Lag("up_to"), partition_by="price_id", order_by=F("up_to").asc(nulls_last=True)
        )
        return rows.annotate(
            begins=Coalesce(before, 0, output_field=Tier._meta.get_field("up_to"))
        ).order_by(F("up_to").asc(nulls_last=True))

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        """Begin a new price with two empty tiers."""
        return 0 if obj else 2

    @admin.display(description="Above")
    def begins_above(self, tier: Any) -> str:
        """Return where the tier begins: where the one before it ends."""
        begins = getattr(tier, "begins", None)
        return "—" if begins is None else number(begins)


class RateInline(_Rows):
    """Rates of a matrix: a value for each dimension of the meter, and a price."""

    model = MatrixRate
    form = RateForm
    readonly_preprocess_fields = readable_numbers(MatrixRate)
    formset = RateFormSet
    fields = (*(f"value_{place}" for place in range(MOST_DIMENSIONS)), "unit_amount", "label")
    ordering = ("position", "pk")
    verbose_name_plural = "Rates: the most specific match wins, * matches any value"

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show what is frozen as it stands."""
        if self.has_change_permission(request, obj):
            return self.fields
        return ("values", "unit_amount", "label")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show what is frozen as it stands."""
        return () if self.has_change_permission(request, obj) else ("values",)

    @admin.display(description="Values")
    def values(self, rate: Any) -> str:
        """Return what the rate matches."""
        return " / ".join("*" if value is None else value for value in rate.match or ())


@admin.register(Price)
class PriceAdmin(HouseAdmin):
    """A price is reached through its version; it has no list of its own."""

    form = PriceForm
    readonly_preprocess_fields = readable_numbers(Price)
    inlines = (TierInline, RateInline)
    prepopulated_fields = {"key": ("name",)}
    list_select_related = ("version__plan", "meter")
    change_form_template = "admin/plans/price/change_form.html"
    fieldsets = (
        ("What is priced", {"fields": (("name", "key"), ("model", "meter"))}),
        ("What it costs", {
            "classes": ("tg-model",),
            "fields": (
                ("amount", "unit_size"), "free_quantity", ("percent", "fixed_amount"),
                ("free_transactions", "free_amount"),
                ("minimum_per_transaction", "maximum_per_transaction"),
                "default_amount", "charge_first_tier_at_zero",
            ),
        }),
        ("Allowance, discount and bounds of a period", {
            "fields": (
                ("allowance", "discount_percent"), ("minimum", "maximum"), ("prorated", "once"),
            ),
        }),
    )  # fmt: skip

    class Media:
        js = ("plans/price_form.js",)

    def get_urls(self) -> list[URLPattern]:
        """Add the two small actions of a version's list of prices."""
        wrap = self.admin_site.admin_view
        return [
            path("<int:price_id>/move/", wrap(require_POST(self.move)), name="plans_price_move"),
            path(
                "<int:price_id>/remove/", wrap(require_POST(self.remove)), name="plans_price_remove"
            ),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Price]:
        """Load what the page names."""
        rows: QuerySet[Price] = super().get_queryset(request)
        return rows.select_related("version__plan", "meter")

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Keep prices out of the navigation: a version lists its own."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Freeze the prices of a published version."""
        allowed: bool = super().has_change_permission(request, obj)
        return allowed and not _is_frozen(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Remove prices on the version's page only."""
        return False

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Any]:
        """Propose a key from the name of a new price only."""
        return {} if obj else self.prepopulated_fields

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show what the charge model reads, where nothing can be changed."""
        if obj is None or self.has_change_permission(request, obj):
            return self.fieldsets
        unused = unused_columns(obj.model)
        return [
            (title, options | {"fields": shown})
            for title, options in self.fieldsets
            if (shown := _without(options["fields"], unused))
        ]

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        """Show the rows that the charge model reads, where nothing can be changed."""
        if obj is None or self.has_change_permission(request, obj):
            return self.inlines
        tiers = (TierInline,) if obj.model in TIERED_MODELS else ()
        return (*tiers, RateInline) if obj.model in RATED_MODELS else tiers

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kw: Any
    ) -> Any:
        """Bind the form to the version, which is not on it."""
        form: Any = super().get_form(request, obj, change=change, **kw)
        form.version = obj.version if obj else self._draft(request)
        return form

    def _draft(self, request: HttpRequest) -> PlanVersion:
        found = get_object_or_404(
            PlanVersion.objects.select_related("plan"), pk=request.GET.get("version") or None
        )
        if not found.is_draft:
            raise PermissionDenied
        return found

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Lead to the plans, which is where prices are found."""
        return HttpResponseRedirect(reverse("admin:plans_plan_changelist"))

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:  # fmt: skip
        """Show the price under its plan and version, with what it comes to once it is stored."""
        context = {
            "editor": {
                "columns": MODEL_COLUMNS,
                "tiered": sorted(TIERED_MODELS),
                "rated": sorted(RATED_MODELS),
                "most_dimensions": MOST_DIMENSIONS,
                "dimensions": dict(Meter.objects.values_list("pk", "dimensions")),
            },
            **self._place(request, object_id),
        }
        return super().changeform_view(request, object_id, form_url, context)

    def _place(self, request: HttpRequest, object_id: str | None) -> dict[str, Any]:
        if object_id is None:
            version = self._draft(request)
            return {"version": version, "title": f"New price of {_named(version)}"}
        price = self.get_object(request, object_id)
        if price is None:
            return {}
        return {
            "version": price.version,
            "title": f"{price.name}, in {_named(price.version)}",
            "subtitle": "",
            "card": price_card(price, currency=price.version.currency),
        }

    def save_form(self, request: HttpRequest, form: ModelForm, change: bool) -> Any:  # type: ignore[type-arg]
        """Hold the price back until its tiers and rates are checked too."""
        return form.save(commit=False)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Leave it to ``save_related``, which stores the price with its rows."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Store the price with its tiers and rates in one operation."""
        tiers, rates = formsets
        save_price(
            version=form.instance.version,
            price=form.instance,
            tiers=[row.instance for row in tiers.rows()],
            rates=[row.instance for row in rates.rows()],
            by=request.user,  # type: ignore[arg-type]
        )

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> list[dict[str, Any]]:
        """Log the price's own changed fields; its rows were replaced as a whole."""
        found: list[dict[str, Any]] = super().construct_change_message(request, form, [], add)
        return found

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: Any = None
    ) -> HttpResponse:
        """Return to the version."""
        return self._return(request, obj, f"{obj.name} was added.")

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Return to the version, or stay on the page where that was asked."""
        return self._return(request, obj, f"{obj.name} was saved.")

    def _return(self, request: HttpRequest, price: Price, message: str) -> HttpResponse:
        messages.success(request, message)
        if "_continue" in request.POST:
            return HttpResponseRedirect(reverse("admin:plans_price_change", args=[price.pk]))
        if "_addanother" in request.POST:
            address = reverse("admin:plans_price_add")
            return HttpResponseRedirect(f"{address}?version={price.version_id}")
        return HttpResponseRedirect(_version_page(price))

    def move(self, request: HttpRequest, price_id: int) -> HttpResponse:
        """Move a price one place up or down."""
        price = self._changeable(request, price_id)
        try:
            by: Any = request.user
            move_price(price=price, places=-1 if request.POST.get("to") == "up" else 1, by=by)
        except OperationError as refusal:
            messages.error(request, refusal.message)
        return HttpResponseRedirect(_version_page(price))

    def remove(self, request: HttpRequest, price_id: int) -> HttpResponse:
        """Remove a price from its draft."""
        price = self._changeable(request, price_id)
        try:
            remove_price(price=price, by=request.user)  # type: ignore[arg-type]
        except OperationError as refusal:
            messages.error(request, refusal.message)
        else:
            messages.success(request, f"{price.name} was removed.")
        return HttpResponseRedirect(_version_page(price))

    def _changeable(self, request: HttpRequest, price_id: int) -> Price:
        price = get_object_or_404(self.get_queryset(request), pk=price_id)
        if not request.user.has_perm("plans.change_price"):
            raise PermissionDenied
        return price


def _without(lines: Sequence[str | tuple[str, ...]], unused: frozenset[str]) -> list[Any]:
    """Return a fieldset's lines without the unused columns, and without lines left empty."""
    found = []
    for line in lines:
        names = [name for name in ([line] if isinstance(line, str) else line) if name not in unused]
        if names:
            found.append(tuple(names))
    return found


def _is_frozen(price: Price | None) -> bool:
    return bool(price and price.version_id and not price.version.is_draft)


def _named(version: PlanVersion) -> str:
    return f"{version.plan.name}, version {version.number}"


def _version_page(price: Price) -> str:
    return reverse("admin:plans_planversion_change", args=[price.version_id])
