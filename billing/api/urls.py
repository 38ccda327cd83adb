"""Addresses below /api/v1/."""

from django.urls import URLPattern, URLResolver, path

from billing.api.credit import BalanceView, GrantsView, JournalView
from billing.api.views import StatementsView, StatementView

urlpatterns: list[URLPattern | URLResolver] = [
    path("statements/", StatementsView.as_view(), name="statements"),
    path("statements/<str:number>", StatementView.as_view(), name="statement"),
    path("customers/<str:key>/balance", BalanceView.as_view(), name="customer-balance"),
    path("customers/<str:key>/grants", GrantsView.as_view(), name="customer-grants"),
    path("customers/<str:key>/journal", JournalView.as_view(), name="customer-journal"),
]
