"""Addresses below /api/v1/."""

from django.urls import URLPattern, URLResolver, path

from usage.api.events import EventsView

urlpatterns: list[URLPattern | URLResolver] = [
    path("events", EventsView.as_view(), name="events"),
]
