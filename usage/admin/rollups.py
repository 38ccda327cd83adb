"""How far the rollups have come: to be read only."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import display

from plans.admin.base import HouseAdmin
from usage.models import RollupState


@admin.register(RollupState)
class RollupStateAdmin(HouseAdmin):
    """The one state of the rollups."""

    list_display = ("rolled_at", "horizon", "meters_rolled", "epoch")
    fields = ("rolled_at", "horizon", "epoch", "system", "meters_rolled")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Leave it to the rollups."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Leave it to the rollups."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Leave it to the rollups."""
        return False

    @display(description="Meters rolled up")
    def meters_rolled(self, state: RollupState) -> int:
        """Return the number of meters that are rolled up."""
        return len(state.meters)
