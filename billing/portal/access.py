"""Who may see a page of the portal: a signed-in user, and of one customer only that one."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from billing.queries.portal import customer_of

# The portal runs no script and loads nothing from another host.
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

View = Callable[..., HttpResponseBase]


def guarded(view: View) -> View:
    """Keep a page out of caches, and let it load nothing but the portal's own files."""

    @never_cache
    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    return inner


def customer_page(view: View) -> View:
    """Call the view with the signed-in user's ``customer``; tell a user who has none so."""
    return guarded(require_safe(_of_customer(view)))


def customer_form(view: View) -> View:
    """Do the same for a page with a form. Every portal user of a customer may send it."""
    return guarded(require_http_methods(["GET", "HEAD", "POST"])(_of_customer(view)))


def _of_customer(view: View) -> View:
    @wraps(view)
    def inner(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        customer = customer_of(user_id=request.user.pk)
        if customer is None:
            return render(request, "portal/no_customer.html", status=403)
        return view(request, customer=customer, **kwargs)

    return inner
