"""Addresses below /api/v1/."""

from django.urls import URLPattern, URLResolver, path

from usage.api.clock import CustomerClockView
from usage.api.events import EventsView
from usage.api.usage import CustomerUsageView

urlpatterns: list[URLPattern | URLResolver] = [
    path("events", EventsView.as_view(), name="events"),
    path("customers/<str:key>/usage", CustomerUsageView.as_view(), name="customer-usage"),
    path("customers/<str:key>/clock", CustomerClockView.as_view(), name="customer-clock"),
]
