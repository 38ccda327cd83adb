"""Meters: what is measured. Once a published version prices one, all but its name is fixed."""

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from plans.admin.base import HouseAdmin, ReasonForm
from plans.models import Meter, Price
from plans.operations.meters import meter_problems


class MeterForm(ReasonForm):
    """A meter, checked by the same rules as one that a service or a document defines."""

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        for problem in meter_problems(self.instance):
            name = problem.field.split(".")[0]
            self.add_error(name if name in self.fields else None, problem.message)


@admin.register(Meter)
class MeterAdmin(HouseAdmin):
    """Meters by name, with whether a published version prices them."""

    form = MeterForm
    list_display = ("name", "key", "event_type", "aggregation", "unit", "is_priced")
    list_filter = ("aggregation",)
    search_fields = ("name", "key", "event_type")
    ordering = ("name",)
    prepopulated_fields = {"key": ("name",)}
    fieldsets = (
        ("What is measured", {"fields": (("name", "key"), ("event_type", "unit"))}),
        ("How events become a quantity", {
            "fields": (("aggregation", "value_property"), ("rounding", "rounding_multiple")),
        }),
        ("What prices may tell apart, and which events count", {
            "fields": ("dimensions", "filters"),
        }),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Meter]:
        """Tell by a subquery which meters are fixed."""
        rows: QuerySet[Meter] = super().get_queryset(request)
        prices = Price.objects.filter(meter=OuterRef("pk"), version__published_at__isnull=False)
        return rows.annotate(priced=Exists(prices))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Leave only the name of a meter that a published version prices."""
        if obj is None or not obj.priced:
            return ()
        return tuple(
            column.name
            for column in Meter._meta.concrete_fields
            if column.name not in {"id", "name"}
        )

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Any]:
        """Propose a key from the name of a new meter only."""
        return {} if obj else self.prepopulated_fields

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep meters that a published version prices."""
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed and not (obj and obj.priced)

    @display(description="In a published price", boolean=True)
    def is_priced(self, meter: Any) -> bool:
        """Say whether a published version prices the meter."""
        return bool(meter.priced)
