"""Two versions of a plan side by side: what was added, removed and changed, and what it costs."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.decorators import action

from plans import rating
from plans.admin.base import HouseAdmin
from plans.admin.version_words import named, on, page_of
from plans.models import PlanVersion
from plans.pricelist import version_before
from plans.rating.changes import Change
from plans.rating.compare import Effect, PriceChanged, PriceListed, compare
from plans.terms import terms_of
from plans.words import money

_TEMPLATE = "admin/plans/planversion/compare.html"


class ComparingPages(HouseAdmin):
    """Compare a version to another one of its plan."""

    def has_compare_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Say whether the person may read versions."""
        return request.user.has_perm("plans.view_planversion")

    @action(description="Compare", url_path="compare", permissions=["compare"])
    def compare(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show a version beside the one named by ``?with=``, by its number, or the one before."""
        version = get_object_or_404(self.get_queryset(request), pk=object_id)
        others = _others(version)
        chosen = _chosen(request, version, others)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"{named(version)}, compared",
            "version": version,
            "chosen": chosen,
            "others": [_choice(each) for each in others],
            "comparison": comparison_with(chosen, version) if chosen else None,
            "back": page_of(version),
            "media": self.media,
        }
        return TemplateResponse(request, _TEMPLATE, context)


def comparison_with(old: PlanVersion | None, new: PlanVersion) -> dict[str, Any]:
    """Return what differs from one version to another as plain values, in eight queries.

    To none everything is added.
    """
    terms = terms_of([new.pk] if old is None else [old.pk, new.pk])
    after = terms[new.pk].terms
    before = rating.Terms(after.currency, ()) if old is None else terms[old.pk].terms
    found = compare(before, after)
    currencies = (before.currency, after.currency)
    rows = (
        found.terms,
        found.phases,
        found.features,
        found.limits,
        found.service_classes,
        found.packs,
        found.allotments,
        found.jobs,
    )
    return {
        "old": f"Version {old.number}" if old else "Nothing",
        "new": f"Version {new.number}",
        "is_empty": found.is_empty,
        "changed": [_changed(each, currencies) for each in found.changed],
        "added": [_listed(each, (after.currency, after.currency)) for each in found.added],
        "removed": [_listed(each, (before.currency, before.currency)) for each in found.removed],
        "others": [_change(each) for changes in rows for each in changes],
    }


def _changed(price: PriceChanged, currencies: tuple[str, str]) -> dict[str, Any]:
    return {
        "key": price.key,
        "name": price.name,
        "changes": [_change(each) for each in price.changes],
        "effects": list(_effects(price.effects, currencies)),
    }


def _listed(price: PriceListed, currencies: tuple[str, str]) -> dict[str, Any]:
    return {
        "key": price.key,
        "name": price.name,
        "words": price.words,
        "effects": list(_effects(price.effects, currencies)),
    }


def _change(change: Change) -> dict[str, str]:
    return {"label": change.label, "before": change.before or "—", "after": change.after or "—"}


def _effects(effects: Sequence[Effect], currencies: tuple[str, str]) -> Iterator[dict[str, str]]:
    old, new = currencies
    for effect in effects:
        yield {
            "sample": effect.sample,
            "before": _amount(effect.before, effect.before_credit or old),
            "after": _amount(effect.after, effect.after_credit or new),
            "difference": _difference(effect.difference, effect.after_credit or new),
            "problem": effect.problem,
        }


def _amount(amount: Decimal | None, currency: rating.Unit) -> str:
    return "—" if amount is None else money(amount, currency=currency)


def _difference(amount: Decimal | None, currency: rating.Unit) -> str:
    if amount is None:
        return "—"
    sign = "+" if amount > 0 else ""
    return sign + money(amount, currency=currency)


def _others(version: PlanVersion) -> list[PlanVersion]:
    rows = PlanVersion.objects.filter(plan_id=version.plan_id).exclude(pk=version.pk)
    return list(rows.order_by("-number"))


def _chosen(
    request: HttpRequest, version: PlanVersion, others: Sequence[PlanVersion]
) -> PlanVersion | None:
    number = request.GET.get("with", "")
    for other in others:
        if str(other.number) == number:
            return other
    return version_before(version) or (others[0] if others else None)


def _choice(version: PlanVersion) -> dict[str, Any]:
    status = version.status_at(timezone.now())
    starts = f" from {on(version.effective_from)} UTC" if version.effective_from else ""
    return {
        "number": version.number,
        "words": f"Version {version.number}, {version.currency}, {status}{starts}",
    }
