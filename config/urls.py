"""Every address of the platform."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from config import admin_registry
from config.health import healthz

admin_registry.register()

urlpatterns = [
    # First what is asked most: patterns are tried one after the other.
    path("api/v1/", include("billing.api.urls")),
    path("api/v1/", include("usage.api.urls")),
    path("api/v1/", include("plans.api.urls")),
    path("", RedirectView.as_view(url="/portal/", permanent=False), name="home"),
    path("healthz", healthz, name="healthz"),
    path("admin/", admin.site.urls),
    path("portal/", include("billing.portal.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
]

handler400 = "config.api_errors.bad_request"
handler403 = "config.api_errors.permission_denied"
handler404 = "config.api_errors.not_found"
handler500 = "config.api_errors.server_error"
