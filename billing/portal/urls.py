"""Addresses below /portal/."""

from django.urls import path

from billing.portal import credit_views, job_views, login, outcomes, spend_views, views

app_name = "portal"

urlpatterns = [
    path("", views.overview, name="overview"),
    path("usage/", views.usage, name="usage"),
    path("spend/", spend_views.spend, name="spend"),
    path("spend/budget/", spend_views.budget, name="budget"),
    path("spend/budget/<str:key>/", spend_views.budget, name="budget"),
    path("credit/", credit_views.credit, name="credit"),
    path("credit/packs/<str:key>/", credit_views.buy, name="buy"),
    path("commitments/", credit_views.commitments, name="commitments"),
    path("jobs/", job_views.jobs, name="jobs"),
    path("jobs/<uuid:public_id>/", job_views.job, name="job"),
    path("statements/", views.statements, name="statements"),
    path("statements/<str:number>/", views.statement, name="statement"),
    path("statements/<str:number>/lines/<int:position>/events/", views.line_events, name="events"),
    path("outcomes/", outcomes.outcomes, name="outcomes"),
    path("outcomes/<int:outcome_id>/<str:action>/", outcomes.take, name="outcome-step"),
    path("verify/<str:token>/", outcomes.asked, name="verify"),
    path(
        "verify/<str:token>/<int:outcome_id>/<str:action>/", outcomes.answered, name="verify-step"
    ),
    path("login/", login.sign_in, name="login"),
    path("logout/", login.sign_out, name="logout"),
]
