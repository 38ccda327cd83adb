"""Features: what plans may let a customer use at all. Documents and plans define them."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from plans.admin.base import HouseAdmin
from plans.models import Feature


@admin.register(Feature)
class FeatureAdmin(HouseAdmin):
    """Features by name, to be read, each with its history."""

    list_display = ("name", "key", "description")
    search_fields = ("name", "key", "description")
    ordering = ("name",)
    fields = (("name", "key"), "description")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Define features in documents."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Change features in documents."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keep features: published versions grant them."""
        return False
