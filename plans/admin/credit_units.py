"""Credits: the named units in which plans may price usage."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display

from plans.admin.base import HouseAdmin, ReasonForm
from plans.models import CreditUnit
from plans.operations.credit_units import change_credit_unit, create_credit_unit
from plans.queries import credit_unit_is_published


@admin.register(CreditUnit)
class CreditUnitAdmin(HouseAdmin):
    """Credits by code; the decimals of one that published terms are in are fixed."""

    form = ReasonForm
    list_display = ("code", "name", "finest_part")
    search_fields = ("code", "name")
    ordering = ("code",)
    fieldsets = (("What plans price in", {"fields": (("code", "name"), "decimals")}),)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Keep the code, and the decimals while published terms are in the credit."""
        if obj is None:
            return ()
        return ("code", "decimals") if credit_unit_is_published(code=obj.pk) else ("code",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep credits: customers may hold some."""
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Create or change the credit."""
        if change:
            change_credit_unit(unit=obj, name=obj.name, decimals=obj.decimals)
        else:
            create_credit_unit(code=obj.code, name=obj.name, decimals=obj.decimals)

    @display(description="Finest part")
    def finest_part(self, unit: Any) -> str:
        """Say into what parts a credit is divided."""
        if not unit.decimals:
            return "whole credits"
        return "1 decimal" if unit.decimals == 1 else f"{unit.decimals} decimals"
