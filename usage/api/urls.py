"""Addresses below /api/v1/."""

from django.urls import URLPattern, URLResolver, path

from usage.api.clock import CustomerClockView
from usage.api.events import EventsView
from usage.api.outcomes import OutcomeStepView, OutcomesView, OutcomeView
from usage.api.usage import CustomerUsageView

urlpatterns: list[URLPattern | URLResolver] = [
    path("events", EventsView.as_view(), name="events"),
    path("outcomes", OutcomesView.as_view(), name="outcomes"),
    path("outcomes/<int:outcome_id>", OutcomeView.as_view(), name="outcome"),
    *(
        path(
            f"outcomes/<int:outcome_id>/{action}",
            OutcomeStepView.as_view(action=action),
            name=f"outcome-{action}",
        )
        for action in ("verify", "reject", "dispute")
    ),
    path("customers/<str:key>/usage", CustomerUsageView.as_view(), name="customer-usage"),
    path("customers/<str:key>/clock", CustomerClockView.as_view(), name="customer-clock"),
]
