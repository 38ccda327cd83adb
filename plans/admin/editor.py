"""The editor of a plan version: its page, the preview of what is typed, and its saving.

The page sends the version as a document's content; nothing is priced or judged in the browser.
"""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from plans.admin import editor_fields
from plans.catalogue.editing import (
    Typed,
    content_of,
    read_typed,
    revision_of,
    save_typed,
)
from plans.catalogue.granted import granted_words
from plans.catalogue.load import stored_now
from plans.catalogue.typed import number_typed
from plans.errors import OperationError, Problem
from plans.examples import tier_examples
from plans.models import Feature, Meter, Plan, PlanVersion
from plans.models.meters import Aggregation
from plans.operations.features import create_feature
from plans.operations.meters import define_meter
from plans.previews import bill
from plans.rating import Price, RatingError, curve
from plans.rating.money import CURRENCIES
from plans.words import summary

_BYTES_MAX: Final = 1_000_000
_QUANTITY_MAX: Final = Decimal(10) ** 15


class Unreadable(OperationError):
    """What was sent is not what the page sends."""

    code = "unreadable"


class EditorPages:
    """What the admin of versions has for the editor; see ``editor_context`` and ``editor_urls``."""

    admin_site: Any
    get_queryset: Callable[[HttpRequest], Any]
    has_view_permission: Callable[..., bool]
    has_change_permission: Callable[..., bool]

    def editor_urls(self) -> list[URLPattern]:
        """Return the addresses that the page speaks to."""
        found = []
        for name in ("preview", "save", "meter", "feature"):
            view = self.admin_site.admin_view(require_POST(getattr(self, f"editor_{name}")))
            found.append(
                path(f"<int:version_id>/editor/{name}/", view, name=f"plans_planversion_{name}")
            )
        return found

    def may_edit(self, request: HttpRequest, version: PlanVersion) -> bool:
        """Say whether the person may change this version now."""
        allowed = request.user.has_perm("plans.change_price")
        return allowed and self.has_change_permission(request, version)

    def editor_context(self, request: HttpRequest, version: PlanVersion) -> dict[str, Any]:
        """Return what the page is made of, in a number of queries that nothing changes."""
        content, stored = content_of(version), stored_now()
        can_edit = self.may_edit(request, version)
        data = {
            "content": content,
            "revision": revision_of(content),
            "canEdit": can_edit,
            "preview": _preview(read_typed(content, stored=stored), content),
            "meters": [_meter(meter) for meter in stored.meters.values()],
            "plans": _plans_named(version),
            "credits": list(stored.credit_units),
            "urls": {
                **{name: self._address(name, version) for name in ("preview", "save")},
                "table": reverse("admin:plans_planversion_table", args=[version.pk, "KEY"]),
            },
            **editor_fields.behaviour(),
        }
        if can_edit and request.user.has_perm("plans.add_meter"):
            data["urls"]["meter"] = self._address("meter", version)
        if can_edit and request.user.has_perm("plans.add_feature"):
            data["urls"]["feature"] = self._address("feature", version)
        return {
            "editor": data,
            "fields": editor_fields,
            "currencies": sorted(CURRENCIES),
            "credit_units": list(stored.credit_units.values()),
            "features": list(Feature.objects.order_by("name")),
            "aggregations": Aggregation.choices,
            "can_edit": can_edit,
        }

    def _address(self, name: str, version: PlanVersion) -> str:
        return reverse(f"admin:plans_planversion_{name}", args=[version.pk])

    def editor_preview(self, request: HttpRequest, version_id: int) -> HttpResponse:
        """Answer what is wrong with the typed version, and what it comes to; store nothing."""
        version = self._version(request, version_id)
        if not self.has_view_permission(request, version):
            raise PermissionDenied
        return _answered(lambda: _previewed(_sent(request)))

    def editor_save(self, request: HttpRequest, version_id: int) -> HttpResponse:
        """Store the typed version, or answer what is in the way; nothing is half stored."""
        version = self._editable(request, version_id)
        return _answered(lambda: _saved(request, version, _sent(request)))

    def editor_meter(self, request: HttpRequest, version_id: int) -> HttpResponse:
        """Define a meter, and answer it as the page knows meters."""
        self._editable(request, version_id, needs="plans.add_meter")
        return _answered(lambda: {"meter": _meter(define_meter(**_meter_sent(_sent(request))))})

    def editor_feature(self, request: HttpRequest, version_id: int) -> HttpResponse:
        """Define a feature, and answer its key and name."""
        self._editable(request, version_id, needs="plans.add_feature")
        return _answered(lambda: _feature_made(_sent(request)))

    def _version(self, request: HttpRequest, version_id: int) -> PlanVersion:
        version: PlanVersion = get_object_or_404(self.get_queryset(request), pk=version_id)
        return version

    def _editable(self, request: HttpRequest, version_id: int, *, needs: str = "") -> PlanVersion:
        version = self._version(request, version_id)
        if not self.may_edit(request, version) or (needs and not request.user.has_perm(needs)):
            raise PermissionDenied
        return version


