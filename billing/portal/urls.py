"""Addresses below /portal/."""

from django.urls import path

from billing.portal import login, views

app_name = "portal"

urlpatterns = [
    path("", views.overview, name="overview"),
    path("usage/", views.usage, name="usage"),
    path("statements/", views.statements, name="statements"),
    path("statements/<str:number>/", views.statement, name="statement"),
    path("statements/<str:number>/lines/<int:position>/events/", views.line_events, name="events"),
    path("login/", login.sign_in, name="login"),
    path("logout/", login.sign_out, name="logout"),
]
