"""Filters of the lists, over what is derived rather than stored."""

from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from plans.models import PlanVersion


class StatusFilter(SimpleListFilter):
    """Versions by their status now, derived from the dates."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer every status."""
        return [
            ("draft", "Draft"),
            ("submitted", "Submitted"),
            ("approved", "Approved"),
            ("scheduled", "Scheduled"),
            ("in_force", "In force"),
            ("retired", "Retired"),
            ("called_off", "Called off"),
        ]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[PlanVersion]
    ) -> QuerySet[PlanVersion]:
        """Keep the versions with the chosen status."""
        now = timezone.now()
        unpublished = Q(published_at=None)
        called_off = Q(effective_until=F("effective_from"))
        conditions = {
            "draft": unpublished & Q(submitted_at=None),
            "submitted": unpublished & Q(submitted_at__isnull=False, approved_at=None),
            "approved": unpublished & Q(approved_at__isnull=False),
            "scheduled": Q(effective_from__gt=now) & ~called_off,
            "in_force": Q(effective_from__lte=now)
            & (Q(effective_until=None) | Q(effective_until__gt=now)),
            "retired": Q(effective_until__lte=now) & ~called_off,
            "called_off": called_off,
        }
        chosen = conditions.get(self.value() or "")
        return queryset if chosen is None else queryset.filter(chosen)
