"""Addresses below /api/v1/."""

from django.urls import URLPattern, URLResolver, path

from billing.api.estimates import EstimatesView
from billing.api.spend import CustomerSpendView
from billing.api.views import StatementsView, StatementView

urlpatterns: list[URLPattern | URLResolver] = [
    path("statements/", StatementsView.as_view(), name="statements"),
    path("statements/<str:number>", StatementView.as_view(), name="statement"),
    path("customers/<str:key>/spend", CustomerSpendView.as_view(), name="customer-spend"),
    path("estimates", EstimatesView.as_view(), name="estimates"),
]
