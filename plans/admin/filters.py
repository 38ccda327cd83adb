"""Filters of the lists, over what is derived rather than stored."""

from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from plans.models import PlanVersion


class StatusFilter(SimpleListFilter):
    """Versions by their status now, derived from the dates."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the four statuses."""
        return [
            ("draft", "Draft"),
            ("scheduled", "Scheduled"),
            ("in_force", "In force"),
            ("retired", "Retired"),
        ]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[PlanVersion]
    ) -> QuerySet[PlanVersion]:
        """Keep the versions with the chosen status."""
        now = timezone.now()
        conditions = {
            "draft": Q(published_at=None),
            "scheduled": Q(effective_from__gt=now),
            "in_force": Q(effective_from__lte=now)
            & (Q(effective_until=None) | Q(effective_until__gt=now)),
            "retired": Q(effective_until__lte=now),
        }
        chosen = conditions.get(self.value() or "")
        return queryset if chosen is None else queryset.filter(chosen)
