"""The history of an object: who changed what, when and why, on a page of its own."""

from datetime import datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from plans.timeline import MOST, SOURCES, timeline


def has_history(model: type[Any]) -> bool:
    """Say whether a timeline is kept of a kind of object."""
    return model in SOURCES


def history_page(model_admin: Any, request: HttpRequest, object_id: str) -> HttpResponse:
    """Show the timeline of an object to whoever may see it, a page of it at a time."""
    row = model_admin.get_object(request, object_id)
    if row is None:
        raise Http404("There is no such object.")
    if not model_admin.has_view_or_change_permission(request, row):
        raise PermissionDenied
    entries = timeline(row, until=_until(request))
    opts = model_admin.opts
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": opts,
        "title": f"History of {model_admin.named_in_history(row)}",
        "entries": entries[:MOST],
        "older": entries[MOST].at.isoformat() if len(entries) > MOST else "",
        "back": reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[row.pk]),
        "media": model_admin.media,
    }
    return TemplateResponse(request, "admin/plans/history.html", context)


def _until(request: HttpRequest) -> datetime | None:
    said = request.GET.get("until", "")
    try:
        until = datetime.fromisoformat(said) if said else None
    except ValueError as error:
        raise Http404("That is not a time.") from error
    if until is not None and until.tzinfo is None:
        raise Http404("That is not a time with its zone.")
    return until
