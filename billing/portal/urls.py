"""Addresses below /portal/."""

from django.urls import path

from billing.portal import job_views, login, spend_views, views

app_name = "portal"

urlpatterns = [
    path("", views.overview, name="overview"),
    path("usage/", views.usage, name="usage"),
    path("spend/", spend_views.spend, name="spend"),
    path("spend/budget/", spend_views.budget, name="budget"),
    path("spend/budget/<str:key>/", spend_views.budget, name="budget"),
    path("jobs/", job_views.jobs, name="jobs"),
    path("jobs/<uuid:public_id>/", job_views.job, name="job"),
    path("statements/", views.statements, name="statements"),
    path("statements/<str:number>/", views.statement, name="statement"),
    path("statements/<str:number>/lines/<int:position>/events/", views.line_events, name="events"),
    path("login/", login.sign_in, name="login"),
    path("logout/", login.sign_out, name="logout"),
]
