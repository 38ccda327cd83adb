"""A page that shows what a change does to the money, and does it only as it was shown.

The preview is made anew as the form is filled in. The button that acts stands below it, restates
its amount, and carries a digest of all that was shown: where anything differs when it is pressed,
the page shows that instead of acting.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from unfold.admin import ModelAdmin

from billing.admin.subscription_forms import MoneyForm
from billing.subscription_preview import MoneyPreview, preview_change
from plans.admin.base import add_refusal
from plans.errors import OperationError
from plans.models import Customer
from plans.operations.subscription_changes import MAX_THOUGHT

_PAGE: Final = "admin/billing/subscription/page.html"
_PREVIEW: Final = "admin/billing/subscription/_preview.html"


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a filled form asks for.

    ``act`` calls the operation, which takes effect ``at``; ``button`` is its verb, ``done`` the
    message of its success.
    """

    act: Callable[[], object]
    at: datetime
    anchor_date: date | None
    effects: tuple[str, ...]
    button: str
    done: str


@dataclass(frozen=True, kw_only=True)
class MoneyPage:
    """One such page: how its form is made of what was sent, and its change of a filled form."""

    title: str
    customer: Customer
    form: Callable[..., MoneyForm]
    initial: dict[str, Any]
    change: Callable[[Any, datetime], Change]
    back: str
    ask: str = ""
    danger: bool = False


@dataclass(kw_only=True)
class _Shown:
    """What stands below the form: a preview with its button, or what keeps it from being made."""

    as_of: datetime
    change: Change | None = None
    preview: MoneyPreview | None = None
    problems: list[str] = field(default_factory=list)
    notice: str = ""

    @property
    def digest(self) -> str:
        """Return a digest of all that is restated."""
        if self.change is None or self.preview is None:
            return ""
        restated = "\n".join((*self.change.effects, self.change.button, self.preview.restated))
        return hashlib.sha256(restated.encode()).hexdigest()


def answer(model_admin: ModelAdmin, request: HttpRequest, page: MoneyPage) -> HttpResponse:
    """Show the page, its preview alone, or do what was shown and return to the customer."""
    now = timezone.now()
    as_of = _to_the_minute(now)
    if request.method != "POST":
        form = page.form(initial=page.initial, customer=page.customer, as_of=as_of)
        filled = page.form(page.initial, customer=page.customer, as_of=as_of)
        return _page(model_admin, request, page, form, _show(page, filled, now=now))
    if request.POST.get("step") == "do":
        return _do(model_admin, request, page, now=now)
    form = page.form(request.POST, customer=page.customer, as_of=as_of)
    shown = _show(page, form, now=now)
    if request.headers.get("HX-Request"):
        return TemplateResponse(request, _PREVIEW, _context(page, shown))
    form.errors.pop("reason", None)
    return _page(model_admin, request, page, form, shown)


def _do(
    model_admin: ModelAdmin, request: HttpRequest, page: MoneyPage, *, now: datetime
) -> HttpResponse:
    as_of, notice = _as_of(request, now=now)
    form = page.form(request.POST, customer=page.customer, as_of=as_of)
    shown = _show(page, form, now=now)
    if form.is_valid() and shown.change is not None and shown.preview is not None:
        if shown.digest == request.POST.get("shown"):
            try:
                shown.change.act()
            except OperationError as refusal:
                add_refusal(form, refusal)
            else:
                said = f"{shown.change.done} Why: {form.cleaned_data['reason']}"
                model_admin.log_change(request, page.customer, said)
                messages.success(request, shown.change.done)
                return HttpResponseRedirect(page.back)
        else:
            shown.notice = notice or (
                "Something differs from what was shown to you. Here it is as it stands now."
            )
    return _page(model_admin, request, page, form, shown)


def _as_of(request: HttpRequest, *, now: datetime) -> tuple[datetime, str]:
    """Return the time for which the preview was made, or the present with the reason."""
    try:
        as_of = parse_datetime(request.POST.get("as_of", ""))
    except ValueError:
        as_of = None
    if as_of is not None and as_of.tzinfo is not None and now - MAX_THOUGHT <= as_of <= now:
        return as_of, ""
    return _to_the_minute(now), "What was shown was too old. Here it is as it stands now."


def _to_the_minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _show(page: MoneyPage, form: MoneyForm, *, now: datetime) -> _Shown:
    shown = _Shown(as_of=form.as_of)
    if not form.is_enough():
        asked = all(error.code == "required" for error in _errors(form))
        shown.problems = [] if asked else [message for error in _errors(form) for message in error]
        return shown
    try:
        change = page.change(form, now)
        shown.preview = preview_change(
            customer=page.customer,
            anchor_date=change.anchor_date,
            act=change.act,
            at=change.at,
            now=form.as_of,
        )
    except OperationError as refusal:
        shown.problems = [problem.message for problem in refusal.problems]
    else:
        shown.change = change
    return shown


def _errors(form: MoneyForm) -> list[Any]:
    found = form.errors.as_data()
    return [error for name, errors in found.items() if name != "reason" for error in errors]


def _page(
    model_admin: ModelAdmin, request: HttpRequest, page: MoneyPage, form: MoneyForm, shown: _Shown
) -> HttpResponse:
    context = {
        **model_admin.admin_site.each_context(request),
        **_context(page, shown),
        "opts": model_admin.opts,
        "title": page.title,
        "form": form,
        "media": model_admin.media + form.media,
    }
    return TemplateResponse(request, _PAGE, context)


def _context(page: MoneyPage, shown: _Shown) -> dict[str, Any]:
    return {"page": page, "shown": shown}
