"""Addresses below /api/v1/."""

from django.urls import URLPattern, URLResolver, path

from billing.api.views import StatementsView, StatementView

urlpatterns: list[URLPattern | URLResolver] = [
    path("statements/", StatementsView.as_view(), name="statements"),
    path("statements/<str:number>", StatementView.as_view(), name="statement"),
]