def _answered(run: Callable[[], dict[str, Any]]) -> HttpResponse:
    """Answer what was done, or each problem with its path: 409 where someone else was faster."""
    try:
        return JsonResponse(run())
    except OperationError as refusal:
        status = {"version_changed": 409, "version_frozen": 409}.get(refusal.code, 422)
        body = {
            "code": refusal.code,
            "message": refusal.message,
            "problems": _problems(refusal.problems),
        }
        return JsonResponse(body, status=status)


def _sent(request: HttpRequest) -> dict[str, Any]:
    body = request.body
    if len(body) > _BYTES_MAX:
        raise Unreadable(f"The version has more than {_BYTES_MAX:,} bytes: split the plan.")
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError):
        sent = None
    if not isinstance(sent, dict):
        raise Unreadable("What was sent is not JSON: reload the page.")
    return sent


def _content(sent: Mapping[str, Any]) -> dict[str, Any]:
    content = sent.get("content")
    if not isinstance(content, dict):
        raise Unreadable("What was sent has no content: reload the page.", field="content")
    return content


def _previewed(sent: Mapping[str, Any]) -> dict[str, Any]:
    content = _content(sent)
    read = read_typed(content, stored=stored_now())
    found = _preview(read, content, places=sent.get("prices"))
    typed = sent.get("quantities")
    if isinstance(typed, dict):
        found["bill"] = _bill(read, typed, currency=_currency(content))
    return found


def _preview(read: Typed, content: Mapping[str, Any], *, places: Any = ()) -> dict[str, Any]:
    """Return all problems, every price in a few words, and the details of those asked for."""
    currency = _currency(content)
    asked = places if isinstance(places, list) else []
    return {
        "problems": _problems(read.problems),
        "summaries": [
            "" if price is None else summary(price, currency=currency) for price in read.prices
        ],
        "details": [
            _detail(place, price, currency=currency)
            for place, price in enumerate(read.prices)
            if price is not None and place in asked
        ],
        "granted": granted_words(read)._asdict(),
    }


def _detail(place: int, price: Price, *, currency: str) -> dict[str, Any]:
    """Return examples and curve of one price, or why it cannot be rated."""
    try:
        found = tier_examples(price, currency=currency)
        points = curve(price, currency=currency)
    except RatingError as error:
        return {"price": place, "examples": [], "curve": [], "problem": str(error)}
    return {
        "price": place,
        "examples": [each._asdict() for each in found],
        "curve": [[f"{point.quantity:f}", f"{point.amount:f}"] for point in points],
        "problem": "",
    }


def _bill(read: Typed, typed: Mapping[str, Any], *, currency: str) -> dict[str, Any]:
    quantities, problems = _quantities(typed)
    if problems or None in read.prices:
        return {"lines": [], "total": "", "problems": _problems(problems)}
    prices: list[Any] = list(read.prices)
    found = bill(prices, quantities=quantities, currency=currency)
    lines = [line._asdict() for line in found.lines]
    return {"lines": lines, "total": found.total, "problems": []}


def _quantities(typed: Mapping[str, Any]) -> tuple[dict[str, Decimal], list[Problem]]:
    found, problems = {}, []
    for meter, text in typed.items():
        try:
            quantity = Decimal(number_typed(str(text)) or 0)
        except InvalidOperation:
            quantity = Decimal("NaN")
        if quantity.is_finite() and 0 <= quantity <= _QUANTITY_MAX:
            found[meter] = quantity
        else:
            message = "Type a number of 0 or more."
            problems.append(Problem("not_a_quantity", f"quantities.{meter}", message))
    return found, problems


def _saved(request: HttpRequest, version: PlanVersion, sent: Mapping[str, Any]) -> dict[str, Any]:
    by: Any = request.user
    content, revision = _content(sent), str(sent.get("revision", ""))
    read, after = save_typed(version=version, typed=content, revision=revision, by=by)
    return {"revision": after, **_preview(read, content)}


def _currency(content: Mapping[str, Any]) -> str:
    return str(content.get("currency", ""))


def _problems(found: Any) -> list[dict[str, str]]:
    return [{"code": each.code, "path": each.field, "message": each.message} for each in found]


def _meter(meter: Meter) -> dict[str, Any]:
    return {
        "key": meter.key,
        "name": meter.name,
        "unit": meter.unit,
        "dimensions": list(meter.dimensions),
        "aggregation": str(meter.get_aggregation_display()),
        "event": meter.event_type,
        "property": meter.value_property,
    }


def _meter_sent(sent: Mapping[str, Any]) -> dict[str, Any]:
    names = ("key", "name", "event_type", "aggregation", "value_property", "unit")
    dimensions = str(sent.get("dimensions", "")).split(",")
    return {
        **{name: str(sent.get(name, "")).strip() for name in names},
        "dimensions": [name.strip() for name in dimensions if name.strip()],
    }


def _feature_made(sent: Mapping[str, Any]) -> dict[str, Any]:
    names = ("key", "name", "description")
    feature = create_feature(**{name: str(sent.get(name, "")).strip() for name in names})
    return {"feature": {"key": feature.key, "name": feature.name}}


def _plans_named(version: PlanVersion) -> list[dict[str, str]]:
    others = Plan.objects.exclude(pk=version.plan_id).order_by("name")
    return [{"key": key, "name": name} for key, name in others.values_list("key", "name")]
