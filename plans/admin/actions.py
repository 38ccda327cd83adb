"""Pages that do one thing: they restate its effect, ask what must be asked, and do it once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin

from plans.acting import acting
from plans.admin.base import add_refusal
from plans.errors import OperationError

_TEMPLATE = "admin/plans/action.html"


@dataclass(frozen=True, kw_only=True)
class Hindrance:
    """What stands in the way of an action: where it is, what it is, and the page that mends it."""

    where: str
    message: str
    link: str = ""


@dataclass(frozen=True, kw_only=True)
class ActionPage:
    """One action: ``run`` takes the form's cleaned data and returns the message of its success.

    ``include`` is a template between the effects and the form, which sees what ``shown`` holds.
    ``only_shown`` shows the page though its form was sent: there is something to read first.
    """

    title: str
    button: str
    form: Form
    effects: Sequence[str]
    run: Callable[[dict[str, Any]], str]
    back: str
    danger: bool = False
    hindrances: Sequence[Hindrance] = field(default_factory=tuple)
    include: str = ""
    shown: Mapping[str, Any] = field(default_factory=dict)
    only_shown: bool = False


def sent(request: HttpRequest) -> QueryDict | None:
    """Return what a form sent, though it be nothing; None where the page is only opened."""
    return request.POST if request.method == "POST" else None


def answer(model_admin: ModelAdmin, request: HttpRequest, page: ActionPage) -> HttpResponse:
    """Run the action where its form was sent and is valid; else show the page."""
    if request.method == "POST" and not page.only_shown and page.form.is_valid():
        cleaned, by = page.form.cleaned_data, request.user
        reason = cleaned.get("reason") or cleaned.get("comment") or ""
        try:
            with acting(by=by, reason=reason):  # type: ignore[arg-type]
                message = page.run(cleaned)
        except OperationError as refusal:
            add_refusal(page.form, refusal)
        else:
            messages.success(request, message)
            return HttpResponseRedirect(page.back)
    context = {
        **page.shown,
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": page.title,
        "page": page,
        "media": model_admin.media + page.form.media,
    }
    return TemplateResponse(request, _TEMPLATE, context)


def already(request: HttpRequest, message: str, *, back: str) -> HttpResponse:
    """Answer a second click on an action that is done: say so, and change nothing."""
    messages.info(request, message)
    return HttpResponseRedirect(back)
