"""Addresses below /api/v1/."""

from django.urls import URLPattern, URLResolver, path

from billing.api.budgets import CustomerBudgetView
from billing.api.credit import BalanceView, GrantsView, JournalView
from billing.api.estimates import EstimatesView
from billing.api.jobs import (
    AttemptsView,
    AttemptView,
    CancelView,
    CompleteView,
    FailView,
    HeartbeatView,
    JobsView,
    JobView,
)
from billing.api.spend import CustomerSpendView
from billing.api.views import StatementsView, StatementView

urlpatterns: list[URLPattern | URLResolver] = [
    path("jobs", JobsView.as_view(), name="jobs"),
    path("jobs/<uuid:job_id>", JobView.as_view(), name="job"),
    path("jobs/<uuid:job_id>/attempts", AttemptsView.as_view(), name="job-attempts"),
    path("jobs/<uuid:job_id>/attempts/<int:number>", AttemptView.as_view(), name="job-attempt"),
    path("jobs/<uuid:job_id>/heartbeat", HeartbeatView.as_view(), name="job-heartbeat"),
    path("jobs/<uuid:job_id>/complete", CompleteView.as_view(), name="job-complete"),
    path("jobs/<uuid:job_id>/fail", FailView.as_view(), name="job-fail"),
    path("jobs/<uuid:job_id>/cancel", CancelView.as_view(), name="job-cancel"),
    path("estimates", EstimatesView.as_view(), name="estimates"),
    path("customers/<str:key>/budget", CustomerBudgetView.as_view(), name="customer-budget"),
    path("statements/", StatementsView.as_view(), name="statements"),
    path("statements/<str:number>", StatementView.as_view(), name="statement"),
    path("customers/<str:key>/balance", BalanceView.as_view(), name="customer-balance"),
    path("customers/<str:key>/grants", GrantsView.as_view(), name="customer-grants"),
    path("customers/<str:key>/journal", JournalView.as_view(), name="customer-journal"),
    path("customers/<str:key>/spend", CustomerSpendView.as_view(), name="customer-spend"),
]
