"""Sign in and out, with Django's own views."""

from django.contrib.auth import views as auth

from billing.portal.access import guarded

sign_in = guarded(
    auth.LoginView.as_view(
        template_name="portal/login.html", redirect_authenticated_user=True, next_page=None
    )
)
sign_out = guarded(auth.LogoutView.as_view())
